"""Say where data are missing in as few lines as tell all of it. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from jobs.card.facts import ALL_METRICS, Gap, ReleaseFacts

MOST_NAMES: Final = 3


@dataclass(frozen=True, slots=True)
class GapLine:
    """One span without data, and everything that it concerns."""

    start: datetime
    end: datetime
    what: str
    reason: str


def merge_gaps(facts: ReleaseFacts) -> list[GapLine]:
    """Join spans that touch, then metrics that lack the same span for the same reason. The longest first."""
    together: dict[tuple[datetime, datetime, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for gap in _join_touching(facts.gaps):
        together[gap.start, gap.end, gap.reason][gap.table].add(gap.metric)
    whole = {table.schema.table: {each.metric for each in table.metrics} for table in facts.tables}
    lines = [
        GapLine(start, end, _name_concerned(concerned, whole), reason)
        for (start, end, reason), concerned in together.items()
    ]
    return sorted(lines, key=lambda line: (line.start - line.end, line.start, line.what, line.reason))


def _join_touching(gaps: Iterable[Gap]) -> list[Gap]:
    joined: list[Gap] = []
    for gap in sorted(gaps, key=lambda gap: (gap.table, gap.metric, gap.reason, gap.start)):
        last = joined[-1] if joined else None
        same = last and (last.table, last.metric, last.reason) == (gap.table, gap.metric, gap.reason)
        if last and same and gap.start <= last.end:
            joined[-1] = Gap(gap.table, gap.metric, last.start, max(last.end, gap.end), gap.reason)
        else:
            joined.append(gap)
    return joined


def _name_concerned(concerned: Mapping[str, set[str]], whole: Mapping[str, set[str]]) -> str:
    concerned = {t: whole.get(t, names) if ALL_METRICS in names else names for t, names in concerned.items()}
    if len(whole) > 1 and all(concerned.get(table, set()) >= metrics for table, metrics in whole.items()):
        return "every table"
    parts = []
    for table, metrics in sorted(concerned.items()):
        if metrics >= whole.get(table, {ALL_METRICS}):
            parts.append(f"all of `{table}`")
        else:
            names = [f"`{name}`" for name in sorted(metrics)]
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            parts.append(f"`{table}`: {', '.join(names[:MOST_NAMES])}{more}")
    return "; ".join(parts)
