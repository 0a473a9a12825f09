"""Write ``coverage.parquet`` table by table, and keep of it what the card tells of all tables together."""

from collections import defaultdict
from pathlib import Path

from jobs.card.facts import Gap, HourFacts
from jobs.parquet import GatheredTable
from jobs.release.coverage import ReleaseCoverage
from schemas.arrow import COVERAGE_SCHEMA
from schemas.windows import from_ms


class CoverageFile(GatheredTable):
    """Takes the coverage of one table after another, in the order of their names."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, COVERAGE_SCHEMA)
        self._gaps: list[Gap] = []
        self._hours: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        self._estimated = 0

    def add_table(self, coverage: ReleaseCoverage) -> None:
        """Add what was expected of a table and what is there."""
        self.add(coverage.to_table())
        self._gaps += coverage.gaps
        for row in coverage.rows:
            sums = self._hours[row.hour]
            sums[0] += row.expected
            sums[1] += row.missing
            self._estimated += row.estimated

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Where nothing is."""
        return tuple(self._gaps)

    @property
    def hours(self) -> tuple[HourFacts, ...]:
        """What all metrics together had, by hours."""
        return tuple(HourFacts(from_ms(hour), *counts) for hour, counts in sorted(self._hours.items()))

    @property
    def estimated(self) -> float:
        """Which share of the rows is estimated."""
        return self._estimated / max(1, self.rows)
