"""A withdrawn release is gone for everybody, and never comes back."""

import json
import os
import pty
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from jobs.config import Settings
from jobs.publish.catalog import CATALOG, rebuild_catalog
from jobs.publish.retract import refuse_unfinished, render_retraction, run_retract
from jobs.publish.run import run_publish
from jobs.publish.verify import run_verify
from jobs.published import read_manifests
from schemas.errors import PrivacyError, StoreError, UsageError
from tests.jobs.audited import CONTENTS, VERSION, a_clock, publisher_settings, write_audited
from tests.jobs.bench import OPSPUB, Bench
from tests.jobs.withdrawn import (
    BEFORE,
    FILES,
    PREFIX,
    REASON,
    a_public_bucket,
    assert_withdrawn,
    in_bucket,
    keys_of,
    public_of,
    publish_two,
    withdraw,
)
from tests.lab.rgw import Gateway
from tests.store.conftest import bucket_place, gateway
from tests.store.places import BucketPlace

__all__ = ["bucket_place", "gateway"]

ATTESTED = f"attestations/{VERSION}/"


@pytest.fixture
def published(tmp_path: Path) -> Settings:
    """Two releases in a folder, the second of which will be withdrawn."""
    return publish_two(publisher_settings(tmp_path))


@pytest.fixture
def public_bucket(gateway: Gateway, bucket_place: BucketPlace) -> BucketPlace:
    return a_public_bucket(gateway)


def test_a_release_in_a_folder_is_gone_with_its_folders(published: Settings, tmp_path: Path) -> None:
    result = withdraw(published)

    assert_withdrawn(published)
    assert not (tmp_path / "public/releases" / VERSION).exists()
    assert (result.latest, result.objects, result.problems) == (BEFORE, FILES, [])
    assert result.unchecked == [
        "no address is known at which readers reach this folder; publish.url in the configuration names it"
    ]
    assert list(render_retraction(result))[-1] == "all that could be checked is gone"


def test_the_tombstone_says_what_there_was_and_why_it_went(published: Settings) -> None:
    manifest = read_manifests(public_of(published))[VERSION]
    entry = next(e for e in rebuild_catalog(public_of(published)).releases if e.version == VERSION)

    withdraw(published)

    assert json.loads(public_of(published).get(f"retractions/{VERSION}.json") or b"") == {
        "version": VERSION,
        "reason": REASON,
        "retracted": "2026-11-02T15:00:00Z",
        "created": "2026-11-02T10:00:00Z",
        "manifest_sha256": entry.manifest_sha256,
        "provenance": "simulated",
        "time": "calendar",
        "bytes": manifest.totals.bytes,
        "rows": 7,
    }


def test_what_speaks_for_the_release_stays(published: Settings) -> None:
    """Who audited and approved what was wrong must not vanish with it; it tells nothing of the data."""
    before = {key: public_of(published).get(key) for key in keys_of(published) if key.startswith(ATTESTED)}

    withdraw(published)

    after = {key: public_of(published).get(key) for key in keys_of(published) if key.startswith(ATTESTED)}
    assert before == after
    assert len(before) == 4


def test_a_second_time_changes_nothing_and_keeps_the_first_reason(published: Settings) -> None:
    first = withdraw(published)
    held = {key: public_of(published).get(key) for key in keys_of(published)}

    again = withdraw(published, reason="Another story.")

    assert (first.again, again.again, again.reason, again.objects) == (False, True, REASON, 0)
    assert {key: public_of(published).get(key) for key in keys_of(published)} == held
    assert next(iter(render_retraction(again))).startswith(f"{VERSION} is retracted since 2026-11-02T15:00:00Z: A col")


def test_a_version_that_never_was_cannot_be_withdrawn(published: Settings) -> None:
    """A misspelt number must not end as a notice for all to read."""
    held = keys_of(published)

    with pytest.raises(UsageError, match=r"has no release 2026.12.0; 'opscommons list' shows"):
        run_retract(published, "2026.12.0", reason=REASON, clock=a_clock())

    assert keys_of(published) == held


def test_a_withdrawn_version_is_never_used_again(published: Settings) -> None:
    withdraw(published)
    held = keys_of(published)

    with pytest.raises(UsageError, match=rf"{VERSION} was retracted on 2026-11-02 \(A column .* never used again"):
        run_publish(published, VERSION, clock=a_clock())
    with pytest.raises(StoreError, match=rf"release {VERSION} was retracted on 2026-11-02: A column held"):
        run_verify(published, VERSION)

    assert keys_of(published) == held


def test_the_next_publishing_leaves_it_withdrawn(published: Settings) -> None:
    """Every publishing makes the catalog anew from what is there."""
    withdraw(published)
    write_audited(published, "2026.11.1")

    run_publish(published, "2026.11.1", clock=a_clock())

    catalog = json.loads(public_of(published).get(CATALOG) or b"")
    assert [entry["status"] for entry in catalog["releases"]] == ["published", "retracted", "published"]
    assert catalog["latest"] == "2026.11.1"


