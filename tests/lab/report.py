"""What the lab found, for people and as JSON."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.lab.check import Row
from tests.lab.publish import Made
from tests.lab.sources import Source

_MANY = 6


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one run found."""

    sources: Sequence[Source]
    rows: Sequence[Row]
    missing: Mapping[str, str]
    """What could not be had, with the reason."""
    found: Sequence[str]
    """What is wrong."""
    made: Made
    seconds: float

    @property
    def exit_code(self) -> int:
        """1 if something is wrong, 2 if only something is missing."""
        return 1 if self.found else 2 if self.missing else 0

    def series_of(self, source: Source) -> int:
        """Return how many series of the tables' metrics a source has."""
        return sum(fed.by.get(source.name, 0) for fed in self.made.facts.fed.values())

    def as_json(self) -> dict[str, Any]:
        """Return what is written to a file."""
        facts = self.made.facts
        return {
            "commit": _read_commit(),
            "seconds": round(self.seconds, 1),
            "sources": [
                {
                    "name": source.name,
                    "kind": source.kind,
                    "version": source.version,
                    "tables": {
                        name: {
                            "metrics": sum(source.name in facts.fed[metric].by for metric in facts.fed_of(name)),
                            "series": sum(facts.fed[m].by.get(source.name, 0) for m in facts.fed_of(name)),
                        }
                        for name in sorted(facts.tables_of(source.name))
                    },
                }
                for source in self.sources
            ],
            "tables": [asdict(row) for row in self.rows],
            "missing": dict(self.missing),
            "found": list(self.found),
            "commands": {name: _without_lists(result) for name, result in self.made.results.items()},
        }


def render_report(report: Report) -> str:
    """Return what a person reads."""
    facts, lines = report.made.facts, [f"\n{'source':31} {'kind':5} {'version':34} {'series':>7}  tables"]
    for source in report.sources:
        tables = ", ".join(sorted(facts.tables_of(source.name))) or "none"
        lines.append(f"{source.name:31} {source.kind:5} {source.version:34} {report.series_of(source):7,}  {tables}")
    lines.append(f"\n{'table':15} {'version':7} {'fed/declared':>12} {'series':>8} {'rows':>10}  fed by")
    for row in report.rows:
        share = f"{row.fed}/{row.declared}"
        by = ", ".join(row.by) if len(row.by) < _MANY else f"{len(row.by)} sources"
        by = by or ("made of others" if row.fed else f"nothing: {row.reason}")
        lines.append(f"{row.table:15} {row.version:7} {share:>12} {row.series:8,} {row.rows:10,}  {by}")
    fed, declared = sum(row.fed for row in report.rows), sum(row.declared for row in report.rows)
    filled = sum(row.fed > 0 for row in report.rows)
    lines.append(
        f"\n{fed} of {declared} metrics in {filled} of {len(report.rows)} tables, "
        f"{sum(row.rows for row in report.rows):,} rows; {report.made.results['verify']['proven']}"
    )
    lines += [f"missing: {name}: {reason}" for name, reason in report.missing.items()]
    lines += [f"WRONG: {one}" for one in report.found]
    lines.append(f"{len(report.found)} wrong, {len(report.missing)} missing, {report.seconds:.0f} s; reports/lab.json")
    return "\n".join(lines)


def _without_lists(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if not isinstance(value, list)}


def _read_commit() -> str:
    ran = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return ran.stdout.strip() or "unknown"
