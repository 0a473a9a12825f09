"""Stores behind HTTP and S3: fetched once, verified, and patient with bad lines."""

from pathlib import Path

import pandas as pd
import pytest

import opscommons as oc
from tests.client.builders import Planted, flip_byte
from tests.client.server import Fault, Server

METRIC = "vllm:num_requests_running"
PART = "/part-0.parquet"
FIRST = f"public/releases/2026.11.0/data/model_server/metric=vllm%3Anum_requests_running/date=2026-11-22{PART}"


def test_http_gives_the_same_frames_as_the_folder(planted: Planted, url: str) -> None:
    local, remote = oc.open(planted.folder), oc.open(url)

    for metric in local.metrics():
        pd.testing.assert_frame_equal(local.load(metric, rate=True), remote.load(metric, rate=True))
    pd.testing.assert_frame_equal(local.coverage, remote.coverage)
    assert remote.card == local.card


def test_a_percent_sign_in_an_object_name_is_encoded_once_more(server: Server, url: str) -> None:
    oc.open(url).load(METRIC)

    asked = {served.raw_path for served in server.requests(PART)}
    assert all("metric=vllm%253Anum_requests_running/" in path for path in asked)


def test_only_what_is_needed_is_fetched_and_only_once(server: Server, url: str, tmp_path: Path) -> None:
    oc.open(url).load(METRIC, end="2026-11-23")
    assert [served.path for served in server.requests(PART)] == [FIRST]

    server.forget()
    oc.open(url).load(METRIC, end="2026-11-23")
    assert [served.path.rsplit("/", 1)[1] for served in server.served] == ["catalog.json", "manifest.json"]
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_a_misspelt_column_costs_one_small_file(server: Server, url: str) -> None:
    with pytest.raises(oc.UnknownColumn):
        oc.open(url).load("node_cpu_seconds_total", where={"nod": "x"})

    assert len(server.requests(PART)) == 1


@pytest.mark.parametrize("fault", ["500", "drop", "cut"])
def test_a_passing_failure_is_tried_again(server: Server, url: str, fault: Fault) -> None:
    for path in ("public/catalog.json", "public/releases/2026.11.0/manifest.json", FIRST):
        server.fail(path, fault, fault)

    assert len(oc.open(url).load(METRIC)) == 288


def test_a_cut_body_is_continued_where_it_stopped(server: Server, url: str) -> None:
    server.fail(FIRST, "cut")

    oc.open(url).load(METRIC, end="2026-11-23")

    first, second = server.requests(PART)
    assert (first.offset, second.offset, second.status) == (0, first.sent, 206)


def test_a_server_without_ranges_starts_over(server: Server, url: str) -> None:
    server.fail(FIRST, "cut", "no-range")

    assert len(oc.open(url).load(METRIC)) == 288


@pytest.mark.parametrize("fault", ["flip", "html"])
def test_bad_bytes_get_one_more_try(server: Server, url: str, fault: Fault) -> None:
    """A proxy's error page with status 200 is not data, and gone a moment later."""
    server.fail(FIRST, fault)

    assert len(oc.open(url).load(METRIC)) == 288


@pytest.mark.parametrize(
    ("fault", "message"),
    [("flip", "has the SHA-256"), ("html", "is a web page or an error message, wanted")],
)
def test_bad_bytes_are_refused_and_never_cached(
    server: Server, url: str, tmp_path: Path, fault: Fault, message: str
) -> None:
    server.fail(FIRST, fault, fault)

    with pytest.raises(oc.CorruptFile, match=message) as caught:
        oc.open(url).load(METRIC, end="2026-11-23")
    assert FIRST.endswith(caught.value.paths[0])
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(oc.open(url).load(METRIC)) == 288


def test_a_file_that_is_not_there_is_named(server: Server, url: str) -> None:
    server.fail(FIRST, "404")

    with pytest.raises(oc.MissingFile, match=r"is in the manifest but not at http://.*HTTP 404"):
        oc.open(url).load(METRIC, end="2026-11-23")


def test_several_bad_files_are_all_named(planted: Planted, url: str, tmp_path: Path) -> None:
    paths = planted.paths()[:2]
    for path in paths:
        flip_byte(planted.folder / path)

    with pytest.raises(oc.CorruptFile, match="2 files are damaged") as caught:
        oc.open(url).download(tmp_path / "copy")
    assert list(caught.value.paths) == sorted(paths)


def test_an_error_page_is_no_catalog(server: Server, url: str) -> None:
    server.fail("public/catalog.json", "html")

    with pytest.raises(oc.NotARelease, match="is a web page, wanted JSON"):
        oc.open(url)


def test_a_server_that_keeps_failing_is_unreachable(server: Server, url: str) -> None:
    server.fail("public/catalog.json", "500", "500", "500", "500", "500")

    with pytest.raises(oc.Unreachable, match="HTTP 500; gave up after 5 tries"):
        oc.open(url)


def test_nobody_listening_is_unreachable() -> None:
    with pytest.raises(oc.Unreachable, match="no connection"):
        oc.open("http://127.0.0.1:9/")


def test_an_address_without_a_store_says_so(server: Server) -> None:
    with pytest.raises(oc.NotARelease, match=r"neither catalog\.json"):
        oc.open(f"{server.url}/elsewhere")


def test_s3_gives_the_same_frames_without_credentials(
    server: Server, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", server.url)

    release = oc.open("s3://public/")

    pd.testing.assert_frame_equal(release.load(METRIC), oc.open(planted.folder).load(METRIC))
    assert release.place.name == "s3://public/releases/2026.11.0"
    with pytest.raises(oc.NotARelease):
        oc.open("s3://public/nothing/here")


def test_s3_that_does_not_answer_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    with pytest.raises(oc.Unreachable, match=r"s3://public/catalog\.json"):
        oc.open("s3://public")
