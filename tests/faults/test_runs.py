"""What a run does about faults: it ends in time, keeps what it has, and one metric's trouble is not another's."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.pace import Timing
from demo.servers import Server, start_prometheus
from jobs.snapshot.gaps import NO_ANSWER, NO_IDENTITIES, WARNED
from schemas.errors import DeadlineReached, PartialResult, SourceError
from tests.faults.lab import BODY, CPU, HUB, LOAD, WINDOWS, Lab, Planted, open_lab, plant
from tests.faults.proxy import Chosen, Fault, Interruption, Request, answer, cut, hang, trickle, warn
from tests.prometheus.server import CONFIG, RealPrometheus

LIMIT = answer(422, BODY.encode())
by_http = pytest.mark.parametrize("lab", ["http"], indirect=True)


def when_mentioned(word: str, fault: Chosen) -> Callable[[Request], Chosen | None]:
    return lambda request: fault if request.mentions(word) else None


@pytest.mark.parametrize(
    "fault", [pytest.param(hang(0.6), id="hangs"), pytest.param(trickle(pieces=1000, seconds=0.05), id="trickles")]
)
def test_the_deadline_ends_a_run_in_the_middle_of_a_window_and_keeps_the_others(lab: Lab, fault: Fault) -> None:
    """Kubernetes would kill it a little later, and the next run must not find a server still busy with the last."""
    lab.source["timeout"] = "1m"
    lab.limits["deadline"] = "10m"
    skipped = 0.0

    def begin(done: int, _total: int, _what: str) -> None:
        nonlocal skipped
        if done == 1:
            skipped = 599.5
            lab.proxy.fault = when_mentioned(CPU, fault)

    with pytest.raises(DeadlineReached) as caught:
        lab.run(windows=3, progress=begin, timing=Timing(stopwatch=lambda: time.monotonic() + skipped))

    assert caught.value.exit_code == 8
    assert str(caught.value) == "limits.deadline 10m reached; 1 of 3 commits are kept, the next run goes on"
    assert list(lab.commits()) == [lab.planted.window(0)]
    lab.assert_only_whole_windows()

    lab.proxy.fault = lambda _: None
    assert lab.run(windows=3).commits == 2
    for number in range(3):
        lab.assert_exact(lab.planted.window(number))


def test_a_run_that_has_no_time_begins_nothing(lab: Lab) -> None:
    lab.limits["deadline"] = "1ms"

    with pytest.raises(
        DeadlineReached, match=r"^limits\.deadline 1ms reached; nothing was begun, the next run goes on$"
    ):
        lab.run(timing=Timing(stopwatch=iter(range(1000)).__next__))

    assert not lab.commits()


def test_a_run_that_is_told_to_stop_does_so_within_a_window(lab: Lab) -> None:
    """A pod that is asked to end has half a minute; a window of a large cluster may take longer."""
    told = False

    def tell(request: Request) -> None:
        nonlocal told
        told = told or request.mentions(HUB)

    lab.proxy.fault = tell

    with pytest.raises(DeadlineReached, match=r"^told to stop; 1 of 2 commits are kept, the next run goes on$"):
        lab.run(tables=("node", "notebook_hub"), stop=lambda: told)

    lab.assert_exact(lab.planted.window(0), table="node")
    assert not lab.commits("notebook_hub")
    lab.assert_only_whole_windows()


def test_a_metric_that_always_fails_starves_no_window_no_table_and_no_metric(lab: Lab) -> None:
    """Its table waits for it while it may still heal; the oldest windows are about to be lost, and go without it."""
    lab.proxy.fault = when_mentioned(CPU, LIMIT)
    windows = [lab.planted.window(number) for number in range(WINDOWS)]
    waiting, lost = windows[:4], windows[4:]

    with pytest.raises(
        PartialResult, match=r"^4 tables were not committed and stay due, 8 were; the first: "
    ) as caught:
        lab.run(windows=WINDOWS, tables=("node", "notebook_hub"), by_hand=False)

    assert caught.value.exit_code == 4
    assert sorted(lab.commits("notebook_hub")) == sorted(windows)
    assert sorted(lab.commits()) == sorted(lost)
    for window in windows:
        lab.assert_exact(window, table="notebook_hub")
    for window in lost:
        lab.assert_exact(window, but=[CPU])
    assert _ends(lab, 4)[CPU] == _ends(lab, 5)[CPU] == ("failed", NO_ANSWER)
    lab.assert_only_whole_windows()

    lab.proxy.fault = lambda _: None
    healed = lab.run(windows=WINDOWS, tables=("node", "notebook_hub"), by_hand=False)

    assert (healed.commits, healed.failures, healed.gaps) == (4, [], [])
    for window in waiting:
        lab.assert_exact(window)


def test_a_window_that_goes_without_a_metric_is_no_failure_but_is_told(lab: Lab) -> None:
    lab.proxy.fault = when_mentioned(CPU, LIMIT)

    result = lab.run(by_hand=False)

    assert (result.commits, result.failures) == (1, [])
    assert result.gaps == [f"table node, window {lab.planted.window(0)}, metric {CPU}: {NO_ANSWER}"]


@by_http
def test_a_metric_whose_answers_come_with_warnings_is_partial(lab: Lab) -> None:
    lab.proxy.fault = when_mentioned(CPU, warn(BODY))

    with pytest.raises(PartialResult, match="answered with warnings: data are missing"):
        lab.run(windows=2)
    assert not lab.commits()
    lab.run(by_hand=False)

    lab.assert_exact(lab.planted.window(0), but=[CPU])
    assert _ends(lab, 0)[CPU] == ("partial", WARNED)


def test_a_source_that_goes_away_gives_up_no_window(lab: Lab) -> None:
    """What fails because nobody answers may heal in the next minute, however late it is."""

    def begin(done: int, _total: int, _what: str) -> None:
        if done == 1:
            lab.proxy.fault = lambda _: cut(0.0)

    with pytest.raises(PartialResult, match=r"^1 tables were not committed and stay due, 1 were; "):
        lab.run(windows=2, by_hand=False, progress=begin)

    assert list(lab.commits()) == [lab.planted.window(0)]


def test_a_window_without_identities_waits_and_is_then_a_gap(lab: Lab) -> None:
    """Without them nobody knows which node a host is, and no other token may stand for it."""
    lab.source["identity"] = "kubernetes"
    lab.proxy.fault = when_mentioned("kube_node_info", LIMIT)

    with pytest.raises(SourceError, match="answered 422"):
        lab.run()
    assert not lab.commits()
    lab.run(by_hand=False)

    lab.assert_exact(lab.planted.window(0), but=[CPU, LOAD])
    assert set(_ends(lab, 0).values()) == {("failed", NO_IDENTITIES)}
    lab.assert_only_whole_windows()


def test_a_cluster_that_nobody_describes_is_a_gap_in_the_end(lab: Lab) -> None:
    lab.source["identity"] = "kubernetes"

    with pytest.raises(SourceError, match="nobody knows which node a host is"):
        lab.run()
    assert not lab.commits()
    lab.run(by_hand=False)

    lab.assert_exact(lab.planted.window(0), but=[CPU, LOAD])


@pytest.mark.parametrize("path", ["remote-read", "http"])
def test_a_server_that_is_killed_in_mid_read_and_comes_back_costs_no_window(
    prometheus: RealPrometheus, tmp_path: Path, path: str
) -> None:
    """What arrived before is thrown away, and asked for again when the server is there again."""
    servers: list[Server] = []

    def start(port: int | None = None) -> Server:
        flags = ["--web.enable-remote-write-receiver"]
        servers.append(start_prometheus(prometheus.programs, tmp_path / "own", config=CONFIG, flags=flags, port=port))
        return servers[-1]

    def restart() -> None:
        os.kill(servers[-1].pid, signal.SIGKILL)
        servers[-1].stop()
        start(servers[-1].port)

    left = [Interruption(500_000, restart)]
    try:
        # 128 series of 60 kB: more than what the kernel would take off the server's hands at once
        planted: Planted = plant(RealPrometheus(start(), prometheus.programs), padding="long" * 15_000)
        with open_lab(planted, tmp_path, path=path) as lab:
            lab.source["retries"] = 3
            lab.proxy.fault = lambda request: left.pop() if left and _reads(request) else None

            result = lab.run(timing=Timing(draw=lambda: 1.0))  # real pauses: other reads wait for the server, too

            assert len(servers) == 2
            assert sum(map(_reads, lab.proxy.asked)) == 2, "the answer did break"
            assert result.commits == 1
            lab.assert_exact(planted.window(0))
            lab.assert_only_whole_windows()
    finally:
        servers[-1].stop()


def _reads(request: Request) -> bool:
    """Whether the samples of the metric are asked for, and not a count of them."""
    is_read = request.path.startswith(("/api/v1/read", "/api/v1/query_range"))
    return is_read and request.mentions(CPU) and not request.mentions("count")


def _ends(lab: Lab, number: int) -> dict[str, tuple[str, str]]:
    """Return status and reason of every metric of a committed window."""
    record = lab.commits()[lab.planted.window(number)]
    return {entry["metric"]: (entry["status"], entry["reason"]) for entry in record["coverage"]}
