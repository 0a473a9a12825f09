"""How the process ends: with the exit code of its command, whatever native libraries do when they are torn down.

On a busy machine one of them has aborted in its static destructors, which turned "store out of reach" (6) into a
signal. Nothing of ours depends on that teardown: folders are removed and threads joined where they are used.
"""

import atexit
import os
import sys
from typing import Final

_LOST_OUTPUT: Final = 120
"""What Python itself ends with when the last of its output cannot be written."""


class Ending:
    """Ends the process at the end of Python's own exit handlers. Make it before the libraries register theirs."""

    def __init__(self) -> None:
        self.code = 1
        atexit.register(self._end)

    def _end(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                self.code = self.code or _LOST_OUTPUT
        os._exit(self.code)
