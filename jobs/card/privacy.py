"""What a release says of privacy, for machines and people: what was done, was measured, and is not defended.

Pure: privacy.json from facts. The card prints the same residuals, from the same place.
"""

from collections.abc import Iterator
from typing import Final

from anonymize.pseudonyms import TOKEN_CHARACTERS
from jobs.card.attacked import say_links
from jobs.card.facts import ReleaseFacts, TableFacts
from schemas.aggregate import AGGREGATE, KIND, KIND_VOCABULARIES, NAMESPACE, Tier, aggregate_labels
from schemas.privacy import (
    Dropped,
    GroupRule,
    Linkable,
    PrivacyStatement,
    Residual,
    Search,
    SmallGroups,
    Tokens,
    Treatments,
)
from schemas.table import LabelColumn

TOKEN_BITS: Final = 5 * TOKEN_CHARACTERS
REQUEST: Final = (
    "Please do not try to re-identify people, organisations, machines or workloads in these data, or to link them with "
    "other data for that end. If you find something that should not be public, tell the contact rather than others: "
    "the "
    "release can be withdrawn."
)
LINKABLE: Final = (
    "Equal names of one kind and scope have equal tokens throughout this release and in every other release of the "
    "same "
    "source and key, on purpose, so that tables and releases can be joined. Tokens under another key are unrelated."
)


def render_privacy(facts: ReleaseFacts) -> PrivacyStatement:
    """Return ``privacy.json``."""
    dropped = {name for table in facts.tables for name in table.dropped_labels}
    return PrivacyStatement(
        policy=facts.policy.policy,
        policy_version=facts.policy.version,
        policy_digest=facts.policy_digest,
        tokens=Tokens(bits=TOKEN_BITS, key_id=facts.key_id, key_destroyed=facts.key_destroyed),
        time=facts.time,
        tier=facts.tier,
        step_ms=facts.step_ms,
        small_groups=SmallGroups(
            k=facts.k,
            rules={
                name: GroupRule(
                    of=rule.of,
                    contributor=rule.contributor,
                    contributors=rule.contributors,
                    dominance=rule.dominance,
                )
                for name, rule in sorted(facts.policy.small_groups.items())
            },
            suppressed=tuple(f"{table}.{column}" for table, column in facts.suppressed),
        ),
        dropped=Dropped(
            labels=len(dropped),
            metrics_without_rows=sum(metric.rows == 0 for table in facts.tables for metric in table.metrics),
        ),
        search=Search(raw_values_searched=facts.raw_values_searched),
        linkable=Linkable(statement=LINKABLE),
        attacks=facts.attacks,
        not_defended=tuple(list_residuals(facts)),
        request=REQUEST,
        removal=facts.info.contact,
        tables={table.schema.table: _treatments(table, facts.tier) for table in facts.tables},
    )


def list_residuals(facts: ReleaseFacts) -> Iterator[Residual]:
    """Yield what is not defended, for this release."""
    if facts.tier == AGGREGATE:
        yield from _list_of_sums(facts)
        return
    hidden = ", ".join(f"`{table}.{column}`" for table, column in facts.suppressed)
    columns = ", ".join(
        f"`{table.schema.table}.{column.name}`"
        for table in facts.tables
        for column in table.schema.labels
        if column.quasi_identifier
    )
    yield Residual(
        code="small-groups",
        title="Small groups, where values tell.",
        text=f"A word that could point at somebody, such as a family of GPUs, is shown only if at least {facts.k} "
        f"machines or workloads of the release have it{f' (columns {columns})' if columns else ''}, and none of those "
        "who have it has nearly all; else it is `other`. "
        f"{f'Here that hides words in {hidden}.' if hidden else 'Here it hides nothing.'} Rows stay, so their values "
        "may still tell: the memory of a GPU tells its family. It is no k-anonymity of series: each series is one of "
        "its kind.",
    )
    yield Residual(code="linking", title="New keys hide names, not behaviour.", text=_say_links(facts))
    yield Residual(
        code="insiders",
        title="Insiders.",
        text="Who knows a workload's own curve, or when it started and failed, will find it in per-series data, "
        "and then knows its token everywhere in the releases of this key.",
    )
    yield _time(facts)
    yield Residual(
        code="counters-and-capacities",
        title="Counters and capacities.",
        text="The size of a counter tells how long its process has run; a machine of unusual size "
        "stands out even in rounded figures.",
    )
    yield Residual(
        code="planted-patterns",
        title="Planted patterns.",
        text="Whoever could run a workload could also mark it by its resource use, and recognise the mark here.",
    )
    yield _key(facts)
    yield _OPERATOR


