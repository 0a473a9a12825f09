"""What was scraped, and what was not, is told from ``up`` alike by both paths; planted outages come out as planted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pytest

import collector.coverage
from collector.connection import Access, Connection
from collector.coverage import count_samples
from collector.grid import Grid
from collector.kernels.coverage import count_hours
from collector.kernels.stats import EXPECTED, HOUR_COLUMNS, RECEIVED
from collector.labels import LabelSets
from collector.matrix import MatrixSeries
from collector.promql import Matcher
from collector.reader import ReadPath, choose_reader
from collector.scrapes import FAILED, SUCCEEDED, UNSEEN, ScrapeTimes, target_indices
from collector.up import DOWN, UP
from schemas.hours import HOUR_MS
from schemas.raw import open_raw
from tests.collector.hostile import MINUTE, SECOND, STALE, to_bits
from tests.collector.planted_up import BITS, END, GRID, LOOKBACK, PATHS, START, every, plant, read, ups, without
from tests.prometheus.server import RealPrometheus
from tests.prometheus.wire import Samples


def by_instance(scrapes: ScrapeTimes) -> dict[str, list[tuple[int, bool]]]:
    """Return (time, whether nobody saw it) of the scheduled scrapes of each target."""
    return {
        target["instance"]: list(
            zip(scrapes.scheduled[first:last].tolist(), scrapes.unseen[first:last].tolist(), strict=True)
        )
        for target, first, last in zip(open_raw(scrapes.labels), scrapes.offsets[:-1], scrapes.offsets[1:], strict=True)
    }


def in_hours(times: Iterable[int]) -> list[int]:
    times = list(times)
    return [sum(begin <= each < begin + HOUR_MS for each in times) for begin in range(START, END, HOUR_MS)]


@pytest.mark.parametrize("path", PATHS)
def test_scrapes_are_those_that_the_server_recorded(prometheus: RealPrometheus, path: ReadPath) -> None:
    """Two intervals, jitter, a target down for twenty minutes, one born and gone: as the raw samples have it."""
    down = (START + 30 * MINUTE, START + 50 * MINUTE)
    planted = {
        "fast": ups(every(15 * SECOND, offset=7_123)),
        "slow": ups(every(MINUTE, offset=1)),
        "jittered": ups([each + each // 30_000 * 7919 % 900 for each in every(30 * SECOND)]),
        "down": ups(every(15 * SECOND), down=down),
        "young": ups(every(15 * SECOND, begin=START + 70 * MINUTE)),
        "gone": ups(every(15 * SECOND, end=START + 40 * MINUTE), gone=[START + 40 * MINUTE]),
    }
    source = plant(prometheus, planted)
    raw = {
        labels["instance"]: samples
        for labels, samples in prometheus.read_raw("up", START - HOUR_MS, END + HOUR_MS)
        if labels.get("source") == source
    }
    assert raw == planted

    scrapes = read(prometheus, source, path)

    assert by_instance(scrapes) == {
        name: [(at, False) for at, bits in samples if START - LOOKBACK <= at < END and bits == BITS[UP]]
        for name, samples in raw.items()
    }
    for number, target in enumerate(open_raw(scrapes.labels)):
        samples = raw[target["instance"]]
        assert scrapes.counts[number, :, SUCCEEDED].tolist() == in_hours(at for at, b in samples if b == BITS[UP])
        assert scrapes.counts[number, :, FAILED].tolist() == in_hours(at for at, b in samples if b == BITS[DOWN])
    assert not scrapes.counts[:, :, UNSEEN].any()
    intervals = {t["instance"]: int(i) for t, i in zip(open_raw(scrapes.labels), scrapes.intervals, strict=True)}
    assert intervals == pytest.approx(
        {"fast": 15_000, "slow": 60_000, "jittered": 30_000, "down": 15_000, "young": 15_000, "gone": 15_000}, abs=200
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "outage",
    [
        (START + 20 * MINUTE, START + 50 * MINUTE),
        (START - 40 * MINUTE, START + 30 * MINUTE),
        (START - 3 * MINUTE, START + 30 * MINUTE),
        (END - 20 * MINUTE, END + 10 * MINUTE),
        (START + 50 * MINUTE, START + 51 * MINUTE),
    ],
    ids=["inside", "from long before", "from shortly before", "to the end", "of a minute"],
)
def test_scrapes_that_the_source_missed_are_put_where_they_were_missed(
    prometheus: RealPrometheus, path: ReadPath, outage: tuple[int, int]
) -> None:
    """A source that was off leaves no trace but the pause; without these, its gaps would count as complete."""
    targets = {
        "fast": every(15 * SECOND, offset=7_000),
        "slow": every(30 * SECOND, offset=11_000),
        "other": every(15 * SECOND, offset=2_000),
    }
    source = plant(prometheus, {name: ups(without(times, *outage)) for name, times in targets.items()})

    scrapes = read(prometheus, source, path)

    wanted = {
        name: [(at, outage[0] <= at < outage[1]) for at in times if START - LOOKBACK <= at < END]
        for name, times in targets.items()
    }
    assert by_instance(scrapes) == wanted
    for number, target in enumerate(open_raw(scrapes.labels)):
        lost = [at for at, unseen in wanted[target["instance"]] if unseen]
        assert scrapes.counts[number, :, UNSEEN].tolist() == in_hours(lost)


@pytest.mark.parametrize("path", PATHS)
def test_a_target_that_came_back_was_not_missed_meanwhile(prometheus: RealPrometheus, path: ReadPath) -> None:
    """It had ended, by its stale marker, or because others went on being scraped: nobody was to scrape it."""
    absent = (START + 20 * MINUTE, START + 50 * MINUTE)
    source = plant(
        prometheus,
        {
            "steady": ups(every(15 * SECOND)),
            "moved": ups(without(every(15 * SECOND, offset=3_000), *absent), gone=[absent[0] + 3_000]),
        },
    )

    scrapes = read(prometheus, source, path)

    assert not scrapes.unseen.any()
    assert not scrapes.counts[:, :, UNSEEN].any()


def test_silence_without_a_marker_is_the_source_s_own_where_markers_show(prometheus: RealPrometheus) -> None:
    """Behind one receiver several agents write; one of them may be off while the others go on."""
    outage = (START + 20 * MINUTE, START + 50 * MINUTE)
    times = every(15 * SECOND, offset=3_000)
    source = plant(prometheus, {"steady": ups(every(15 * SECOND)), "cut off": ups(without(times, *outage))})

    scrapes = read(prometheus, source, "remote-read")

    assert by_instance(scrapes)["cut off"] == [
        (at, outage[0] <= at < outage[1]) for at in times if START - LOOKBACK <= at < END
    ]


def test_a_source_that_was_off_all_the_time_has_no_targets(prometheus: RealPrometheus) -> None:
    for path in PATHS:
        scrapes = read(prometheus, "nobody", path)

        assert scrapes.targets == 0
        assert scrapes.counts.shape == (0, 2, 3)
        assert target_indices(LabelSets([{"job": "a", "instance": "b"}]), scrapes).tolist() == [-1]


def test_up_is_asked_in_pieces_where_it_is_long(prometheus: RealPrometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The query API answers with text; that of 10,000 targets would fill the memory."""
    source = plant(prometheus, {f"t{n}": ups(every(15 * SECOND, offset=n)) for n in range(4)})
    whole = read(prometheus, source, "http")

    monkeypatch.setattr(collector.coverage, "PAIRS_A_QUERY", 500)
    pieces = read(prometheus, source, "http")

    assert by_instance(pieces) == by_instance(whole)
    np.testing.assert_array_equal(pieces.counts, whole.counts)


