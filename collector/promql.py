"""Selectors as PromQL writes them. Pure; label values are escaped, never pasted."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from schemas.raw import Raw, open_raw
from schemas.table import MATCHER

Operator = Literal["=", "!=", "=~", "!~"]
_PLAIN_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_META: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")  # what RE2 reads as more than itself


@dataclass(frozen=True, slots=True, init=False)
class Matcher:
    """One condition on a label. Its value is sealed, since it may be a raw one; ``render`` is for a query alone."""

    name: str
    op: Operator
    value: Raw[str]

    def __init__(self, name: str, op: Operator, value: str) -> None:
        for attribute, given in (("name", name), ("op", op), ("value", Raw(name, value))):
            object.__setattr__(self, attribute, given)

    def render(self) -> str:
        """Return the condition as PromQL writes it."""
        return f"{render_label(self.name)}{self.op}{quote(open_raw(self.value))}"


def quote(value: str) -> str:
    r"""Return a PromQL string literal.

    >>> quote('a"b\\c')
    '"a\\"b\\\\c"'
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def render_label(name: str) -> str:
    """Return a label name as a query holds it: in quotes where it is one that only Prometheus 3.x takes.

    >>> render_label("pod"), render_label("http.status")
    ('pod', '"http.status"')
    """
    return name if _PLAIN_NAME.fullmatch(name) else quote(name)


def escape_regex(value: str) -> str:
    r"""Return a regular expression that matches a value and nothing else. Matchers are anchored at both ends.

    >>> escape_regex("10.0.0.7:9100")
    '10\\.0\\.0\\.7:9100'
    """
    return _META.sub(r"\\\g<0>", value)


def match_any(name: str, values: Iterable[str]) -> Matcher:
    """Return the matcher of all these values of a label, taken literally."""
    return Matcher(name, "=~", "|".join(map(escape_regex, values)))


def parse_matcher(text: str) -> Matcher:
    """Read a matcher as a table schema writes it.

    >>> parse_matcher('container!=""')
    Matcher(name='container', op='!=', value=<raw container: 1>)
    """
    found = MATCHER.fullmatch(text)
    if not found:
        raise ValueError(f'found {text!r}; wanted a matcher such as job="hub"')
    return Matcher(found["name"], found["op"], found["value"])  # type: ignore[arg-type] # the pattern allows these four


def equal_matchers(labels: Mapping[str, str]) -> tuple[Matcher, ...]:
    """Return one equality matcher for each label, sorted by name."""
    return tuple(Matcher(name, "=", value) for name, value in sorted(labels.items()))


def render_selector(metric: str, matchers: Sequence[Matcher] = ()) -> str:
    """Return an instant selector that is right for every metric name, one with a colon included.

    >>> render_selector("up", [Matcher("job", "=", "node")])
    '{__name__="up",job="node"}'
    """
    return "{" + ",".join(each.render() for each in (Matcher("__name__", "=", metric), *matchers)) + "}"


def render_any(metrics: Sequence[str], matchers: Sequence[Matcher] = ()) -> str:
    """Return an instant selector of several metrics at once.

    >>> render_any(["up", "node_load1"], [Matcher("job", "=", "node")])
    '{__name__=~"up|node_load1",job="node"}'
    """
    return "{" + ",".join(each.render() for each in (match_any("__name__", metrics), *matchers)) + "}"
