"""Logging: events with fields, to stderr. The one place that configures handlers.

Logs are shared more freely than data. So a message is a constant that takes no arguments, and a field is a number, a
text or a list of them; of anything else, an exception above all, only the type shows.
"""

import json
import logging
from typing import Final, Literal

from jobs.guard import locate_crash
from schemas.errors import PublisherError

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """One line an event: ``level message key=value ...``, or a JSON object."""

    def __init__(self, style: Literal["text", "json"]) -> None:
        super().__init__()
        self._json = style == "json"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        level, event = record.levelname.lower(), plain(record.msg)
        fields = {name: plain(value) for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[1]:
            fields["where"] = locate_crash(record.exc_info[1])
        if self._json:
            return json.dumps({"level": level, "event": event, **fields})
        return " ".join([level, str(event), *(f"{name}={value!r}" for name, value in fields.items())])


def plain(value: object) -> object:
    """Return what may be logged of a value.

    >>> plain(["a", 1]), plain(KeyError("payroll")), plain({"pod": "payroll"})
    (['a', 1], '<KeyError>', '<dict>')
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, PublisherError) else f"<{type(value).__name__}>"


def configure_logging(*, verbose: bool, style: Literal["text", "json"]) -> None:
    """Send the project's events to stderr; the libraries' own may quote what must not be read, and stay silent."""
    handler = logging.StreamHandler()
    handler.setFormatter(EventFormatter(style))
    for name in ("jobs", "collector", "anonymize"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO if verbose else logging.WARNING)
        logger.propagate = False
    logging.lastResort = logging.NullHandler()
