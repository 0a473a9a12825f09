"""Per-second rates, point by point."""

import numpy as np
import pytest

from opscommons._rates import per_second

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "rates"),
    [
        ([0.0, 10.0, 30.0], [NAN, 1.0, 2.0]),
        ([100.0, 5.0, 15.0], [NAN, 0.5, 1.0]),
        ([5.0, 5.0, 5.0], [NAN, 0.0, 0.0]),
        ([1.0, NAN, 21.0], [NAN, NAN, NAN]),
        ([10.0, -5.0, 5.0], [NAN, NAN, 1.0]),
        ([float("inf"), float("inf"), 1.0], [NAN, NAN, 0.1]),
    ],
    ids=["rising", "reset", "still", "missing", "reset of a rebased counter", "infinite"],
)
def test_rates_of_one_series(values: list[float], rates: list[float]) -> None:
    found = per_second(
        series=np.zeros(3, np.int64), timestamps_ms=np.array([0, 10_000, 20_000]), values=np.array(values)
    )

    assert found == pytest.approx(np.array(rates), nan_ok=True)


def test_series_do_not_touch_and_order_does_not_matter() -> None:
    """Rows come by day, so a series' points lie apart from each other."""
    series = np.array([1, 0, 1, 0, 1])
    found = per_second(
        series=series,
        timestamps_ms=np.array([20_000, 0, 0, 40_000, 10_000]),
        values=np.array([7.0, 0.0, 1.0, 40.0, 2.0]),
    )

    assert found == pytest.approx(np.array([0.5, NAN, NAN, 1.0, 0.1]), nan_ok=True)


def test_nothing_has_no_rates() -> None:
    nothing = np.zeros(0, np.int64)

    assert len(per_second(series=nothing, timestamps_ms=nothing, values=np.zeros(0))) == 0
