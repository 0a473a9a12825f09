"""Values as they are published: what each treatment does, and what it leaves alone."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonymize.values import round_up_to_bucket, treat_values
from schemas.table import Treatment

CANONICAL_NAN = 0x7FF8000000000000
STALE_NAN = 0x7FF0000000000002
MINUTE_MS = 60_000


def floats(*values: float) -> npt.NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def bits(values: npt.NDArray[np.float64]) -> list[int]:
    return [int(each) for each in values.view(np.uint64)]


def treat(treatment: Treatment, *values: float, at_ms: int = 0) -> tuple[npt.NDArray[np.float64], list[bool]]:
    stamps = np.full(len(values), at_ms, dtype=np.int64)
    treated, valid = treat_values(treatment, floats(*values), stamps)
    return treated, valid.tolist()


@pytest.mark.parametrize("treatment", ["exact", "blank_to_null", "bucket", "age"])
def test_every_nan_becomes_the_one(treatment: Treatment) -> None:
    """A NaN has 51 bits of payload: room for a message, and for Prometheus's own markers."""
    payloads = [
        CANONICAL_NAN,
        STALE_NAN,
        0x7FF0000000000001,
        0xFFF8000000000000,
        0x7FFFFFFFFFFFFFFF,
        0xFFFDEADBEEF01234,
    ]
    values = np.array(payloads, dtype=np.uint64).view(np.float64)

    treated, valid = treat_values(treatment, values, np.zeros(len(values), dtype=np.int64))

    assert set(bits(treated)) == {CANONICAL_NAN}
    assert valid.all()


@pytest.mark.parametrize("treatment", ["exact", "blank_to_null"])
def test_every_other_bit_is_kept(treatment: Treatment) -> None:
    values = [0.0, -0.0, np.inf, -np.inf, 5e-324, -5e-324, 1.7976931348623157e308, 0.1, -1.5, 2.0**53 + 2]

    treated, valid = treat(treatment, *values)

    assert bits(treated) == bits(floats(*values))
    assert all(valid)


@given(values=st.lists(st.floats(allow_nan=False), max_size=20))
def test_exact_is_exact(values: list[float]) -> None:
    treated, valid = treat("exact", *values)

    assert bits(treated) == bits(floats(*values))
    assert all(valid)


BLANKS = [
    *(2147483632 + kind for kind in range(4)),  # int32: blank, not found, not supported, no permission
    *(140737488355328 + kind for kind in range(4)),  # float64
    9223372036854775792,  # int64, which a float rounds to 2**63
    9223372036854775793,
    9223372036854775794,
    9223372036854775795,
]
NO_BLANKS = [0, -1, 100, 2147483631, 2147483636, 2147483647, 140737488355327, 140737488355332, 2**62, 2**64, -(2**63)]


@pytest.mark.parametrize("blank", BLANKS)
def test_a_placeholder_of_dcgm_is_null(blank: int) -> None:
    """dcgm-exporter says 9223372036854775794 for "not supported"; a mean over that is nonsense."""
    _, valid = treat("blank_to_null", float(blank), 50.0)

    assert valid == [False, True]


@pytest.mark.parametrize("value", NO_BLANKS)
def test_what_only_looks_like_a_placeholder_is_kept(value: int) -> None:
    treated, valid = treat("blank_to_null", float(value))

    assert (treated.tolist(), valid) == ([float(value)], [True])


@pytest.mark.parametrize("treatment", ["exact", "bucket", "age"])
def test_placeholders_are_null_only_where_the_schema_says_so(treatment: Treatment) -> None:
    assert all(treat(treatment, *map(float, BLANKS))[1])


GIB = 1 << 30


@pytest.mark.parametrize(
    ("value", "bucket"),
    [
        (0.0, 0.0),
        (-0.0, -0.0),
        (-5.0, -5.0),
        (0.1, 0.125),
        (0.5, 0.5),
        (0.7, 0.75),
        (1.0, 1.0),
        (1.2, 1.5),
        (2.0, 2.0),
        (2.5, 3.0),
        (3.0, 3.0),
        (3.1, 4.0),
        (5.0, 6.0),
        (7.0, 8.0),
        (95.0, 96.0),
        (96.0, 96.0),
        (97.0, 128.0),
        (385_623_724_032.0, 384.0 * GIB),
        (270_000_000_000.0, 256.0 * GIB),
        (1.7e308, np.inf),
        (np.inf, np.inf),
        (-np.inf, -np.inf),
    ],
)
def test_a_capacity_becomes_the_next_bucket(value: float, bucket: float) -> None:
    """The exact memory of a machine is a fingerprint; its size class is what studies need."""
    treated, valid = treat("bucket", value)

    assert bits(treated) == bits(floats(bucket))
    assert valid == [True]


@given(values=st.lists(st.floats(min_value=1e-300, max_value=1e300), min_size=1, max_size=20))
def test_a_bucket_is_at_or_above_and_less_than_half_more(values: list[float]) -> None:
    given_values, treated = floats(*values), round_up_to_bucket(floats(*values))

    assert (treated >= given_values).all()
    assert (treated <= given_values * 1.5).all()
    assert set(np.frexp(treated)[0].tolist()) <= {0.5, 0.75}
    assert (round_up_to_bucket(treated) == treated).all()


@pytest.mark.parametrize(
    ("started", "at_ms", "age"),
    [
        (0.0, 0, 0),
        (0.0, 59_999, 0),
        (0.0, MINUTE_MS, 60),
        (0.25, MINUTE_MS, 0),
        (1_763_856_000.123, 1_763_856_000_123 + 90 * MINUTE_MS, 90 * 60),
        (100.0, 0, 0),  # the exporter's clock is ahead
        (1e18, 0, 0),
        (np.inf, 0, 0),
    ],
)
def test_an_age_is_in_whole_minutes_and_never_negative(started: float, at_ms: int, age: int) -> None:
    """The second of a boot stands in other people's logs; the age in minutes serves the studies."""
    treated, valid = treat("age", started, at_ms=at_ms)

    assert bits(treated) == bits(floats(float(age)))
    assert valid == [True]


@given(started=st.floats(-1e11, 1e11), at_ms=st.integers(0, 4_102_444_800_000))
def test_every_age_is_a_whole_number_of_minutes(started: float, at_ms: int) -> None:
    (age,) = treat("age", started, at_ms=at_ms)[0].tolist()

    assert age >= 0
    assert age % 60 == 0
    assert age <= max(0.0, at_ms / 1000 - started)


def test_inputs_are_left_as_they_are() -> None:
    """The same block may be counted after it was treated."""
    treatments: tuple[Treatment, ...] = ("exact", "blank_to_null", "bucket", "age")
    for treatment in treatments:
        values = np.array([STALE_NAN], dtype=np.uint64).view(np.float64)
        treat_values(treatment, values, np.zeros(1, dtype=np.int64))

        assert bits(values) == [STALE_NAN]


def test_nothing_is_nothing() -> None:
    treated, valid = treat("age")

    assert treated.shape == (0,)
    assert not valid
