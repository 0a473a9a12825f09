"""What a policy publishes, metric by metric and column by column, in words. The one view that is shown and compared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.digest import digest
from schemas.policy import Domain, Policy, SmallGroup, Vocabulary
from schemas.table import LabelColumn, TableSchema, Treatment

VALUE_WORDS: Mapping[Treatment, str] = {
    "exact": "exact",
    "blank_to_null": "exact, placeholders null",
    "bucket": "rounded up to a bucket",
    "age": "as an age in minutes",
}


@dataclass(frozen=True, slots=True)
class PublishedColumn:
    """A column, the label that it is made from, and what it holds instead of that label's values."""

    name: str
    label: str
    treatment: str
    """``pseudonym of node``, ``vocabulary cpu_modes`` or ``number``."""


@dataclass(frozen=True, slots=True)
class PublishedMetric:
    """A metric of a table with its columns."""

    table: str
    name: str
    value: str
    columns: tuple[PublishedColumn, ...]


@dataclass(frozen=True)
class PolicyView:
    """All that a policy lets out over some tables.

    ``domains`` and ``vocabularies`` hold what the columns use; ``None`` where only a release is known, which does not
    tell them.
    """

    name: str
    digest: str
    metrics: tuple[PublishedMetric, ...]
    domains: Mapping[str, Domain] | None
    vocabularies: Mapping[str, Vocabulary] | None
    small_groups: Mapping[str, SmallGroup] | None = None
    """Of the vocabularies; ``None`` where those are."""


def view_policy(policy: Policy, tables: Iterable[TableSchema]) -> PolicyView:
    """Return what ``policy`` publishes of ``tables``; what it does not name is not in it."""
    named = [table for table in tables if table.table in policy.tables]
    columns = [column for table in named for column in table.labels]
    domains = _used_domains(policy, {column.identity for column in columns if column.identity})
    words = {column.vocabulary for column in columns if column.vocabulary}
    words |= {policy.domains[name].public or "" for name in domains}
    return PolicyView(
        name=f"{policy.policy} version {policy.version}",
        digest=digest(policy),
        metrics=tuple(m for table in named for m in view_table(table, policy.tables[table.table].metrics)),
        domains={name: policy.domains[name] for name in policy.domains if name in domains},
        vocabularies={name: each for name, each in policy.vocabularies.items() if name in words},
        small_groups={name: each for name, each in policy.small_groups.items() if name in words},
    )


def view_table(table: TableSchema, allowed: Iterable[str]) -> tuple[PublishedMetric, ...]:
    """Return the metrics of a table that are in ``allowed``."""
    columns = {column.name: column for column in table.labels}
    wanted = set(allowed)
    return tuple(
        PublishedMetric(
            table=table.table,
            name=metric.name,
            value=VALUE_WORDS[metric.value],
            columns=tuple(_view_column(columns[name]) for name in metric.labels),
        )
        for metric in table.metrics
        if metric.name in wanted
    )


def tell_domain(name: str, domain: Domain) -> str:
    """Return in words what a pseudonym of a domain is."""
    told = f"{domain.prefix}_…"
    if domain.scope:
        told += f", told apart by {' and '.join(domain.scope)}"
    if domain.public:
        told += f"; words of {domain.public} stay as they are"
    if domain.unmatched:
        told += f"; of {domain.unmatched} where the cluster knows no such {name}"
    return told


def tell_small_group(group: SmallGroup) -> str:
    """Return in words when a word is shown.

    >>> tell_small_group(SmallGroup(of=("workload",), contributor="namespace", why="One team may have it."))
    'a word is shown if at least k of workload have it, of 3 or more of namespace, none with more than 80 %'
    """
    told = f"a word is shown if at least k of {' or '.join(group.of)} have it"
    if group.contributor:
        told += f", of {group.contributors} or more of {group.contributor}, none with more than {group.dominance:.0%}"
    return told.replace("%", " %")


def _view_column(column: LabelColumn) -> PublishedColumn:
    if column.identity:
        treatment = f"pseudonym of {column.identity}"
    elif column.vocabulary:
        treatment = f"vocabulary {column.vocabulary}"
    else:
        treatment = "number"
    return PublishedColumn(column.name, column.source_label, treatment)


def _used_domains(policy: Policy, names: set[str]) -> set[str]:
    ahead, found = list(names), set[str]()
    while ahead:
        name = ahead.pop()
        if name in policy.domains and name not in found:
            found.add(name)
            domain = policy.domains[name]
            ahead += [*domain.scope, *([domain.unmatched] if domain.unmatched else [])]
    return found
