"""Make the series of the table ``workload`` for one window: read what tells of pods, recognise, sum on the grid.

What is published is a function of what instant selectors give at each grid point, so windows joined equal one query.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from anonymize.workloads import PodFacts, Workload, follow_owner, recognise
from collector.counts import Wanted
from collector.grid import Grid, SeriesBlock, split_rows
from collector.kernels.stats import HOUR_COLUMNS
from collector.promql import Matcher, match_any
from collector.reader import Reader
from collector.scrapes import ScrapeTimes, make_schedule
from jobs.snapshot.derived import DerivedBlock, Origin, Points, Values, make_block
from jobs.snapshot.runs import GROUP_ROWS
from schemas.derived import (
    CPU,
    GPUS,
    JOB_OWNERS,
    LABELS,
    MEMORY,
    OWNERS,
    PHASES,
    PODS,
    REQUESTS,
    RUNNING_PODS,
    WORKLOAD,
    WORKLOAD_POD,
)
from schemas.raw import Raw, open_raw
from schemas.workload_kinds import WorkloadRules

ACTIVE: Final = ("Pending", "Running")
"""Phases in which a pod holds what it asks for, or waits for it."""
_DIVIDED_BY: Final = ("namespace", "pod")
_PodName = tuple[str, str]


@dataclass(frozen=True)
class Workloads:
    """What one window has: the series of each metric of ours, and what each workload is."""

    blocks: Mapping[str, DerivedBlock] = field(repr=False)
    kinds: Mapping[tuple[str, str], str] = field(repr=False)
    """Namespace and raw name of a workload to its kind; where one name is several things, to the first by name."""


@dataclass(frozen=True)
class PodSource:
    """Reads the metrics of one window that tell of pods."""

    reader: Reader
    matchers: tuple[Matcher, ...]
    grid: Grid
    scrapes: ScrapeTimes
    most: int
    """Series in one read."""
    present: frozenset[str] | None = None
    """Metrics that the source may have; ``None``: nobody can tell."""

    def read(self, metric: str, *matchers: Matcher) -> Iterator[SeriesBlock]:
        """Yield the series of a metric that have floats; raise ``SourceError``."""
        if self.present is not None and metric not in self.present:
            return
        wanted = Wanted(metric, (*self.matchers, *matchers), _DIVIDED_BY)
        parts = self.reader.plan((wanted,), self.grid, most=self.most).parts(metric)
        for block in self.reader.read(metric, wanted.matchers, self.grid, parts):
            if isinstance(block, SeriesBlock):
                yield block


def read_workloads(source: PodSource, rules: WorkloadRules, *, public_namespaces: frozenset[str]) -> Workloads:
    """Return the workloads of a window; raise ``SourceError`` when something that tells of them cannot be read."""
    resources = match_any("resource", ("cpu", "memory", *rules.gpu_resources))
    requests = list(source.read(REQUESTS, resources))  # their containers tell the kind, so they are decoded last
    pods = _Pods(source.grid)
    pods.note_owners(source.read(OWNERS), _read_job_owners(source))
    pods.note_labels(source.read(LABELS), rules.labels)
    pods.note_containers(requests)
    for metric in sorted(rules.metrics):
        pods.note_metric(metric, source.read(metric))
    made = _Maker(source, pods, rules, public_namespaces)
    made.add_places(source.read(PODS))
    made.add_phases(source.read(PHASES, match_any("phase", ACTIVE)))
    made.add_requests(requests)
    return made.result()


class _Pods:
    """Every pod of the window by namespace and name, and what is said of it. Of two answers the greater counts."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.owners: dict[_PodName, tuple[str, str]] = {}
        self.labels: dict[_PodName, dict[str, str]] = {}
        self.containers: dict[_PodName, set[str]] = {}
        self.metrics: dict[_PodName, set[str]] = {}

    def note_owners(self, blocks: Iterable[SeriesBlock], job_owners: Mapping[_PodName, tuple[str, str]]) -> None:
        for block in blocks:
            names = _columns(block, "namespace", "pod", "owner_kind", "owner_name", "owner_is_controller")
            for namespace, pod, kind, name, controls in names:
                if controls != "false":
                    owner = follow_owner(kind, name, namespace, job_owners)
                    self.owners[namespace, pod] = max(owner, self.owners.get((namespace, pod), owner))

    def note_labels(self, blocks: Iterable[SeriesBlock], wanted: frozenset[str]) -> None:
        for block in blocks:
            names = sorted(wanted & block.labels.columns().keys())
            for namespace, pod, *values in _columns(block, "namespace", "pod", *names):
                known = self.labels.setdefault((namespace, pod), {})
                for name, value in zip(names, values, strict=True):
                    if value > known.get(name, ""):
                        known[name] = value

    def note_containers(self, blocks: Iterable[SeriesBlock]) -> None:
        for block in blocks:
            for namespace, pod, container in _columns(block, "namespace", "pod", "container"):
                self.containers.setdefault((namespace, pod), set()).add(container)

    def note_metric(self, metric: str, blocks: Iterable[SeriesBlock]) -> None:
        for block in blocks:
            for namespace, pod in _columns(block, "namespace", "pod"):
                self.metrics.setdefault((namespace, pod), set()).add(metric)

    def facts(self, key: _PodName, created_by: tuple[str, str]) -> PodFacts:
        """Return what is known of a pod; ``created_by`` is its owner where no other metric tells."""
        kind, name = self.owners.get(key) or created_by
        containers, metrics = (frozenset(said.get(key, ())) for said in (self.containers, self.metrics))
        return PodFacts(*key, kind, name, self.labels.get(key, {}), containers, metrics)


