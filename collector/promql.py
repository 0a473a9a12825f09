"""Selectors as PromQL writes them. Pure; label values are escaped, never pasted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.table import MATCHER

Operator = Literal["=", "!=", "=~", "!~"]


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label."""

    name: str
    op: Operator
    value: str

    def __str__(self) -> str:
        return f"{self.name}{self.op}{quote(self.value)}"


def quote(value: str) -> str:
    r"""Return a PromQL string literal.

    >>> quote('a"b\\c')
    '"a\\"b\\\\c"'
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def parse_matcher(text: str) -> Matcher:
    """Read a matcher as a table schema writes it.

    >>> parse_matcher('container!=""')
    Matcher(name='container', op='!=', value='')
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
    return "{" + ",".join(map(str, (Matcher("__name__", "=", metric), *matchers))) + "}"
