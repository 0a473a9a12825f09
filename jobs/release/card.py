"""Write the dataset card: what a stranger needs to use a release well. Pure: text from facts and a template.

It knows facts, never the configuration: no address of a server and no name of a source can get in.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from jobs.release.attacked import say_attacks, say_where
from jobs.release.citation import cite_as_bibtex, cite_as_text, find_license
from jobs.release.facts import ALL_METRICS, Gap, MetricFacts, ReleaseFacts, TableFacts
from jobs.release.picture import draw_coverage
from jobs.release.privacy import LINKABLE, REQUEST, list_residuals
from jobs.release.snippets import SNIPPETS, fill_client_snippet
from schemas.aggregate import AGGREGATE, NAMESPACE, aggregate_labels, sums_increases
from schemas.coverage import REASONS, SUPPRESSED
from schemas.native import native_name
from schemas.policy import Domain
from schemas.table import LabelColumn, TableSchema
from schemas.windows import format_duration

MOST_GAP_LINES: Final = 20
MOST_NAMES: Final = 3
UNKNOWN: Final = "unknown"
"""An answer that the data do not give is said to be missing; it never just vanishes."""

_SIZE_CATEGORIES: Final = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)


def render_card(facts: ReleaseFacts) -> str:
    """Return the README.md of a release."""
    with_values = [table for table in facts.tables if table.rows > table.native_rows]
    example = max(with_values, key=lambda table: table.rows - table.native_rows, default=None)
    return (
        _environment()
        .get_template("card.md.j2")
        .render(
            facts=facts,
            sums=facts.tier == AGGREGATE,
            folder=_folder(facts),
            published=_published_columns,
            info=facts.info,
            simulated=facts.provenance == "simulated",
            front_matter=yaml.safe_dump(build_front_matter(facts), sort_keys=False, allow_unicode=True, width=120),
            license=find_license(facts.info.license),
            citation=cite_as_text(facts),
            bibtex=cite_as_bibtex(facts),
            snippets=_fill_snippets(facts, example) if example else {},
            example=example,
            domains=_used_domains(facts),
            attacked=say_where(facts.attacks) if facts.attacks else "",
            attacks=list(say_attacks(facts.attacks)) if facts.attacks else [],
            residuals=list(list_residuals(facts)),
            request=REQUEST,
            linkable=LINKABLE,
            dropped=len({name for table in facts.tables for name in table.dropped_labels}),
            drift=sum_drift(facts),
            gaps=merge_gaps(facts),
            most_gap_lines=MOST_GAP_LINES,
            incomplete=_incomplete_metrics(facts),
            picture=draw_coverage(facts.hours) if facts.expected else None,
            meanings=_meanings(facts),
        )
    )


@dataclass(frozen=True, slots=True)
class Drift:
    """What changed at the source: names of metrics, which are declared and so public, and numbers of the rest."""

    vanished: tuple[str, ...]
    differs: tuple[str, ...]
    metrics: int
    same: int
    unknown: int
    new_labels: int


def sum_drift(facts: ReleaseFacts) -> Drift:
    """Return what changed at the source over all tables."""
    metrics = [metric for table in facts.tables for metric in table.metrics]
    alive = [metric for metric in metrics if metric.rows]
    checks = Counter(metric.type_check for metric in alive)
    return Drift(
        vanished=tuple(metric.metric for metric in metrics if metric.vanished),
        differs=tuple(metric.metric for metric in alive if metric.type_check == "differs"),
        metrics=len(alive),
        same=checks["same"],
        unknown=checks["unknown"],
        new_labels=len({name for table in facts.tables for name in table.new_labels}),
    )


def build_front_matter(facts: ReleaseFacts) -> dict[str, Any]:
    """Return the metadata in the card's head, as the Hugging Face Hub reads them."""
    known = find_license(facts.info.license)
    named = {} if known.hugging_face != "other" else {"license_name": known.spdx, "license_link": "LICENSE"}
    tags = ["timeseries", "aiops", "observability", "prometheus", "pseudonymised", f"{facts.provenance}-data"]
    tables = [table.schema for table in facts.tables]
    names = [table.schema.table for table in facts.tables if table.rows > table.native_rows]
    names += [native_name(table.schema.table) for table in facts.tables if table.native_rows]
    return {
        "license": known.hugging_face,
        **named,
        "pretty_name": " ".join(facts.info.title.split()),  # a line of its own could end the head
        "annotations_creators": ["no-annotation"],
        "source_datasets": ["original"],
        "size_categories": [next((name for limit, name in _SIZE_CATEGORIES if facts.rows < limit), "n>1T")],
        "task_categories": ["time-series-forecasting"],
        "task_ids": ["univariate-time-series-forecasting", "multivariate-time-series-forecasting"],
        "tags": [*tags, *sorted({schema.family for schema in tables})],
        "configs": [{"config_name": name, "data_files": f"{_folder(facts)}/{name}/**/*.parquet"} for name in names],
    }


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