def _list_of_sums(facts: ReleaseFacts) -> Iterator[Residual]:
    """Yield what is not defended by sums over groups."""
    yield Residual(
        code="small-groups",
        title="A group can be one team.",
        text=f"Every published sum is over at least {facts.k} pods, machines or other entities, and all of them may "
        "belong to one team: a namespace is the group. A sum of which one entity has nearly all tells that one.",
    )
    yield Residual(
        code="comings-and-goings",
        title="Comings and goings.",
        text="Each point is counted by itself. Where one entity joins or leaves a group, two points next to each other "
        "differ by what is its own; where metrics count entities, they do so exactly.",
    )
    yield Residual(
        code="other-releases",
        title="Series of the same time.",
        text="Where series of this span and source are public as well, sums hide nothing.",
    )
    yield _time(facts)
    yield Residual(
        code="planted-patterns",
        title="Planted patterns.",
        text="Whoever could run a workload could also mark a sum by its resource use, and recognise the mark here.",
    )
    yield _key(facts)
    yield _OPERATOR


_OPERATOR: Final = Residual(
    code="the-operator",
    title="The operator.",
    text="It is usually known, by this card or by where the data lie.",
)


def _say_links(facts: ReleaseFacts) -> str:
    if facts.attacks is not None:
        return say_links(facts.attacks)
    return (
        "This publisher measured none on data like these. In a test with synthetic workloads, series of two "
        "successive weeks under different keys were matched by their values only: 92 % of 200 workloads, 75 % of "
        "1,000, "
        "58 % of 5,000; twenty minutes of overlap matched all."
    )


def _key(facts: ReleaseFacts) -> Residual:
    if facts.key_destroyed:
        text = "It was destroyed before this release was built; whoever kept a copy can test guesses."
        return Residual(code="the-key", title="Copies of the key.", text=text)
    text = "Whoever gets it can test guesses against every token of its epoch, until it is destroyed."
    return Residual(code="the-key", title="The key.", text=text)


def _time(facts: ReleaseFacts) -> Residual:
    if facts.time == "calendar":
        text = "Outages, upgrades and holidays can be compared with what is publicly known."
        return Residual(code="time", title="Time is calendar time.", text=text)
    text = (
        f"Every instant of this release is moved by the same whole {'weeks' if facts.time == 'shifted' else 'days'}. "
        "Whoever knows when one thing in it happened knows when all of it did; an outage or a holiday is known by its "
        "shape, and when the release was published bounds how old it can be."
    )
    return Residual(code="time", title="Moved time is noise, not protection.", text=text)


def _treatments(table: TableFacts, tier: Tier) -> Treatments:
    columns = {column.name: _treatment(column) for column in table.schema.labels}
    if tier == AGGREGATE:
        columns = {NAMESPACE: "pseudonym:namespace", KIND: f"vocabulary:{KIND_VOCABULARIES[0]}"}
        columns |= {column.name: _treatment(column) for column in aggregate_labels(table.schema)}
    return Treatments(
        columns=columns,
        values={metric.name: metric.value for metric in table.schema.metrics},
        dropped_labels=len(table.dropped_labels),
    )


def _treatment(column: LabelColumn) -> str:
    if column.identity:
        return f"pseudonym:{column.identity}"
    return f"vocabulary:{column.vocabulary}" if column.vocabulary else f"number:{column.number}"
