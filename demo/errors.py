"""What can go wrong in the quick start."""


class DemoError(Exception):
    """Something that the reader can mend; the message is one line: what was found, wanted, and what to do."""
