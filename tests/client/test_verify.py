"""Verification finds every problem at once and claims no more than it has read."""

import opscommons as oc
from tests.client.builders import Planted, flip_byte, seal
from tests.client.server import Server


def kinds(result: oc.Verification) -> dict[str, str]:
    return {problem.path: problem.kind for problem in result.problems}


def test_an_intact_release_is_consistent(planted: Planted, url: str) -> None:
    for release in (oc.open(planted.folder), oc.open(url)):
        result = release.verify()

        assert result.ok
        assert result.proven == "consistent with its manifest"
        assert result.matches_cited is None
        assert (result.files, result.bytes) == (len(planted.files), planted.manifest["totals"]["bytes"])
    assert not result.extra_checked


def test_a_citation_is_compared(planted: Planted) -> None:
    release = oc.open(planted.folder)

    assert (
        release.verify(manifest_sha256=planted.manifest_sha256.upper()).proven
        == "consistent with its manifest, and matches the cited manifest"
    )
    other = release.verify(manifest_sha256="0" * 64)
    assert not other.ok
    assert kinds(other) == {"manifest.json": "cited"}
    assert other.proven == "consistent with its manifest; but the manifest found differs from the cited digest"


def test_all_problems_are_found_in_one_run(planted: Planted) -> None:
    flipped, cut, gone, *_ = planted.paths()
    flip_byte(planted.folder / flipped)
    (planted.folder / cut).write_bytes(b"PAR1")
    (planted.folder / gone).unlink()
    stray = "data/node/metric=node_load1/date=2026-11-22/part-9.parquet"
    (planted.folder / stray).write_bytes(b"PAR1")
    (planted.folder / "my-notes.txt").write_text("remember", "utf-8")

    result = oc.open(planted.folder).verify()

    assert kinds(result) == {flipped: "corrupt", cut: "corrupt", gone: "missing", stray: "extra"}
    assert result.extra == (stray, "my-notes.txt")


def test_notes_beside_the_data_are_named_but_no_problem(planted: Planted) -> None:
    """Only below data/ and series/ would a reader take a stranger's file for the release's."""
    (planted.folder / "my-notes.txt").write_text("remember", "utf-8")

    result = oc.open(planted.folder).verify()

    assert result.ok
    assert result.extra == ("my-notes.txt",)


def test_a_consistent_forgery_is_caught_by_the_citation_alone(planted: Planted) -> None:
    """Who can write the folder can write its manifest: that's why the digest is cited."""
    cited = planted.manifest_sha256
    planted.manifest["release"]["title"] = "Forged"
    seal(planted)

    release = oc.open(planted.folder)

    assert release.verify().ok
    assert kinds(release.verify(manifest_sha256=cited)) == {"manifest.json": "cited"}


def test_sums_are_compared_too(planted: Planted) -> None:
    sums = planted.folder / "SHA256SUMS"
    sums.write_text(sums.read_text("utf-8") + "0" * 64 + "  invented.parquet\n", "utf-8")
    assert kinds(oc.open(planted.folder).verify()) == {"SHA256SUMS": "sums"}

    sums.unlink()
    assert kinds(oc.open(planted.folder).verify()) == {"SHA256SUMS": "missing"}


def test_a_remote_release_is_read_again_over_bad_lines(planted: Planted, server: Server, url: str) -> None:
    prefix = "public/releases/2026.11.0/"
    first, second, third, *_ = planted.paths()
    server.fail(prefix + first, "500", "cut")
    server.fail(prefix + second, "flip")
    server.fail(prefix + third, "404")

    result = oc.open(url).verify()

    assert kinds(result) == {second: "corrupt", third: "missing"}
