"""A metric that vanished, another type and a label that nobody has seen: in the commit, counted in public."""

import json
import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from jobs.clock import read_clock
from jobs.config import Settings
from jobs.release.run import run_release
from jobs.snapshot.drift import DriftWatch
from jobs.snapshot.result import SnapshotResult
from jobs.snapshot.run import run_snapshot
from jobs.store import Store
from jobs.store.folder import FolderStore
from schemas.commit import CommitRecord, MetricCoverage
from schemas.label_classes import read_label_classes
from schemas.registry import latest_tables
from schemas.windows import Window
from tests.collector.histogram_chunks import STALE, to_bits
from tests.jobs.bench import KEY
from tests.prometheus.server import RealPrometheus

QUARTER = timedelta(minutes=15)
HERE = {"cluster": "that-drifts"}
GADGET = "acme_gadget"
STAYS, GOES = "kube_pod_status_ready", "kube_pod_status_qos_class"


@pytest.fixture(scope="module")
def drifting(native_server: RealPrometheus, native_end: datetime) -> RealPrometheus:
    """One metric ends between two windows, the other brings a label that no exporter is known to give."""
    first, half, last = (_ms(native_end - n * QUARTER) for n in (2, 1, 0))
    who = {"namespace": "team", "pod": "p-1", "job": "kube-state-metrics", "uid": "1-2-3", **HERE}

    def series(name: str, until: int, **labels: str) -> tuple[dict[str, str], list[tuple[int, int]]]:
        ended = [(until, STALE)] if until < last else []
        return {"__name__": name, **who, **labels}, [(t, to_bits(1.0)) for t in range(first, until, 30_000)] + ended

    native_server.write(
        [
            ({"__name__": "up", "job": "kube-state-metrics", **HERE}, series("up", last)[1]),
            ({"__name__": "kube_node_info", "node": "n-1", **HERE}, series("x", last)[1]),
            series(STAYS, last, condition="true", **{GADGET: "shiny"}),
            series(GOES, half, qos_class="Guaranteed"),
        ]
    )
    return native_server


def collect(
    folder: Path, url: str, end: datetime, types: dict[str, Collection[str]]
) -> tuple[Settings, SnapshotResult]:
    folder.mkdir(exist_ok=True)
    key = folder / "opspub.key"
    key.touch(mode=0o600)
    key.write_text(json.dumps(KEY))
    settings = Settings.model_validate(
        {
            "source": {"name": "lab", "url": url, "match": HERE, "retries": 0},
            "collection": {"window": "15m", "step": "30s", "settle": "0s", "tables": ["pod"]},
            "privacy": {"key_file": key},
            "staging": f"file:{folder}/staging",
            "public": f"file:{folder}/public",
            "work_dir": folder / "work",
        }
    )
    with pytest.MonkeyPatch.context() as patch:  # the server has metadata of what it scrapes, and it scrapes nothing
        patch.setattr("jobs.source.OpenSource.metric_types", lambda _: types)
        for number in (2, 1):
            span = Window(end - number * QUARTER, end - (number - 1) * QUARTER)
            result = run_snapshot(settings, clock=read_clock, span=span)
            assert result.failures == []
    return settings, result


def coverage(folder: Path) -> dict[str, MetricCoverage]:
    """Return the coverage of the newer window by metric."""
    path = max(folder.rglob("commits/**/*.json"))
    return {each.metric: each for each in CommitRecord.model_validate_json(path.read_bytes()).coverage}