def test_half_a_release_can_be_withdrawn_too(published: Settings) -> None:
    """Publishing died before the manifest, and what is there already can be read by whoever guesses its name."""
    public_of(published).delete(f"{PREFIX}manifest.json")
    rebuild_catalog(public_of(published))

    result = withdraw(published)

    assert_withdrawn(published)
    assert (result.objects, result.problems) == (FILES - 1, [])


@pytest.mark.parametrize("victim", [VERSION, BEFORE])
def test_a_damaged_manifest_keeps_nothing_up(published: Settings, victim: str) -> None:
    """An emergency is no time to mend other things first."""
    public_of(published).put(f"releases/{victim}/manifest.json", b"{")

    result = withdraw(published)

    assert not list(public_of(published).list(PREFIX))
    assert public_of(published).get(f"retractions/{VERSION}.json")
    if victim == VERSION:
        assert_withdrawn(published)
    else:
        assert [problem.partition(":")[0] for problem in result.problems] == [
            "the catalog could not be written first",
            "the catalog could not be written",
        ]
        with pytest.raises(StoreError, match=f"{VERSION} is retracted, but not gone: the catalog could not"):
            refuse_unfinished(result)


@pytest.mark.parametrize(
    ("reason", "error", "told"),
    [
        (" \n ", UsageError, "wanted 1 to 500 printable ones"),
        ("x" * 501, UsageError, "found a --reason of 501 characters"),
        ("gpu 10.11.12.13 was named", PrivacyError, "looks like an ipv4-address; it becomes public"),
        ("tell made-up@example.org", PrivacyError, "looks like an e-mail-address"),
    ],
)
def test_a_reason_does_not_repeat_the_leak(published: Settings, reason: str, error: type[Exception], told: str) -> None:
    held = keys_of(published)

    with pytest.raises(error, match=told) as caught:
        withdraw(published, reason=reason)

    assert keys_of(published) == held
    assert "10.11" not in str(caught.value)
    assert "made-up" not in str(caught.value)


def test_nothing_is_left_in_a_bucket_that_keeps_versions(public_bucket: BucketPlace, tmp_path: Path) -> None:
    """Neither versions nor uploads that somebody began: anybody who knows their number could go on reading."""
    settings = publish_two(in_bucket(tmp_path, public_bucket))
    store = public_of(settings)
    store.put(f"{PREFIX}README.md", b"an earlier card that somebody put there")
    store.put(f"{PREFIX}README.md", CONTENTS["README.md"])
    store.put(f"{PREFIX}notes.txt", b"gone from sight")
    store.delete(f"{PREFIX}notes.txt")
    for key in (f"{PREFIX}data/huge.parquet", f"releases/{BEFORE}/other"):
        public_bucket.begin_upload(key)
    urls = [store.address(PREFIX + path) or "" for path in (*CONTENTS, "manifest.json", "SHA256SUMS")]
    assert [requests.get(url, timeout=10).status_code for url in urls] == [200] * FILES

    result = withdraw(settings)

    assert_withdrawn(settings)
    assert [requests.get(url, timeout=10).status_code for url in urls] in ([403] * FILES, [404] * FILES)
    left = [name for name in public_bucket.hidden_names() if VERSION in name and "attest" not in name]
    assert left == [f"version retractions/{VERSION}.json"]
    assert f"upload releases/{BEFORE}/other" in public_bucket.hidden_names()
    assert (result.asked, result.problems, result.unchecked) == (FILES, [], [])
    assert list(render_retraction(result))[-1] == "all of it is gone"


def test_a_bucket_that_nobody_may_read_proves_nothing(bucket_place: BucketPlace, tmp_path: Path) -> None:
    """A refusal is no sign of absence where everything is refused: readers come by another address."""
    settings = publish_two(in_bucket(tmp_path, bucket_place))

    result = withdraw(settings)

    assert_withdrawn(settings)
    assert result.problems == []
    assert len(result.unchecked) == 1
    assert "without credentials: do readers come another way?" in result.unchecked[0]


