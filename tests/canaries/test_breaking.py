"""Whatever stage breaks, with whatever error: no canary is in anything that was written, output and folders alike."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.canaries.breaking import ERRORS, Breaker, Request
from tests.canaries.planted import Canary
from tests.canaries.server import CanarySource
from tests.collector.misbehaving import Answer, serve
from tests.store.places import FULL

TABLES = ("pod", "node")
VERSION = "2026.11.0"
HTTP = "http"

SNAPSHOT = {
    "connect": "jobs.snapshot.run:open_source",
    "oldest": "jobs.source:find_oldest",
    "plan": "jobs.snapshot.plan:plan_windows",
    "ask": "collector.client:QueryApi.query",
    "count": "collector.counts:SeriesCounter.count_by",
    "divide": "collector.counts:plan_reads",
    "select": "collector.counts:render_selector",
    "request": "collector.remote_read:encode_request",
    "frames": "collector.remote_read:read_frames",
    "decode": "collector.remote_read:join_series",
    "gather": "collector.labels:LabelSets.append",
    "grid": "collector.remote_read:grid_series",
    "up": "collector.coverage:find_scrapes",
    "targets": "collector.scrapes:target_indices",
    "frame": "jobs.source:build_frame",
    "labels": "collector.labels:LabelSets.columns",
    "columns": "anonymize.transform:TableAnonymizer.make_columns",
    "hosts": "anonymize.transform:canonical_host",
    "combine": "anonymize.transform:combine",
    "tokens": "anonymize.pseudonyms:Pseudonymizer.token",
    "series ids": "anonymize.transform:encode_parts",
    "arrow": "anonymize.transform:to_arrow",
    "values": "jobs.snapshot.series:treat_values",
    "sort": "jobs.snapshot.series:sort_rows",
    "groups": "jobs.snapshot.series:build_row_group",
    "open": "jobs.snapshot.runs:open_staged_writer",
    "write": "jobs.snapshot.runs:RunWriter.add",
    "scan": "jobs.snapshot.collect:scan_staged",
    "pages": "anonymize.audit.rawscan:read_channels",
    "order": "jobs.snapshot.collect:check_raw_order",
    "names": "anonymize.transform:TableAnonymizer.names_of",
    "record": "jobs.snapshot.run:CommitRecord",
    "commit": "jobs.snapshot.run:commit",
    "put": "jobs.store.folder:FolderStore.put_new",
    "list": "jobs.store.folder:FolderStore.list",
    "key": "jobs.snapshot.run:read_ring",
    "policy": "jobs.snapshot.run:read_policy",
    "result": "jobs.cli:print_result",
}
BY_HTTP = {
    "http ask": "collector.client:QueryApi.stream_range",
    "http decode": "collector.matrix:_assemble",
    "http parse": "collector.matrix:_parse_samples",
    "http join": "collector.http_read:_MetricReader._make_block",
    "http up": "collector.coverage:_parse_pairs",
}
OF_HISTOGRAMS = {
    "native gather": "collector.remote_read:NativeGatherer.add",
    "native labels": "collector.native:NativeBlock.floats",
    "native floats": "collector.native:decode_floats",
    "native decode": "collector.native:decode_histograms",
    "native survey": "collector.histograms:survey_pieces",
    "native rows": "jobs.snapshot.series:publishable",
    "native groups": "jobs.snapshot.series:build_group",
    "native schema": "jobs.snapshot.series:staged_native_schema",
}
OTHERS = {
    "plan": (("plan",), "jobs.estimate:open_source"),
    "plan count": (("plan",), "collector.counts:SeriesCounter.count_by"),
    "doctor": (("doctor",), "jobs.doctor:open_source"),
    "doctor ask": (("doctor", "--json"), "collector.client:QueryApi.query"),
    "serve": (("serve", "--listen", "127.0.0.1:0"), "anonymize.transform:TableAnonymizer.make_columns"),
    "serve thread": (("serve", "--listen", "127.0.0.1:0"), "jobs.scheduler:run_snapshot"),
    "lookup": (("key", "lookup", "--domain", "node"), "anonymize.lookup:canonical_host"),
    "lookup token": (("key", "lookup", "--domain", "namespace"), "anonymize.pseudonyms:Pseudonymizer.token"),
    "release": (("release", VERSION), "jobs.release.run:audit_built"),
    "merge": (("release", VERSION), "jobs.release.build:choose_suppression"),
    "audit": (("audit", "work/releases/none"), "jobs.release.audited:audit_release"),
    "publish": (("publish", VERSION), "jobs.publish.run:open_store"),
    "settings": (("snapshot",), "jobs.config:check_settings"),
}
DIVIDING = ("divide", "select")
"""Stages that only a metric of many series comes to."""
CHECKS = ("scan", "pages", "order", "names")
"""A search that breaks has found nothing, and that is no reason to commit."""
QUICK = ("frames", "gather", "columns", "hosts", "series ids", "arrow", "write", "scan", "put", "commit", "count")
QUICK_OTHERS = ("doctor ask", "serve", "lookup token")
KINDS = list(ERRORS)


@pytest.fixture(scope="module")
def breaker() -> Iterator[Breaker]:
    """The warm process."""
    command = [sys.executable, "-m", "tests.canaries.breaking"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        yield Breaker(process)
        assert process.stdin
        process.stdin.close()


@dataclass
class Place:
    """Where a run writes: the configuration and the secrets lie elsewhere, since these hold canaries by right."""

    source: CanarySource
    breaker: Breaker
    root: Path
    secret: str

    def configure(
        self,
        read: str = "auto",
        *,
        most_series: int = 50_000,
        url: str | None = None,
        tables: Sequence[str] | str = TABLES,
        native: bool = False,
    ) -> None:
        """Write the configuration, with every folder below the place; of ``native`` histograms or of all else."""
        (self.root / "inputs").mkdir()
        bench = self.source.configure(self.root / "inputs", tables=tables if isinstance(tables, str) else list(tables))
        bench.set("source", read=read, url=url or self.source.server.url, retries=0)
        if native:
            bench.set("source", match=dict(self.source.planted.native_match))
        bench.set("limits", max_series_per_read=most_series)
        bench.config |= {name: f"file:{self.root}/run/{name}" for name in ("staging", "public")}
        bench.config["work_dir"] = f"{self.root}/run/work"
        (self.root / "inputs/opspub.yaml").write_text(yaml.safe_dump(bench.config))
        (self.root / "run").mkdir()

    def run(self, *argv: str, stage: str = "", error: str = "", log: str = "text", stdin: str = "") -> int:
        """Run a command; return its exit code."""
        config = str(self.root / "inputs/opspub.yaml")
        options = ("--config", config, "--verbose", "--log", log)
        return self.breaker.run(Request(str(self.root / "run"), (*options, *argv), stage, error, self.secret, stdin))

    @property
    def told(self) -> str:
        """All that the last command said."""
        return "".join((self.root / "run" / name).read_text() for name in ("out", "err"))

    def leaks(self) -> dict[str, set[Canary]]:
        """Return what must not be there. A commit names the labels that it dropped, and is private."""
        hits = self.source.scanner.search(self.root / "run")
        by_design = {name for name in hits if name.startswith("run/staging/commits/")}
        named = {name: {each for each in hits[name] if each.channel != "undeclared name"} for name in by_design}
        return {name: found for name, found in {**hits, **named}.items() if found}


@pytest.fixture
def place(canary_source: CanarySource, breaker: Breaker, tmp_path: Path) -> Place:
    aviary = canary_source.planted.aviary
    known = [canary.text for canary in aviary.canaries if canary.channel == "exception"]
    return Place(
        canary_source, breaker, tmp_path, known[0] if known else aviary.add("exception", "its text", "{}-boss")
    )


def pick(stages: dict[str, str], quick: tuple[str, ...]) -> list[str]:
    return list(stages) if FULL else [name for name in stages if name in quick]


def error_for(stages: dict[str, str], stage: str) -> str:
    """Give each stage another kind of error."""
    return KINDS[list(stages).index(stage) % len(KINDS)]


def assert_silent(place: Place, code: int, stage: str) -> None:
    assert code not in (0, 120), f"{stage} did not break: {place.told}"
    assert place.leaks() == {}
    assert not list((place.root / "run").glob("work/snapshot-*"))
    assert not list((place.root / "run").glob("public/*"))


@pytest.mark.parametrize("log", ["text", "json"] if FULL else ["text"])
@pytest.mark.parametrize("stage", pick(SNAPSHOT, QUICK))
def test_a_snapshot_that_breaks_tells_no_value(place: Place, stage: str, log: str) -> None:
    place.configure(most_series=1 if stage in DIVIDING else 50_000)

    code = place.run("snapshot", *place.source.span, stage=SNAPSHOT[stage], error=error_for(SNAPSHOT, stage), log=log)

    assert_silent(place, code, stage)
    assert (code == 5) is (stage in CHECKS)
    if code == 1:
        assert "this is a defect" in place.told
        assert "Traceback" in place.told


@pytest.mark.parametrize("stage", pick(BY_HTTP, ("http decode",)))
def test_a_snapshot_by_the_query_api_that_breaks_tells_no_value(place: Place, stage: str) -> None:
    place.configure(read=HTTP)

    code = place.run("snapshot", *place.source.span, stage=BY_HTTP[stage], error=error_for(BY_HTTP, stage))

    assert_silent(place, code, stage)


@pytest.mark.parametrize("stage", pick(OF_HISTOGRAMS, ("native decode",)))
def test_a_snapshot_of_native_histograms_that_breaks_tells_no_value(place: Place, stage: str) -> None:
    place.configure(native=True)

    code = place.run("snapshot", *place.source.span, stage=OF_HISTOGRAMS[stage], error=error_for(OF_HISTOGRAMS, stage))

    assert_silent(place, code, stage)


@pytest.mark.parametrize("name", [name for name in OTHERS if FULL or name in QUICK_OTHERS])
def test_no_other_command_that_breaks_tells_a_value(place: Place, name: str) -> None:
    place.configure()
    command, stage = OTHERS[name]
    if command[0] in ("release", "publish"):
        assert place.run("snapshot", *place.source.span) == 0, place.told
    if command[0] == "publish":
        assert place.run("release", VERSION) == 0, place.told

    code = place.run(*command, stage=stage, error=KINDS[len(name) % len(KINDS)], stdin=f"{place.secret}\n")

    if command[0] == "serve":
        assert code == 0  # it goes on until it is told to end
        assert "snapshot failed" in place.told
    else:
        assert code not in (0, 120), place.told
    assert place.leaks() == {}
    assert not list((place.root / "run").glob("public/releases/*"))


HOSTILE = {
    "refusal": lambda said: Answer(said.encode(), status=400, content_type="text/plain"),
    "limit": lambda said: Answer(f'{{"error": "too many samples in {said}"}}'.encode(), status=422),
    "proxy": lambda said: Answer(said.encode(), status=502, content_type="text/html", headers={"X-Query": said}),
    "login": lambda said: Answer(status=302, headers={"Location": f"http://127.0.0.1:1/?back={said}"}),
    "page": lambda said: Answer(f"<html>{said}</html>".encode(), content_type="text/html"),
    "error": lambda said: Answer(json.dumps({"status": "error", "error": said}).encode()),
    "warning": lambda said: Answer(json.dumps({"status": "success", "data": {}, "warnings": [said]}).encode()),
    "broken": lambda said: Answer(f'{{"status": "success", "data": "{said}'.encode()),
    "build": lambda said: Answer(json.dumps({"status": "success", "data": {"version": said}}).encode()),
    "flags": lambda said: Answer(json.dumps({"status": "success", "data": {"query.lookback-delta": said}}).encode()),
    "strange": lambda said: Answer(json.dumps({"status": "success", "data": {said: [said]}}).encode()),
    "not UTF-8": lambda said: Answer(b'{"status": "' + said.encode() + b'\xff"}'),
    "cut": lambda said: Answer(said.encode(), missing=100),
}


@pytest.mark.parametrize("read", ["auto", HTTP])
@pytest.mark.parametrize("answer", [name for name in HOSTILE if FULL or name in ("limit", "login", "not UTF-8")])
def test_no_word_of_a_hostile_server_is_told(place: Place, answer: str, read: str) -> None:
    """Servers and the proxies before them echo queries in bodies, headers and redirects, and clients quote these."""
    said = place.secret.removesuffix("-boss")
    with serve(HOSTILE[answer](said)) as server:
        address = f"http://reader:{said}@{server.url.removeprefix('http://')}"
        place.configure(read, url=address)

        codes = [place.run(*command) for command in (("snapshot",), ("plan",), ("doctor",))]

    assert set(codes) <= {3, 4}
    assert server.asked
    assert place.leaks() == {}


@pytest.mark.parametrize("stage", ["write", "scan", "commit"] if FULL else ["scan"])
def test_a_run_that_is_killed_leaves_its_folder_and_the_next_one_removes_it(place: Place, stage: str) -> None:
    """Nothing can be cleaned up behind SIGKILL; what is left is private, holds no raw value, and goes with the next."""
    place.configure()

    code = place.run("snapshot", *place.source.span, stage=SNAPSHOT[stage], error="SIGKILL")

    assert code == -9
    assert len(list((place.root / "run").glob("work/snapshot-*"))) == 1
    assert place.leaks() == {}

    assert place.run("snapshot", *place.source.span) == 0, place.told
    assert not list((place.root / "run/work").iterdir())
    assert place.leaks() == {}


def test_nothing_is_written_where_nobody_looks(place: Place) -> None:
    """Not in HOME, not in TMPDIR, not in the working folder: caches are where raw values are forgotten."""
    place.configure()

    assert place.run("snapshot", *place.source.span) == 0, place.told

    for name in ("cwd", "home", "tmp"):
        assert not list((place.root / "run" / name).rglob("*"))
    assert sorted(path.name for path in (place.root / "run").iterdir()) == [
        "cwd",
        "err",
        "home",
        "out",
        "staging",
        "tmp",
        "work",
    ]


def test_what_a_stage_says_would_be_found(place: Place) -> None:
    """The search is proven on the same folder: a canary in a file, in a name and in a log are three hits."""
    place.configure()
    run = place.root / "run"
    (run / "staging").mkdir()
    (run / "err").write_text(f"KeyError: '{place.secret.upper()}'")
    (run / "staging" / place.secret).touch()
    (run / "staging/store.json").write_text(json.dumps({"site": place.source.planted.external_labels["site"]}))

    assert place.leaks().keys() == {"run/err", f"run/staging/{place.secret}", "run/staging/store.json"}