def _incomplete_metrics(facts: ReleaseFacts) -> list[tuple[str, MetricFacts]]:
    """Return the metrics that lack samples or say why they are empty, the worst covered first."""
    found = [
        (table.schema.table, metric)
        for table in facts.tables
        for metric in table.metrics
        if metric.missing or set(metric.reasons) - {SUPPRESSED}
    ]
    return sorted(found, key=lambda each: (_known_or_full(metric_coverage(each[1])), each[0], each[1].metric))


def _meanings(facts: ReleaseFacts) -> list[tuple[str, str]]:
    """Return the reasons that the release gives, each with its meaning."""
    given = {reason for table in facts.tables for metric in table.metrics for reason in metric.reasons}
    given |= {gap.reason for gap in facts.gaps}
    return [(reason, meaning) for reason, meaning in REASONS.items() if reason in given]


def _known_or_full(share: float | None) -> float:
    return 1.0 if share is None else share


def metric_coverage(metric: MetricFacts) -> float | None:
    """Return which share of a metric's expected raw samples is there; ``None`` when nothing was expected."""
    return (metric.expected - metric.missing) / metric.expected if metric.expected else None


def _fill_snippets(facts: ReleaseFacts, table: TableFacts) -> dict[str, str]:
    """Return every reader's snippet for a table of the release, to be run in the release's folder."""
    path = f"{_folder(facts)}/{table.schema.table}"
    filled = {reader: code.format(path=path) for reader, code in SNIPPETS.items()}
    example = max(table.metrics, key=lambda metric: metric.rows, default=None)
    if example:
        filled["opscommons"] = fill_client_snippet(store=".", metric=example.metric)
    return filled


def _folder(facts: ReleaseFacts) -> str:
    return "aggregates" if facts.tier == AGGREGATE else "data"


def _published_columns(facts: ReleaseFacts, schema: TableSchema) -> tuple[LabelColumn, ...]:
    return aggregate_labels(schema) if facts.tier == AGGREGATE else schema.labels


def _used_domains(facts: ReleaseFacts) -> list[tuple[str, Domain, list[str]]]:
    """Return the identity domains that occur, each with the columns that hold its tokens."""
    columns: dict[str, set[str]] = defaultdict(set)
    for table in facts.tables:
        for column in table.schema.labels:
            if column.identity and (facts.tier != AGGREGATE or column.identity == NAMESPACE):
                columns[column.identity].add(column.name)
                if unmatched := facts.policy.domains[column.identity].unmatched:
                    columns[unmatched].add(column.name)
    return [(name, facts.policy.domains[name], sorted(columns[name])) for name in sorted(columns)]


def format_number(count: float) -> str:
    """Return a number with its thousands marked.

    >>> format_number(1234567)
    '1,234,567'
    """
    return f"{count:,}"


def format_bytes(size: int) -> str:
    """Return a size in binary units.

    >>> format_bytes(12_900_000), format_bytes(512)
    ('12.3 MiB', '512 bytes')
    """
    amount, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1023.95:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:,.1f} {unit}"


def format_value(value: float | None) -> str:
    """Return a sample's value in at most six digits, or whole.

    >>> format_value(1234567.0), format_value(0.123456789), format_value(1.5e18), format_value(None)
    ('1,234,567', '0.123457', '1.5e+18', 'none')
    """
    if value is None:
        return "none"
    return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def format_share(share: float | None) -> str:
    """Return a share in percent, rounded down: what is not complete never reads as 100 %.

    >>> format_share(1.0), format_share(0.999999), format_share(None)
    ('100 %', '99.99 %', 'unknown')
    """
    if share is None:
        return UNKNOWN
    return "100 %" if share >= 1 else f"{math.floor(share * 10_000) / 100:.2f} %"


def format_instant(instant: datetime) -> str:
    """Return an instant to the minute or, if it needs them, seconds.

    >>> format_instant(datetime(2026, 1, 1, 6, 0, tzinfo=UTC))
    '2026-01-01 06:00 UTC'
    """
    utc = instant.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC" if utc.second or utc.microsecond else f"{utc:%Y-%m-%d %H:%M} UTC"


def escape_markdown(text: object) -> str:
    """Return foreign text as one line that is neither HTML nor the end of a table cell.

    >>> escape_markdown("5 < 6 | a\\nb")
    '5 &lt; 6 \\\\| a b'
    """
    line = " ".join(str(text).split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=False,  # noqa: S701 - Markdown, not HTML; foreign text goes through escape_markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        text=escape_markdown,
        number=format_number,
        size=format_bytes,
        value=format_value,
        share=format_share,
        instant=format_instant,
        duration=lambda milliseconds: format_duration(timedelta(milliseconds=milliseconds)),
        span=format_duration,
        coverage=metric_coverage,
        increases=sums_increases,
    )
    return environment
