"""Tell in words what another policy would publish that this one does not, and the other way round. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from schemas.policy import Domain, SmallGroup, Vocabulary
from schemas.policy_view import VALUE_WORDS, PolicyView, PublishedColumn, PublishedMetric, tell_small_group

_NARROWER = frozenset({VALUE_WORDS["bucket"], VALUE_WORDS["age"]})
_MOST_NAMED = 12

_Columns = Mapping[str, tuple[PublishedColumn, list[str]]]


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One difference in what is published."""

    place: str
    what: str
    widens: bool
    """Whether more may leave than before: somebody should look at it."""

    def __str__(self) -> str:
        return self.what


def compare_policies(older: PolicyView, newer: PolicyView) -> tuple[PolicyChange, ...]:
    """Return every difference in what two policies publish: metrics, labels, values, then words and domains.

    Words and domains are compared where both are known: a release tells neither.
    """
    return (
        *_compare_metrics(older, newer),
        *_compare_labels(older, newer),
        *_compare_values(older, newer),
        *_compare_words(older.vocabularies, newer.vocabularies),
        *_compare_domains(older.domains, newer.domains),
        *_compare_small_groups(older.small_groups, newer.small_groups),
    )


def _by_name(view: PolicyView) -> dict[tuple[str, str], PublishedMetric]:
    return {(metric.table, metric.name): metric for metric in view.metrics}


def _compare_metrics(older: PolicyView, newer: PolicyView) -> Iterator[PolicyChange]:
    before, after = _by_name(older), _by_name(newer)
    for key, metric in before.items():
        if key not in after:
            yield PolicyChange(_place(metric), f"no longer published: {_tell_metric(metric)}", widens=False)
    for key, metric in after.items():
        if key not in before:
            columns = ", ".join(f"{column.name} ({column.treatment})" for column in metric.columns) or "no labels"
            what = f"now published: {_tell_metric(metric)}, values {metric.value}, with {columns}"
            yield PolicyChange(_place(metric), what, widens=True)


def _compare_labels(older: PolicyView, newer: PolicyView) -> Iterator[PolicyChange]:
    """Compare the labels of metrics that both publish, all metrics of a table at once."""
    shared = _by_name(older).keys() & _by_name(newer).keys()
    for table in dict.fromkeys(metric.table for metric in newer.metrics):
        before, after = _labels_of(older, table, shared), _labels_of(newer, table, shared)
        for name, (column, metrics) in before.items():
            gone = [metric for metric in metrics if metric not in after.get(name, (column, []))[1]]
            if gone:
                what = f"no longer published: label {name} of table {table}, on {_list(gone)}"
                yield PolicyChange(f"tables.{table}.{name}", what, widens=False)
        for name, (column, metrics) in after.items():
            was, had = before.get(name, (None, []))
            new = [metric for metric in metrics if metric not in had]
            if new:
                what = f"now published: label {name} of table {table}, as {column.treatment}, on {_list(new)}"
                yield PolicyChange(f"tables.{table}.{name}", what, widens=True)
            if was and was.treatment != column.treatment:
                what = f"label {name} of table {table}: was {was.treatment}, now {column.treatment}"
                yield PolicyChange(f"tables.{table}.{name}", what, widens=True)
            if was and was.label != column.label:
                what = f"label {name} of table {table}: was made from {was.label}, now from {column.label}"
                yield PolicyChange(f"tables.{table}.{name}", what, widens=True)


def _labels_of(view: PolicyView, table: str, metrics: set[tuple[str, str]]) -> _Columns:
    found: dict[str, tuple[PublishedColumn, list[str]]] = {}
    for metric in view.metrics:
        if metric.table == table and (table, metric.name) in metrics:
            for column in metric.columns:
                found.setdefault(column.name, (column, []))[1].append(metric.name)
    return found


def _compare_values(older: PolicyView, newer: PolicyView) -> Iterator[PolicyChange]:
    before = _by_name(older)
    for key, metric in _by_name(newer).items():
        if key in before and before[key].value != metric.value:
            what = f"values of {_tell_metric(metric)}: were {before[key].value}, now {metric.value}"
            yield PolicyChange(_place(metric), what, widens=metric.value not in _NARROWER)


def _compare_words(
    older: Mapping[str, Vocabulary] | None, newer: Mapping[str, Vocabulary] | None
) -> Iterator[PolicyChange]:
    if older is None or newer is None:
        return
    for name in dict.fromkeys((*older, *newer)):
        before = older[name].members if name in older else {}
        after = newer[name].members if name in newer else {}
        place = f"vocabularies.{name}"
        gone = [word for word in before if word not in after]
        if gone and name in newer:  # a list that nothing uses any more went with its labels
            yield PolicyChange(place, f"no longer published, but as other: {_list(gone)} of {name}", widens=False)
        if new := [word for word in after if word not in before]:
            yield PolicyChange(place, f"now published in clear: {_list(new)} of {name}", widens=True)
        for word, published in before.items():
            if after.get(word, published) != published:
                what = f"{word} of {name}: was published as {published}, now as {after[word]}"
                yield PolicyChange(place, what, widens=True)


def _compare_domains(older: Mapping[str, Domain] | None, newer: Mapping[str, Domain] | None) -> Iterator[PolicyChange]:
    if older is None or newer is None:
        return
    for name in [name for name in older if name in newer]:
        place, before, after = f"domains.{name}", older[name], newer[name]
        if before.scope != after.scope:
            what = f"pseudonyms of {name}: were told apart by {_list(before.scope)}, now by {_list(after.scope)}"
            yield PolicyChange(place, what, widens=not set(before.scope) <= set(after.scope))
        if before.public != after.public:
            what = f"pseudonyms of {name}: words of {before.public or 'no list'} stayed as they are, now"
            yield PolicyChange(place, f"{what} those of {after.public or 'no list'}", widens=after.public is not None)
        for what, was, now in (
            ("began with", before.prefix, after.prefix),
            ("were compared as", before.canonical, after.canonical),
            ("passed what is unknown to", before.unmatched or "none", after.unmatched or "none"),
        ):
            if was != now:
                told = f"pseudonyms of {name}: {what} {was}, now {now}; none of them joins older releases"
                yield PolicyChange(place, told, widens=False)


def _compare_small_groups(
    older: Mapping[str, SmallGroup] | None, newer: Mapping[str, SmallGroup] | None
) -> Iterator[PolicyChange]:
    if older is None or newer is None:
        return
    for name in dict.fromkeys((*older, *newer)):
        before, after = older.get(name), newer.get(name)
        place = f"small_groups.{name}"
        if before is None:
            yield PolicyChange(place, f"now hidden where few share them: words of {name}", widens=False)
        elif after is None:
            yield PolicyChange(place, f"no longer hidden where few share them: words of {name}", widens=True)
        elif (was := tell_small_group(before)) != (now := tell_small_group(after)):
            looser = after.contributors < before.contributors or after.dominance > before.dominance
            other = (before.of, before.contributor) != (after.of, after.contributor)
            yield PolicyChange(place, f"words of {name}: {was}; now {now}", widens=looser or other)


def _place(metric: PublishedMetric) -> str:
    return f"tables.{metric.table}.{metric.name}"


def _tell_metric(metric: PublishedMetric) -> str:
    return f"metric {metric.name} of table {metric.table}"


def _list(names: Sequence[str]) -> str:
    if not names:
        return "nothing"
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
