"""Which words few share: counted in entities, whoever contributes them, and decided for the release as a whole."""

import pytest

from anonymize import groups
from anonymize.groups import Group, GroupCounter, find_small_groups
from schemas.policy import OTHER, SmallGroup

OF_NODES = SmallGroup(of=("node",), why="Few machines may have it.")
OF_TEAMS = SmallGroup(of=("workload", "pod"), contributor="namespace", why="One team may have it.")
RULES = {"families": OF_NODES, "kinds": OF_TEAMS}


def counted(
    group: Group, *entities: tuple[str | None, str | None], counter: GroupCounter | None = None
) -> GroupCounter:
    counter = counter or GroupCounter()
    for entity, contributor in entities:
        counter.add(group, entity, contributor)
    return counter


@pytest.mark.parametrize(("machines", "hidden"), [(4, True), (5, False)])
def test_a_word_is_shown_from_k_entities_on(machines: int, hidden: bool) -> None:
    counter = counted(Group("families", "H200", "node"), *((f"node-{n}", None) for n in range(machines)))

    assert find_small_groups(counter, RULES, k=5) == ({"families": {"H200"}} if hidden else {})


def test_an_entity_counts_once_however_often_it_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine has eight GPUs and a series an hour; it is one machine. Also when sums are made on the way."""
    monkeypatch.setattr(groups, "_PENDING", 3)
    counter = counted(Group("families", "H200", "node"), *((f"node-{n % 4}", None) for n in range(1000)))

    assert find_small_groups(counter, RULES, k=5) == {"families": {"H200"}}
    assert [size.entities for _, size in counter.sizes()] == [4]


def test_what_one_contributor_nearly_owns_is_hidden() -> None:
    """Fifty training jobs of a kind are no crowd when one team runs all but two of them."""
    owners = ["big"] * 41 + ["b"] * 5 + ["c"] * 4
    counter = counted(
        Group("kinds", "PyTorchJob", "workload"), *((f"job-{n}", owner) for n, owner in enumerate(owners))
    )
    even = counted(Group("kinds", "Job", "workload"), *((f"job-{n}", f"team-{n % 3}") for n in range(9)))

    assert find_small_groups(counter, RULES, k=5) == {"kinds": {"PyTorchJob"}}
    assert find_small_groups(even, RULES, k=5) == {}


def test_a_word_of_two_contributors_is_hidden_however_many_entities_they_have() -> None:
    counter = counted(Group("kinds", "Job", "workload"), *((f"job-{n}", f"team-{n % 2}") for n in range(100)))

    assert find_small_groups(counter, RULES, k=5) == {"kinds": {"Job"}}


def test_every_way_of_counting_must_find_enough() -> None:
    """Forty pods of three workloads are three workloads."""
    counter = counted(Group("kinds", "Job", "pod"), *((f"pod-{n}", f"team-{n % 3}") for n in range(40)))
    counted(Group("kinds", "Job", "workload"), *((f"job-{n}", f"team-{n}") for n in range(3)), counter=counter)

    assert find_small_groups(counter, RULES, k=5) == {"kinds": {"Job"}}


def test_a_word_that_nobody_in_particular_has_is_hidden() -> None:
    """Series without an entity say nothing of how many share a word."""
    counter = counted(Group("families", "H200", "node"), *((None, None) for _ in range(100)))
    counted(Group("families", "A100", "node"), *((f"node-{n}", None) for n in range(5)), (None, None), counter=counter)

    assert find_small_groups(counter, RULES, k=5) == {"families": {"H200"}}


def test_other_is_no_word() -> None:
    counter = counted(Group("families", OTHER, "node"), ("node-1", None))

    assert find_small_groups(counter, RULES, k=5) == {}
