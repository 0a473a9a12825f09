"""The collector against a real Prometheus, and against servers that misbehave."""

import os

FULL = bool(os.environ.get("OPSCOMMONS_TEST_FULL"))  # noqa: TID251 - `make test-full` asks for the long forms