class _Maker:
    """Sums by workload on the grid."""

    def __init__(self, source: PodSource, pods: _Pods, rules: WorkloadRules, public_namespaces: frozenset[str]) -> None:
        self._source, self._grid = source, source.grid
        self._pods, self._rules, self._public = pods, rules, public_namespaces
        self._index: dict[_PodName, int] = {}
        self._of: list[int] = []
        """Of each pod, its workload."""
        self._workloads: dict[Workload, int] = {}
        self._exists: list[Points] = []
        self._places: dict[tuple[int, str, str], Points] = {}
        """Pod, node and role, to when it was there."""
        self._origins: dict[str, Origin] = {}

    def add_places(self, blocks: Iterable[SeriesBlock]) -> None:
        """Take when and where pods existed."""
        labels = ("namespace", "pod", "node", "created_by_kind", "created_by_name")
        for names, points, _ in self._decoded(PODS, blocks, labels):
            for (namespace, pod, node, kind, name), own in zip(names, points, strict=True):
                number, role = self._find((namespace, pod), (kind, name))
                self._exists[number] |= own
                place = self._places.setdefault((number, node, role), np.zeros_like(own))
                place |= own

    def add_phases(self, blocks: Iterable[SeriesBlock]) -> None:
        """Take when pods were active; one of which no phase is told is so while it exists."""
        shape = (len(self._index), self._grid.points)
        self._active, self._running = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
        told = np.zeros(len(self._index), dtype=np.bool_)
        for names, points, values in self._decoded(PHASES, blocks, ("namespace", "pod", "phase")):
            holds = points & (values == 1)
            for (namespace, pod, phase), own in zip(names, holds, strict=True):
                number = self._index.get((namespace, pod))
                if number is not None:
                    told[number] = True
                    self._active[number] |= own
                    if phase == "Running":
                        self._running[number] |= own
        for number in np.flatnonzero(~told).tolist():
            self._active[number] = self._exists[number]

    def add_requests(self, blocks: Iterable[SeriesBlock]) -> None:
        """Sum what active pods ask for; of two series that say the same (say, of two exporters) the first counts."""
        kinds = {"cpu": CPU, "memory": MEMORY, **dict.fromkeys(self._rules.gpu_resources, GPUS)}
        shape = (len(self._workloads), self._grid.points)
        self._sums: dict[str, Values] = {metric: np.zeros(shape) for metric in (CPU, MEMORY, GPUS)}
        self._asked: dict[str, Points] = {metric: np.zeros(shape, dtype=np.bool_) for metric in self._sums}
        taken: dict[tuple[int, str, str], Points] = {}
        labels = ("namespace", "pod", "container", "resource")
        for names, points, values in self._decoded(REQUESTS, blocks, labels):
            for row, (namespace, pod, container, resource) in enumerate(names):
                number = self._index.get((namespace, pod))
                if number is None:
                    continue
                key = (number, container, resource)
                own = points[row] & self._active[number]
                if key in taken:
                    own &= ~taken[key]
                    taken[key] |= own
                else:
                    taken[key] = own.copy()
                metric, workload = kinds[resource], self._of[number]
                self._sums[metric][workload, own] += values[row, own]
                self._asked[metric][workload] |= own

    def result(self) -> Workloads:
        """Return all series."""
        count, points = len(self._workloads), self._grid.points
        active, running = np.zeros((count, points), dtype=np.bool_), np.zeros((count, points))
        for number, workload in enumerate(self._of):
            active[workload] |= self._active[number]
            running[workload] += self._running[number]
        names = list(self._workloads)
        of_workloads = [_describe(each) for each in names]
        pods = list(self._index)
        places = np.array(list(self._places.values()), dtype=np.bool_).reshape(-1, points)
        of_places = [
            _describe(names[self._of[number]]) | {"pod": pods[number][1], "node": node, "pod_role": role}
            for number, node, role in self._places
        ]
        made = {
            WORKLOAD: self._block(PHASES, of_workloads, active, np.ones((count, points))),
            RUNNING_PODS: self._block(PHASES, of_workloads, active, running),
            WORKLOAD_POD: self._block(PODS, of_places, places, np.ones(places.shape)),
        }
        made |= {m: self._block(REQUESTS, of_workloads, self._asked[m], sums) for m, sums in self._sums.items()}
        kinds: dict[tuple[str, str], str] = {}
        for each in sorted(names, key=lambda each: each.kind):
            kinds.setdefault((each.namespace, each.name), each.kind)
        return Workloads({metric: block for metric, block in made.items() if block}, kinds)

    def _block(
        self, origin: str, labels: Sequence[Mapping[str, str | None]], present: Points, values: Values
    ) -> DerivedBlock | None:
        return make_block(labels, present, values, self._grid, self._origins[origin])

    def _find(self, key: _PodName, created_by: tuple[str, str]) -> tuple[int, str]:
        facts = self._pods.facts(key, created_by)
        workload, role = recognise(facts, self._rules, public_namespaces=self._public)
        number = self._index.get(key)
        if number is None:
            number = self._index[key] = len(self._index)
            self._of.append(self._workloads.setdefault(workload, len(self._workloads)))
            self._exists.append(np.zeros(self._grid.points, dtype=np.bool_))
        return number, role or ""

    def _decoded(
        self, metric: str, blocks: Iterable[SeriesBlock], labels: Sequence[str]
    ) -> Iterator[tuple[list[tuple[str, ...]], Points, Values]]:
        """Yield some series at a time: their labels, and them on the grid, bool and float64 [series, points].

        What became of their samples is noted.
        """
        hours = np.zeros((len(self._source.scrapes.bounds) - 1, HOUR_COLUMNS), dtype=np.int64)
        intervals: list[npt.NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
        for block in blocks:
            schedule = make_schedule(block.labels, self._source.scrapes, metric=metric)
            names = list(_columns(block, *labels))
            for part in split_rows(np.arange(len(block)), block.most, at_once=GROUP_ROWS):
                samples = block.decode(part, schedule)
                hours += samples.hours
                intervals.append(samples.intervals)
                points = np.zeros((len(part), self._grid.points), dtype=np.bool_)
                values = np.zeros(points.shape)
                rows = np.repeat(np.arange(len(part)), samples.lengths)
                at = (samples.timestamps - self._grid.start_ms) // self._grid.step_ms
                points[rows, at], values[rows, at] = True, samples.values
                yield [names[row] for row in part.tolist()], points, values
        self._origins[metric] = Origin(hours, int(np.median(np.concatenate(intervals[1:] or intervals))))


def _read_job_owners(source: PodSource) -> dict[_PodName, tuple[str, str]]:
    found: dict[_PodName, tuple[str, str]] = {}
    for block in source.read(JOB_OWNERS):
        for namespace, job, kind, name in _columns(block, "namespace", "job_name", "owner_kind", "owner_name"):
            found[namespace, job] = max((kind, name), found.get((namespace, job), ("", "")))
    return found


def _columns(block: SeriesBlock, *names: str) -> Iterator[tuple[str, ...]]:
    """Yield the values of some labels, series by series; an absent one is empty."""
    columns = block.labels.columns()
    found = []
    for name in names:
        codes, values = columns.get(name, (np.full(len(block), -1, dtype=np.int32), Raw(name, ())))
        texts = [*open_raw(values), ""]  # code -1 finds the last
        found.append([texts[code] for code in codes.tolist()])
    return zip(*found, strict=True)


def _describe(workload: Workload) -> dict[str, str | None]:
    return {
        "namespace": workload.namespace,
        "workload": workload.name,
        "workload_kind": workload.kind,
        "framework": workload.framework,
    }
