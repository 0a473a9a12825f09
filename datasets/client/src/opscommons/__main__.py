"""``python -m opscommons``: the same as the ``opscommons`` command."""

import sys

from opscommons._cli import main

if __name__ == "__main__":
    sys.exit(main())