def test_what_changed_is_in_the_commit_and_counted_by_the_run(
    drifting: RealPrometheus, native_end: datetime, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        _, result = collect(tmp_path, drifting.url, native_end, {STAYS: {"counter"}})

    found = coverage(tmp_path)
    assert (found[GOES].vanished, found[STAYS].vanished) == (True, False)
    assert found[STAYS].types == ("counter",)
    assert found[STAYS].new_labels == (GADGET,)
    assert {"uid", GADGET} <= set(found[STAYS].dropped_labels)
    assert result.drift == {"new labels": 1, "type differs": 1, "vanished": 1}
    assert not [record for record in caplog.records if GADGET in str(vars(record))]
    told = [vars(record) for record in caplog.records if record.getMessage() == "metrics have changed at the source"]
    assert {(each["what"], each["metrics"]) for each in told} == {("type differs", STAYS), ("vanished", GOES)}


def test_without_an_entry_a_type_is_unknown_and_never_well(
    drifting: RealPrometheus, native_end: datetime, tmp_path: Path
) -> None:
    _, result = collect(tmp_path, drifting.url, native_end, {})

    assert result.drift == {"new labels": 1, "type unknown": 1, "vanished": 1}
    assert coverage(tmp_path)[STAYS].types == ()


@pytest.mark.parametrize(
    ("types", "checked", "told"),
    [
        ({STAYS: {"counter"}, GOES: {"gauge"}}, {STAYS: "differs", GOES: "same"},
         f"another type than their schema: `{STAYS}`"),
        ({GOES: {"gauge"}}, {STAYS: "unknown", GOES: "same"}, "confirmed the declared type of 1"),
    ],
)  # fmt: skip
def test_a_release_tells_by_metric_and_counts_labels(
    drifting: RealPrometheus,
    native_end: datetime,
    tmp_path: Path,
    types: dict[str, Collection[str]],
    checked: dict[str, str],
    told: str,
) -> None:
    """Names of metrics are declared; the name of a label may be a company's own, and stays in private commits."""
    settings, _ = collect(tmp_path, drifting.url, native_end, types)

    folder = run_release(settings, "2026.1.0", clock=read_clock).folder

    quality: dict[str, Any] = json.loads((folder / "quality.json").read_text())["tables"]["pod"]
    assert quality["new_labels"] == 1
    assert {name: quality["metrics"][name]["type_check"] for name in checked} == checked
    assert (quality["metrics"][GOES]["windows_vanished"], quality["metrics"][STAYS]["windows_vanished"]) == (1, 0)
    card = " ".join((folder / "README.md").read_text().split())
    assert f"had series in one window and none in the next: `{GOES}`" in card
    assert told in card
    assert "1 of the dropped labels nobody had seen before" in card
    for path in folder.rglob("*"):
        assert path.is_dir() or GADGET.encode() not in path.read_bytes()


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def test_what_vanishes_together_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """With the last job of a cluster go a dozen metrics, and whoever reads the log wants to see what else it says."""
    table = latest_tables()["job"]
    gone = [metric.name for metric in table.metrics]
    watch = DriftWatch(cast(Store, None), "lab", read_label_classes(), None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "_had_series", lambda _table, _window: frozenset(gone))
        for _ in range(2):
            watch.note(table, cast(Window, None), [MetricCoverage(name, "empty") for name in gone])

    (line,) = caplog.records
    assert vars(line)["metrics"] == f"{', '.join(sorted(gone)[:3])} and {len(gone) - 3} more"
    assert watch.found == {"vanished": len(gone)}


def test_what_this_run_committed_is_not_read_again(tmp_path: Path) -> None:
    """A backlog of thousands of windows would cost as many answers of a store that may be far away."""
    table = latest_tables()["job"]
    (metric, *_) = table.metrics
    start = datetime(2026, 11, 1, tzinfo=UTC)
    windows = [Window(start + number * QUARTER, start + (number + 1) * QUARTER) for number in range(4)]
    read: list[str] = []

    class Watched(FolderStore):
        def get(self, key: str) -> bytes | None:
            read.append(key)
            return super().get(key)

    watch = DriftWatch(Watched(tmp_path), "lab", read_label_classes(), None)
    empty = [MetricCoverage(metric.name, "empty")]
    watch.note_committed(table, windows[0], [MetricCoverage(metric.name, "complete", series=1)])

    (noted,) = watch.note(table, windows[1], empty)
    assert (noted.vanished, read) == (True, [])
    (noted,) = watch.note(table, windows[3], empty)  # the window before this one was not committed by this run
    assert not noted.vanished
    assert [key.rpartition("/")[2] for key in read] == [f"{windows[2].name}.json"]
