"""What guards raw values and keys when a process breaks: it tells where and what kind of error, never what that says.

The text of an exception may quote a label's value (``ArrowInvalid: Could not convert 'acme'``), an address with its
query or a server's answer; so may its notes, and what it was made from. Files, lines, functions, types and numbers
cannot. Only a ``PublisherError`` says more, in words of ours.
"""

import linecache
import logging
import platform
import resource
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import PurePath
from traceback import walk_tb
from types import TracebackType
from typing import Final

from schemas.errors import PrivacyError, PublisherError

_NUMBERS: Final = ("errno", "error_count", "lineno", "colno", "pos", "start", "end", "returncode")
"""Attributes by which exceptions tell a code, a count or a place."""
_MOST_FRAMES: Final = 40
_PR_SET_DUMPABLE: Final = 4


def guard_process() -> None:
    """Let nothing of this process reach a disk or a terminal by itself. Comes before a key or a raw value is read."""
    forbid_dumps()
    sys.excepthook = _tell_uncaught
    threading.excepthook = _tell_thread
    sys.unraisablehook = _tell_unraisable  # in a finalizer, at exit
    warnings.showwarning = _tell_warning
    logging.raiseExceptions = False  # a record that cannot be formatted would be printed with its arguments


def forbid_dumps() -> None:
    """Let the kernel write no image of the memory. The limit alone would not stop one that goes to a program."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes  # for this alone

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@contextmanager
def failing_closed(what: str) -> Iterator[None]:
    """Raise ``PrivacyError`` when an audit breaks: nothing is clean because nobody could look."""
    try:
        yield
    except PublisherError:
        raise
    except Exception as error:
        raise PrivacyError(
            f"{what} broke, so nothing may be published from it: {locate_crash(error)}; this is a defect, report it"
        ) from None


def describe_crash(error: BaseException) -> str:
    """Return a traceback without a word of any exception, and how to report it."""
    return "".join(f"{line}\n" for line in chain(_describe(error), _ask_to_report()))


def locate_crash(error: BaseException) -> str:
    """Return kind and places of an exception on one line, the innermost first, for a log.

    >>> locate_crash(KeyError("payroll"))
    'KeyError'
    """
    places = [f"{place.file}:{place.line}" for place in _places(error.__traceback__)]
    return " at ".join([_name(error), *([" < ".join(reversed(places[-8:]))] if places else [])])


def _describe(error: BaseException, seen: set[int] | None = None) -> Iterator[str]:
    """Yield the lines of an exception behind those of what it came from, as Python's own traceback does."""
    seen = seen if seen is not None else set()
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _describe(before, seen)
        yield "which led to:" if error.__cause__ else "while this was handled:"
    yield "Traceback (most recent call last):"
    places = list(_places(error.__traceback__))
    half = _MOST_FRAMES // 2
    if len(places) > _MOST_FRAMES:
        yield from map(str, places[:half])
        yield f"  ... {len(places) - 2 * half} more ..."
        places = places[-half:]
    yield from map(str, places)
    yield _name(error)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            if id(inner) not in seen:
                yield "of which one is:"
                yield from _describe(inner, seen)


def _ask_to_report() -> Iterator[str]:
    yield (
        f"opspub {version('opscommons-publisher')}, Python {platform.python_version()}: this is a defect. The texts of "
        "exceptions are left out, since they may quote what must not be read."
    )
    yield "The lines above hold no value of yours: please report them, with the command, as docs/errors.md says."


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a frame stands: the file as it is imported, since where it is installed is nobody's business."""

    file: str
    line: int
    function: str
    code: str

    def __str__(self) -> str:
        where = f'  File "{self.file}", line {self.line}, in {self.function}'
        return f"{where}\n    {self.code}" if self.code else where


def _places(trace: TracebackType | None) -> Iterator[_Place]:
    for frame, line in walk_tb(trace):
        code, module = frame.f_code, str(frame.f_globals.get("__name__", ""))
        text = linecache.getline(code.co_filename, line).strip() if code.co_filename.endswith(".py") else ""
        yield _Place(_short(code.co_filename, parts=module.count(".") + 1), line, code.co_qualname, text)


def _name(error: BaseException) -> str:
    """Return the type of an exception and the numbers that it tells."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    numbers = []
    for attribute in _NUMBERS:
        with suppress(Exception):
            value = getattr(error, attribute, None)
            value = value() if callable(value) else value
            if type(value) is int:
                numbers.append(f"{attribute} {value}")
    return f"{name} ({', '.join(numbers)})" if numbers else name


def _short(filename: str, *, parts: int) -> str:
    path = PurePath(filename)
    return "/".join(path.parts[-(parts + (path.name == "__init__.py")) :])


def _tell(line: str, error: BaseException | None) -> None:
    # stderr may be closed, or be gone at exit
    with suppress(Exception):
        sys.stderr.write(f"opspub: {line}\n{describe_crash(error) if error else ''}")


def _tell_uncaught(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    _tell("ended unexpectedly", error)


def _tell_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        _tell("a thread ended unexpectedly", args.exc_value)


def _tell_unraisable(args: "sys.UnraisableHookArgs") -> None:
    _tell("an error that nobody could catch", args.exc_value)


def _tell_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
) -> None:
    _tell(f"{category.__name__} at {_short(filename, parts=2)}:{lineno}", None)
