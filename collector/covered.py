"""How much of a metric's window a server has, so that the best covered replica can be chosen. Reads no samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.grid import Grid
from collector.promql import Matcher, escape_regex, render_label, render_selector
from collector.reader import Reader, Serving


@dataclass(frozen=True)
class Replica:
    """One of the servers: its place in the configuration (0 is ``source.url``), and its reader."""

    place: int
    reader: Reader


@dataclass(frozen=True)
class Choice:
    """One way to read a metric: with these matchers, by which it has so many samples in the window.

    ``number`` is what is recorded: the replica's place, or that of its label's value; ``None`` where there is but one.
    """

    replica: Replica
    number: int | None
    samples: int
    matchers: tuple[Matcher, ...] = field(default=(), repr=False)

    @property
    def serving(self) -> Serving:
        """The same, as those know it who ask for more."""
        return Serving(self.replica.reader, self.number, self.matchers)


def find_labels(replica: Replica, labels: Sequence[str], matchers: Sequence[Matcher], grid: Grid) -> tuple[str, ...]:
    """Return the replica labels that a server shows on the ``up`` of a window: none where it deduplicates."""
    samples = f"count_over_time({render_selector('up', matchers)}[{_width_ms(grid)}ms])"
    groups = _ask_by(replica, "count", samples, labels, grid)
    by_label = zip(labels, zip(*groups, strict=True), strict=False)
    return tuple(label for label, values in by_label if any(values))


def weigh(
    replica: Replica,
    metric: str,
    matchers: Sequence[Matcher],
    grid: Grid,
    *,
    labels: Sequence[str],
    number: int | None,
) -> Choice:
    """Count the samples of a metric in a window; with ``labels``, by their values, of which the best is chosen."""
    samples = f"count_over_time({render_selector(metric, matchers)}[{_width_ms(grid)}ms])"
    groups = _ask_by(replica, "sum", samples, labels, grid)
    return choose_values(replica, labels, groups, number=number)


def choose_values(
    replica: Replica, labels: Sequence[str], groups: Mapping[tuple[str, ...], int], *, number: int | None
) -> Choice:
    """Choose values of the replica labels; ``groups`` maps them to samples.

    Series without such a label are nobody's replica: whatever is chosen has them, too. Of equals the first in order.
    """
    sums = {
        values: sum(
            samples
            for others, samples in groups.items()
            if all(other in (value, "") for value, other in zip(values, others, strict=True))
        )
        for values in sorted(groups)
        if any(values)
    }
    if not sums:
        return Choice(replica, number, sum(groups.values()))
    best = max(sums, key=lambda values: sums[values])
    matchers = (
        Matcher(label, "=~", f"{escape_regex(value)}|") if value else Matcher(label, "=", "")
        for label, value in zip(labels, best, strict=True)
    )
    return Choice(replica, list(sums).index(best) if number is None else number, sums[best], tuple(matchers))


def _ask_by(
    replica: Replica, function: str, vector: str, labels: Sequence[str], grid: Grid
) -> dict[tuple[str, ...], int]:
    """Return what an aggregation gives a millisecond before the window's end, by the values of labels."""
    api = replica.reader.api
    rows = api.query(f"{function} by ({','.join(map(render_label, labels))}) ({vector})", at_ms=grid.end_ms - 1)
    try:
        return {tuple(row["metric"].get(label, "") for label in labels): int(float(row["value"][1])) for row in rows}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise api.strange("query") from None


def _width_ms(grid: Grid) -> int:
    """Return the range that, one millisecond before the window's end, holds the samples of the window and no other."""
    width = grid.end_ms - grid.start_ms
    return width - 1 if grid.lookback_includes_edge else width
