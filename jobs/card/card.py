"""Write the dataset card: what a stranger needs to use a release well. Pure: text from facts and a template.

It knows facts, never the configuration: no address of a server and no name of a source can get in.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from jobs.card.attacked import say_attacks, say_where
from jobs.card.citation import cite_as_bibtex, cite_as_text, find_license
from jobs.card.facts import MetricFacts, ReleaseFacts, TableFacts
from jobs.card.formats import escape_markdown, format_bytes, format_instant, format_number, format_share, format_value
from jobs.card.gaps import merge_gaps
from jobs.card.picture import draw_coverage
from jobs.card.privacy import LINKABLE, REQUEST, list_residuals
from jobs.card.snippets import SNIPPETS, fill_client_snippet
from schemas.aggregate import AGGREGATE, NAMESPACE, aggregate_labels, sums_increases
from schemas.coverage import REASONS, SUPPRESSED
from schemas.native import native_name
from schemas.policy import Domain
from schemas.table import LabelColumn, TableSchema
from schemas.windows import format_duration

MOST_GAP_LINES: Final = 20

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