class Web(SimpleHTTPRequestHandler):
    """A web server of a folder, without a word on stderr."""

    always = False

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is not there as some web servers do: with a page that looks well."""
        if not self.always:
            super().send_error(code, message, explain)
            return
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def web_server(folder: Path, *, kind: type[Web] = Web, always: bool = False) -> Iterator[str]:
    handler = type("Bound", (kind,), {"always": always})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_a_cache_still_has_is_found_and_asked_for_again(tmp_path: Path) -> None:
    """The store is empty, and half the world goes on reading: only a look from outside tells."""
    with web_server(tmp_path / "cache") as url:
        settings = publish_two(publisher_settings(tmp_path, publish={"url": f"{url}/"}))
        shutil.copytree(tmp_path / "public", tmp_path / "cache")

        first = withdraw(settings)
        shutil.rmtree(tmp_path / "cache")
        shutil.copytree(tmp_path / "public", tmp_path / "cache")
        shutil.rmtree(settings.work_dir / "releases")
        (tmp_path / "cache" / PREFIX / "data/node/metric=node_load1/date=2026-11-01").mkdir(parents=True)
        kept = tmp_path / "cache" / PREFIX / "data/node/metric=node_load1/date=2026-11-01/part-0.parquet"
        kept.write_bytes(b"still here")
        second = withdraw(settings)
        kept.unlink()
        third = withdraw(settings)

    assert len(first.problems) == 2
    assert first.problems[0].startswith(f"{FILES} of {FILES} addresses can still be read, the first: {url}/{PREFIX}")
    assert "caches may keep it for 300 s" in first.problems[0]
    assert first.problems[1].startswith(f"the catalog at {url} does not know of the retraction")
    assert [problem.partition(";")[0] for problem in second.problems] == [
        f"1 of {FILES} addresses can still be read, the first: "
        f"{url}/{PREFIX}data/node/metric%3Dnode_load1/date%3D2026-11-01/part-0.parquet"
    ]
    assert (third.asked, third.problems, third.unchecked) == (FILES, [], [])


def test_a_server_that_answers_everything_proves_nothing(tmp_path: Path) -> None:
    with web_server(tmp_path / "public", always=True) as url:
        settings = publish_two(publisher_settings(tmp_path, publish={"url": url}))

        result = withdraw(settings)

    assert result.problems == []
    assert result.unchecked == [f"{url} does not say of a name that nothing ever had that it is not there"]


def test_a_server_that_does_not_answer_proves_nothing(tmp_path: Path) -> None:
    settings = publish_two(publisher_settings(tmp_path, publish={"url": "http://127.0.0.1:1"}))

    result = withdraw(settings)

    assert_withdrawn(settings)
    assert result.problems == []
    assert result.unchecked == [
        "nobody can read catalog.json at http://127.0.0.1:1 without credentials: do readers come another way?"
    ]


@pytest.mark.parametrize(
    ("cuts", "doubts"), [(1, []), (9, ["nobody can read catalog.json at URL without credentials"])]
)
def test_a_catalog_that_is_cut_on_its_way_ends_no_retraction(tmp_path: Path, cuts: int, doubts: list[str]) -> None:
    """The look from outside comes last, and a line may be bad: one answer is asked for again, more are a doubt."""
    asked: list[int] = []

    class Cutting(Web):
        def do_GET(self) -> None:
            if not self.path.endswith(CATALOG):
                super().do_GET()
                return
            asked.append(len(asked))
            content = (tmp_path / "public" / CATALOG).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if len(asked) <= cuts else content)
            self.close_connection = True

    with web_server(tmp_path / "public", kind=Cutting) as url:
        settings = publish_two(publisher_settings(tmp_path, publish={"url": url}))

        result = withdraw(settings)

    assert_withdrawn(settings)
    assert len(asked) == 2
    assert (result.asked, result.problems) == (FILES, [])
    assert [text.replace(url, "URL").partition(":")[0] for text in result.unchecked] == doubts


def test_credentials_of_the_home_folder_do_not_open_doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the operator may read is no sign of what anybody may."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    seen: list[str | None] = []

    class Listening(Web):
        def send_head(self) -> Any:  # noqa: ANN401 - its type there
            seen.append(self.headers.get("Authorization"))
            return super().send_head()

    with web_server(tmp_path / "public", kind=Listening) as url:
        withdraw(publish_two(publisher_settings(tmp_path, publish={"url": url})))

    assert len(seen) == FILES + 2
    assert set(seen) == {None}


def test_somebody_at_the_keyboard_is_asked_back(published: Settings, tmp_path: Path) -> None:
    """There is no way back; a script, and whoever says --yes, has thought of that before."""
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench")

    def answer(text: bytes, *more: str) -> tuple[int, str]:
        keyboard, terminal = pty.openpty()
        os.write(keyboard, text)
        ran = subprocess.run(
            [OPSPUB, "--config", "opspub.yaml", "retract", VERSION, "--reason", REASON, *more],
            cwd=bench.folder,
            env={"PATH": os.defpath, "HOME": str(tmp_path)},
            stdin=terminal,
            capture_output=True,
            text=True,
            check=False,
        )
        for descriptor in (keyboard, terminal):
            os.close(descriptor)
        return ran.returncode, ran.stderr

    bench.config["public"] = published.public
    assert bench.run("verify", VERSION).code == 0
    no = answer(b"n\n")
    assert bench.run("verify", VERSION).code == 0
    yes = answer(b"y\n")
    assert bench.run("verify", VERSION).code == 6
    unasked = answer(b"", "--yes")

    assert no[0] == 2
    assert f"Withdraw {VERSION} from {published.public}, for good?" in no[1]
    assert no[1].endswith("opspub: nothing was done\n")
    assert (yes[0], unasked) == (0, (0, ""))
