"""Starters of real servers for the tests. Each says why it cannot run instead of pretending that it did."""


class LabUnavailable(RuntimeError):
    """A real server cannot be installed or started here; the message says why in one line."""


def last_lines(output: bytes, *, count: int = 3) -> str:
    """Return the end of a program's output as one line, for the reason of a ``LabUnavailable``."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "no output"
