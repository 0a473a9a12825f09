"""Series find the target that they were scraped from, and of replicas the one that saw more counts."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import numpy as np
import pytest

from collector.labels import LabelSets
from collector.scrapes import ScrapeTimes, find_scrapes, make_schedule, target_indices
from collector.up import DOWN, UP, UpSamples
from schemas.raw import Raw, open_raw
from tests.collector.hostile import MINUTE, SECOND
from tests.collector.planted_up import END, GRID, LOOKBACK, START, every


def a_source(*targets: dict[str, str], times: Sequence[Sequence[int]] | None = None) -> ScrapeTimes:
    """Targets that were scraped all the time, or at ``times``."""
    given = times or [every(15 * SECOND) for _ in targets]
    flat = np.array([each for one in given for each in one], dtype=np.int64)
    samples = UpSamples(
        Raw("up", targets),
        np.array([len(one) for one in given]),
        flat,
        np.full(len(flat), UP, np.uint8),
        shows_ends=True,
    )
    return find_scrapes(samples, GRID, ignored={"replica"})


def test_of_two_replicas_the_one_that_saw_more_counts() -> None:
    """They scraped the same target: both together would expect everything twice."""
    target = {"__name__": "up", "job": "node", "instance": "a"}
    all_times = every(15 * SECOND)

    scrapes = a_source({**target, "replica": "r0"}, {**target, "replica": "r1"}, times=[all_times[::3], all_times])

    assert scrapes.targets == 1
    assert open_raw(scrapes.labels) == [{"job": "node", "instance": "a"}]
    assert scrapes.intervals.tolist() == [15 * SECOND]


def test_series_find_their_target_by_job_and_instance() -> None:
    scrapes = a_source(
        {"job": "node", "instance": "a"}, {"job": "node", "instance": "b"}, {"job": "gpu", "instance": "a"}
    )
    series = [
        {"job": "gpu", "instance": "a", "gpu": "0"},
        {"job": "node", "instance": "b", "replica": "r0"},
        {"job": "node"},
        {"instance": "a"},
        {},
        {"job": "node", "instance": "c"},
        {"job": "node", "instance": "a", "mode": "idle"},
    ]

    assert target_indices(LabelSets(series), scrapes).tolist() == [2, 1, -1, -1, -1, -1, 0]
    assert target_indices(LabelSets(), scrapes).tolist() == []


def test_the_endpoints_of_one_kubelet_are_targets_of_their_own() -> None:
    """They share job and instance; taken together, each of their series would seem to lack two thirds."""
    kubelet = {"job": "kubelet", "instance": "a"}
    scrapes = a_source(
        {**kubelet, "metrics_path": "/metrics"},
        {**kubelet, "metrics_path": "/metrics/cadvisor"},
        {"job": "node", "instance": "a", "metrics_path": "/metrics"},
        {**kubelet, "metrics_path": "/metrics/probes"},
    )

    series = LabelSets(
        [
            {**kubelet, "metrics_path": "/metrics/cadvisor", "pod": "x"},
            {**kubelet, "metrics_path": "/metrics"},
            {**kubelet},
            {**kubelet, "metrics_path": "/elsewhere"},
            {"job": "node", "instance": "a"},
        ]
    )

    assert target_indices(series, scrapes).tolist() == [1, 0, -1, -1, 2]


def test_what_rules_make_has_no_target() -> None:
    """An alert carries the job and instance that it is about, and is evaluated at another interval."""
    scrapes = a_source({"job": "node", "instance": "a"})
    labels = LabelSets([{"job": "node", "instance": "a", "alertname": "x"}])

    assert target_indices(labels, scrapes, metric="ALERTS").tolist() == [-1]
    assert target_indices(labels, scrapes, metric="node_load1").tolist() == [0]


def test_what_every_scrape_makes_is_expected_of_failed_ones_too() -> None:
    """``up`` is 0 then: published, it would otherwise have more samples than expected, and hide its losses."""
    times = [every(15 * SECOND), every(30 * SECOND, offset=1)]
    flat = np.array(times[0] + times[1], dtype=np.int64)
    states = np.where((flat >= START) & (flat < START + MINUTE), DOWN, UP).astype(np.uint8)
    labels = [{"job": "node", "instance": name} for name in "ab"]
    lengths = np.array([len(each) for each in times])
    scrapes = find_scrapes(UpSamples(Raw("up", labels), lengths, flat, states, shows_ends=True), GRID)

    schedules = [make_schedule(LabelSets(labels[::-1]), scrapes, metric=metric) for metric in ("up", "node_load1")]

    for schedule, lost in zip(schedules, (0, MINUTE), strict=True):
        assert schedule.targets.tolist() == [1, 0]
        for target, own in enumerate(times):
            found = schedule.times[schedule.offsets[target] : schedule.offsets[target + 1]].tolist()
            assert found == [at for at in own if START - LOOKBACK <= at < END and not START <= at < START + lost]
        assert not schedule.unseen.any()


def test_raw_names_neither_show_nor_leave_the_process() -> None:
    scrapes = a_source({"job": "secret-job", "instance": "secret-instance"})

    assert "secret" not in repr(scrapes)
    with pytest.raises(TypeError, match="raw values stay in the process"):
        pickle.dumps(scrapes)
