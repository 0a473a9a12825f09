"""How far the seeded suites go. No ``__init__.py`` here: pytest would import this folder as ``collector`` itself."""

import os
from typing import Final

FULL: Final = bool(os.environ.get("OPSCOMMONS_TEST_FULL"))  # noqa: TID251 - `make test-full` asks for the long forms
