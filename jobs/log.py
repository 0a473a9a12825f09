"""Logging: events with fields, to stderr. The one place that configures handlers."""

import json
import logging
from typing import Final, Literal

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """One line an event: ``level message key=value ...``, or a JSON object."""

    def __init__(self, style: Literal["text", "json"]) -> None:
        super().__init__()
        self._json = style == "json"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if self._json:
            return json.dumps({"level": record.levelname.lower(), "event": record.getMessage(), **fields}, default=str)
        return " ".join([record.levelname.lower(), record.getMessage(), *(f"{k}={v!r}" for k, v in fields.items())])


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
