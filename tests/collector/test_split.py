"""A metric is divided into reads that miss nothing, double nothing and stay small, whatever its labels hold.

Matchers are evaluated here by Python's own regular expressions, anchored as Prometheus anchors them.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.promql import Matcher
from collector.split import REGEX_CHARACTERS, Read, plan_reads, split_by_label
from schemas.raw import open_raw

LabelSet = Mapping[str, str]
LABELS = ("namespace", "pod", "instance")
SHORT = st.text(alphabet="ab.*|\\\n-é", max_size=4)
VALUES = st.one_of(SHORT, SHORT.map(lambda text: "x" * 300 + text), st.integers(0, 10**6).map(str))
LABEL_SETS = st.fixed_dictionaries({}, optional=dict.fromkeys(LABELS, VALUES))
EXAMPLES = settings(max_examples=200, derandomize=True, deadline=None, database=None)


@given(
    counted=st.lists(LABEL_SETS, max_size=120),
    born_later=st.lists(LABEL_SETS, max_size=20),
    most=st.integers(1, 30),
)
@EXAMPLES
def test_every_series_belongs_to_exactly_one_read(
    counted: list[LabelSet], born_later: list[LabelSet], most: int
) -> None:
    """Also one that nobody had counted: a window is read minutes after its series were."""
    reads = _plan(counted, most)

    for labels in (*counted, *born_later, {}, {"namespace": "never seen"}, {"pod": "x" * 301 + "!"}):
        assert sum(_selects(read.matchers, labels) for read in reads) == 1


@given(counted=st.lists(LABEL_SETS, max_size=120), most=st.integers(1, 30))
@EXAMPLES
def test_a_read_is_too_large_only_where_no_label_divides_it(counted: list[LabelSet], most: int) -> None:
    for read in _plan(counted, most):
        inside = [labels for labels in counted if _selects(read.matchers, labels)]
        assert len(inside) <= most or len({tuple(labels.get(name, "") for name in LABELS) for labels in inside}) == 1
        for matcher in read.matchers:
            assert len(open_raw(matcher.value)) <= REGEX_CHARACTERS


@given(counts=st.dictionaries(VALUES, st.integers(1, 50), max_size=150), most=st.integers(1, 60))
@EXAMPLES
def test_parts_hold_what_they_say(counts: dict[str, int], most: int) -> None:
    """The plan that an operator is shown and the reads that are made must agree."""
    plain = {value: count for value, count in counts.items() if "\n" not in value}

    for part in split_by_label("a", plain, most=most):
        inside = {value: count for value, count in plain.items() if _selects([part.matcher], {"a": value})}
        assert sum(inside.values()) == part.series
        if part.series > most and not part.divisible:
            assert len(inside) == 1


def test_values_are_packed_and_not_read_one_by_one() -> None:
    """100 namespaces of 10 series each make 4 reads of up to 300, not 100 of 10."""
    reads = _plan([{"namespace": f"team-{n % 100}"} for n in range(1000)], 300)

    assert sorted(read.series or 0 for read in reads) == [100, 300, 300, 300]
    assert [read.matchers[0].op for read in reads] == ["=~", "=~", "=~", "!~"][: len(reads)]


def test_one_group_that_is_too_large_is_divided_by_a_second_label() -> None:
    series = [{"namespace": "large", "pod": f"p{n % 3}"} for n in range(90)]
    series += [{"namespace": f"small-{n % 4}", "pod": "p0"} for n in range(80)]

    reads = _plan(series, 40)

    assert sorted(read.series or 0 for read in reads) == [30, 30, 30, 40, 40]
    assert Counter(read.matchers[0] == Matcher("namespace", "=", "large") for read in reads) == {True: 3, False: 2}


def test_a_label_that_every_series_shares_divides_nothing() -> None:
    series = [{"namespace": "one", "pod": f"p{n % 2}"} for n in range(10)]

    assert [{matcher.name for matcher in read.matchers} for read in _plan(series, 6)] == [{"pod"}, {"pod"}]


def test_what_no_label_divides_is_one_read_and_says_its_size() -> None:
    assert plan_reads(10, ["a", "b"], lambda label, matchers: {"": 10}, most=3) == (Read((), 10),)
    assert plan_reads(10, [], lambda label, matchers: {}, most=3) == (Read((), 10),)


def test_a_metric_that_is_small_is_not_asked_about() -> None:
    """Each count costs the server nearly as much as a read."""
    reads = plan_reads(50, LABELS, lambda label, matchers: pytest.fail("nothing is to be counted"), most=50)

    assert reads == (Read((), 50),)


def test_counting_stops_at_the_first_label_that_packs_well() -> None:
    series = [{"namespace": f"n{n % 7}", "pod": f"p{n}"} for n in range(100)]
    asked: list[str] = []

    def count(label: str, matchers: Sequence[Matcher]) -> Counter[str]:
        asked.append(label)
        return _count(series, label, matchers)

    assert len(plan_reads(100, LABELS, count, most=60)) == 2
    assert asked == ["namespace"]


@pytest.mark.parametrize("seed", range(40))
def test_beginnings_are_taken_literally_and_end_where_a_value_does(seed: int) -> None:
    """So many and long values that a list of them would be too long."""
    rng = random.Random(seed)
    values = {"x" * 60 + "".join(rng.choices("ab.*|(\\$é ", k=rng.randint(0, 5))) for _ in range(600)}
    counts = {value: rng.randint(1, 9) for value in values}
    assert sum(map(len, values)) > REGEX_CHARACTERS

    parts = split_by_label("a", counts, most=60)

    others = ["", "x", "x" * 60 + "Z", "x" * 60 + "a" * 9, "x" * 59 + "."]
    sums = [0] * len(parts)
    for value in (*values, *others):
        (place,) = (n for n, part in enumerate(parts) if _selects([part.matcher], {"a": value}))
        sums[place] += counts.get(value, 0)
    assert sums == [part.series for part in parts]
    assert max(sums) <= 60


def test_a_beginning_that_is_still_too_large_is_divided_by_the_same_label_again() -> None:
    """One regular expression has no room for all that one label must list; the next level has its own."""
    series = [{"pod": f"{'x' * 60}{n * 7919 % 99991:05}"} for n in range(700)]

    reads = _plan(series, 2)

    assert max(read.series or 0 for read in reads) <= 2
    assert max(len(read.matchers) for read in reads) > 1
    assert max(len(open_raw(matcher.value)) for read in reads for matcher in read.matchers) <= REGEX_CHARACTERS
    assert sum(read.series or 0 for read in reads) == len(series)


def test_thousands_of_values_are_divided_by_how_they_begin() -> None:
    """A list of every pod's name would be longer than any server likes to compare."""
    series = [{"pod": f"service-{n % 30}-6d4cf56db6-{n * 7919 % 99991:05x}"} for n in range(20_000)]

    reads = _plan(series, 5_000)

    assert 4 <= len(reads) <= 6
    assert all(len(open_raw(matcher.value)) < 2_000 for read in reads for matcher in read.matchers)
    assert max(read.series or 0 for read in reads) <= 5_000
    assert sum(read.series or 0 for read in reads) == len(series)


def test_a_read_shows_no_values() -> None:
    reads = _plan([{"namespace": "payroll"}, {"namespace": "b"}], 1)

    assert len(reads) == 2
    assert "payroll" not in repr(reads)


def _plan(series: Sequence[LabelSet], most: int) -> tuple[Read, ...]:
    return plan_reads(len(series), LABELS, lambda label, matchers: _count(series, label, matchers), most=most)


def _count(series: Iterable[LabelSet], label: str, matchers: Sequence[Matcher]) -> Counter[str]:
    return Counter(labels.get(label, "") for labels in series if _selects(matchers, labels))


def _selects(matchers: Iterable[Matcher], labels: LabelSet) -> bool:
    return all(_matches(matcher, labels.get(matcher.name, "")) for matcher in matchers)


def _matches(matcher: Matcher, value: str) -> bool:
    wanted = open_raw(matcher.value)
    same = value == wanted if matcher.op in ("=", "!=") else bool(re.fullmatch(wanted, value))
    return same == (matcher.op in ("=", "=~"))
