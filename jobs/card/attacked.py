"""What measured attacks say about releases: the configured report, and its numbers in words. Words are made here alone.

The report holds numbers only, so nothing of its author's can enter a card.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from schemas.attacks import AttackReport, Relinked
from schemas.errors import UsageError

_HINT = "make one with 'make attack', or leave the key out"


def read_attacks(path: Path | None) -> AttackReport | None:
    """Return what may be published of the configured report; ``None`` if there is none.

    Raise ``UsageError`` for a file that is no report.
    """
    if path is None:
        return None
    try:
        return AttackReport.model_validate_json(path.read_bytes()).model_copy(update={"machine": None})
    except OSError as error:
        raise UsageError(f"privacy.attacks: {path} cannot be read: {error.strerror}; {_HINT}") from None
    except ValidationError as error:
        problems = error.error_count()
        raise UsageError(f"privacy.attacks: {path} is not a report of attacks ({problems} problems); {_HINT}") from None


def say_where(report: AttackReport) -> str:
    """Return what was attacked, when, and with which code."""
    on = report.on
    cluster = "a simulated cluster" if on.provenance == "simulated" else "a real cluster"
    return (
        f"{on.releases} releases of {cluster}, of {on.hours} hours each ({on.nodes} nodes, {on.namespaces} namespaces, "
        f"{on.pods:,} pods and {on.rows:,} rows in the first), made under policy {on.policy} version "
        f"{on.policy_version}; commit {report.commit}, {report.measured:%Y-%m-%d}"
    )


def say_attacks(report: AttackReport) -> Iterator[tuple[str, str]]:
    """Yield a title and sentences for each attack."""
    guessed, broken = report.dictionary.release, report.dictionary.control
    yield (
        "Guessing names.",
        f"{guessed.digests:,} digests of {guessed.candidates:,} candidate names, every true one among them, without a "
        "key and under keys that people think up: "
        f"{guessed.hits} of {guessed.tokens:,} tokens were guessed. Of a copy made without a secret key, "
        f"{broken.hits:,} of {broken.tokens:,}.",
    )
    pair = report.known_pair.release
    yield (
        "One known name.",
        f"{pair.pairs} names with their tokens, each by itself, named {pair.named} of the other tokens. All rows that "
        f"carry a known token are known, though: at the median {pair.series:.2%} of the series.",
    )
    phase = report.scrape_phase
    yield (
        "Times of rows.",
        f"They told {phase.release.told} of {phase.release.targets} targets. The times of scrapes, which are not "
        f"published, told {phase.control.told}.",
    )
    order, sizes = report.row_order, report.sizes
    yield (
        "Order and sizes.",
        "Rank correlation of the order of rows with that of the hidden names: "
        f"{order.release.correlation:.2f}, where chance reaches {order.release.chance:.2f}; sorted by raw names, "
        f"{order.control.correlation:.2f}. Of sizes with lengths of names: {sizes.release.correlation:.2f}, where "
        f"chance reaches {sizes.release.chance:.2f}; with tokens as long as names, {sizes.control.correlation:.2f}.",
    )
    yield from _say_values(report)
    yield "Another key.", say_links(report)


def say_links(report: AttackReport) -> str:
    """Return how many containers were found again under another key."""
    results = report.relinking.release.results
    shapes = sorted((each for each in results if each.by == "shape"), key=lambda each: each.population)
    going = [each for each in results if each.by == "continuing"]
    shared = [each for each in report.relinking.control.results if each.by == "overlap"]
    minutes = report.relinking.control.overlap_minutes
    parts = [f"by the shape of its curves {_shares(shapes)}"] if shapes else []
    parts += [
        f"by counters and ages that go on where two releases meet {_percent(each.top1)} of {each.population:,}"
        for each in going
    ]
    parts += [f"by {minutes} minutes that two releases share {_percent(each.top1)}" for each in shared]
    if not parts:
        return "No container was tried."
    return f"Containers found again at the first guess: {'; '.join(parts)}."


def say_briefly(report: AttackReport) -> str:
    """Return the figures that matter most, in a line."""
    guessed, phase = report.dictionary.release, report.scrape_phase.release
    results = report.relinking.release.results
    shape = max((each for each in results if each.by == "shape"), key=lambda each: each.population)
    going = max((each.top1 for each in results if each.by == "continuing"), default=0.0)
    return (
        f"names guessed, {guessed.hits} of {guessed.tokens:,}; targets told by the times of rows, {phase.told} of "
        f"{phase.targets}; containers found again under another key, {_percent(shape.top1)} of {shape.population:,} by "
        f"the shape of their curves and {_percent(going)} by counters that go on"
    )


def _say_values(report: AttackReport) -> Iterator[tuple[str, str]]:
    starts = report.start_times.release
    yield (
        "Start times.",
        f"Of {starts.entities:,} pods, {starts.unique_by_minute:,} are alone with the minute of their start and "
        f"{starts.unique_by_hour:,} with its hour. Of {starts.arrivals:,} that came within the release, "
        f"{starts.unique_arrivals:,} are alone with their first row.",
    )
    hidden, label_alone = report.differencing.release, report.differencing.control
    yield (
        "Hidden words.",
        f"Of {hidden.hidden} GPUs whose family is hidden as rare, {hidden.told_by_values} are told by their "
        f"memory, {hidden.told_by_tables} by another table, {hidden.told_by_releases} by another release of the key; "
        f"by one that shows it, {label_alone.told_by_releases} of {label_alone.hidden}.",
    )
    capacities = report.capacities
    yield (
        "Capacities.",
        f"{capacities.release.unique} of {capacities.release.nodes} nodes are alone with rounded capacities; with "
        f"exact ones, {capacities.control.unique}.",
    )
    groups = report.smallest_groups.release.columns
    if groups:
        listed = ", ".join(f"{each.smallest} in `{each.table}.{each.column}`" for each in groups)
        yield "Small groups.", f"Machines, workloads or pods that share the rarest word shown: {listed}."


def _shares(results: list[Relinked]) -> str:
    return ", ".join(f"{_percent(each.top1)} of {each.population:,}" for each in results)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