def test_samples_are_counted_by_hours_as_they_lie_in_the_server(prometheus: RealPrometheus) -> None:
    """Edges fall to the hour that begins; stale markers are none; a window may begin within an hour."""
    metric = prometheus.new_metric("counted")
    times = [START, START + 1, START + HOUR_MS - 1, START + HOUR_MS, START + 90 * MINUTE, END - 1]
    beyond = [START - 1, END, END + 1]
    prometheus.write(
        [
            ({"__name__": metric, "case": "edges"}, [(at, to_bits(2.0)) for at in sorted(times + beyond)]),
            ({"__name__": metric, "case": "ends"}, [(START + MINUTE, to_bits(1.0)), (START + 2 * MINUTE, STALE)]),
            ({"__name__": metric, "case": "other"}, [(START + MINUTE, to_bits(1.0))]),
        ]
    )
    api = choose_reader(Connection(Access(prometheus.url)), "http", now_ms=END).api
    raw = prometheus.read_raw(metric, START - HOUR_MS, END + HOUR_MS)
    hours: dict[int, int] = defaultdict(int)
    for _, samples in raw:
        for at, bits in samples:
            hours[(at - START) // HOUR_MS] += bits != STALE
    assert [hours[0], hours[1]] == [5, 3]

    assert count_samples(api, metric, (), GRID).tolist() == [5, 3]
    assert count_samples(api, metric, (Matcher("case", "=", "edges"),), GRID).tolist() == [3, 3]
    assert count_samples(api, metric, (Matcher("case", "=", "nobody"),), GRID).tolist() == [0, 0]
    late = Grid(START + 30 * MINUTE, END, 30 * SECOND, LOOKBACK, lookback_includes_edge=True)
    assert count_samples(api, metric, (), late).tolist() == [1, 3]
    short = Grid(START + 90 * MINUTE, START + 105 * MINUTE, 30 * SECOND, LOOKBACK, lookback_includes_edge=True)
    assert count_samples(api, metric, (), short).tolist() == [1]


@pytest.mark.parametrize(("includes_edge", "range_ms"), [(True, 3_599_999), (False, 3_600_000)], ids=["2.x", "3.x"])
def test_a_range_holds_an_hour_under_either_rule_of_its_edge(includes_edge: bool, range_ms: int) -> None:
    """A 2.x range includes both its ends, a 3.x range no longer its first: one sample in 240 hangs on it."""
    asked = []

    class Api:
        def query_range(self, promql: str, **bounds: int) -> list[MatrixSeries]:
            asked.append((promql, bounds))
            return []

    count_samples(Api(), "m", (), Grid(START, END, 30_000, LOOKBACK, includes_edge))  # type: ignore[arg-type]

    selector = f'sum(count_over_time({{__name__="m"}}[{range_ms}ms]))'
    bounds = {"start_ms": START + HOUR_MS - 1, "end_ms": END - 1, "step_ms": HOUR_MS}
    assert asked == [(selector, bounds)]


def test_planted_losses_are_counted_from_the_server_s_own_samples(prometheus: RealPrometheus) -> None:
    """From the server to the hours: what is received and expected is what was planted, series by series."""
    outage = (START + 70 * MINUTE, START + 100 * MINUTE)
    down = (START + 10 * MINUTE, START + 30 * MINUTE)
    fast, slow = every(15 * SECOND, offset=3_000), every(MINUTE, offset=9_000)
    source = plant(
        prometheus,
        {"fast": ups(without(fast, *outage), down=down), "slow": ups(without(slow, *outage))},
    )
    metric = prometheus.new_metric("planted")
    alive = without(without(fast, *outage), *down)
    failed_first = min(at for at in fast if at >= down[0])
    pod = [at for at in fast if START + 40 * MINUTE <= at < START + 50 * MINUTE]
    after_pod = pod[-1] + 15 * SECOND
    planted: dict[tuple[str, str], Samples] = {
        ("fast", "steady"): [*((at, BITS[UP]) for at in alive), (failed_first, STALE)],
        ("fast", "pod"): [*((at, BITS[UP]) for at in pod), (after_pod, STALE)],
        ("fast", "own times"): [(at - 2 * SECOND, BITS[UP]) for at in alive],
        ("slow", "steady"): [(at, BITS[UP]) for at in without(slow, *outage)],
    }
    labels = {"__name__": metric, "source": source, "job": "planted"}
    prometheus.write(({**labels, "instance": t, "case": c}, sorted(s)) for (t, c), s in planted.items())

    for path in PATHS:
        scrapes = read(prometheus, source, path)
        found = {}
        for series, samples in prometheus.read_raw(metric, START - LOOKBACK, END - 1):
            target = int(target_indices(LabelSets([series]), scrapes)[0])
            hours = np.zeros((2, HOUR_COLUMNS), dtype=np.int64)
            count_hours(
                np.array([at for at, _ in samples], dtype=np.int64),
                np.array([bits for _, bits in samples], dtype=np.uint64),
                len(samples),
                int(scrapes.intervals[target]),
                scrapes.scheduled,
                scrapes.unseen,
                int(scrapes.offsets[target]),
                int(scrapes.offsets[target + 1]),
                scrapes.bounds,
                LOOKBACK,
                hours,
            )
            found[series["instance"], series["case"]] = hours[:, [EXPECTED, RECEIVED]].tolist()

        # twenty minutes of an hour failed and are expected of nobody; thirty of the other were missed by the source
        assert found == {
            ("fast", "steady"): [[160, 160], [240, 120]],
            ("fast", "pod"): [[40, 40], [0, 0]],
            ("fast", "own times"): [[160, 160], [240, 120]],
            ("slow", "steady"): [[60, 60], [60, 30]],
        }
