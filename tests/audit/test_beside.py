"""What stands beside a release is audited on its way out: each channel is broken on purpose, and nothing leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from anonymize.audit.words import WordSearch
from jobs.config import Settings
from jobs.kept import record_destruction
from jobs.publish import built, catalog, outgoing
from jobs.publish.built import approve
from jobs.publish.retract import run_retract
from jobs.publish.run import run_publish
from jobs.publish.sign import make_signing_key
from jobs.store import open_store
from schemas.destruction import KeyDestruction
from schemas.errors import PrivacyError
from schemas.manifest import Catalog, ReleaseInfo
from tests.audit.release import POLICY, SECRET, TOKEN
from tests.jobs.audited import NOW, VERSION, a_clock, publisher_settings, write_audited
from tests.store.places import FULL

Change = Callable[[dict[str, Any]], object]
Seed = Callable[[pytest.MonkeyPatch], None]


def in_json(module: str, kind: str, change: Change) -> Seed:
    """Let a module write documents of a kind that are changed on their way."""

    def seed(patch: pytest.MonkeyPatch) -> None:
        from schemas.digest import readable_json

        def leaky(model: Any) -> bytes:  # noqa: ANN401 - any document
            said = json.loads(readable_json(model))
            if type(model).__name__ == kind:
                change(said)
            return (json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode()

        patch.setattr(f"{module}.readable_json", leaky)

    return seed


def in_bytes(target: str, change: Callable[[bytes], bytes]) -> Seed:
    """Let a function return other bytes."""

    def seed(patch: pytest.MonkeyPatch) -> None:
        module, _, name = target.rpartition(".")
        made = getattr(__import__(module, fromlist=[name]), name)
        patch.setattr(target, lambda *given, **named: change(made(*given, **named)))

    return seed


def with_metadata(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(outgoing, "object_headers", lambda key: {"ContentType": "text/plain", "Metadata": {"by": "build-7"}})


CATALOG, ATTEST = "jobs.publish.catalog", "jobs.publish.attest"
SEEDS: dict[str, tuple[Seed, str]] = {
    "address in the catalog": (
        in_json(CATALOG, "Catalog", lambda said: said["releases"][0].update(reason="seen at 10.20.30.40")),
        "catalog.json: ipv4-address (1)",
    ),
    "field that no catalog has": (
        in_json(CATALOG, "Catalog", lambda said: said.update(built_on="build-7")),
        "catalog.json: unknown-field (1)",
    ),
    "token in the catalog": (
        in_json(CATALOG, "Catalog", lambda said: said["releases"][0].update(reason=f"for ns_{TOKEN}")),
        "catalog.json: token-beside-a-release (1)",
    ),
    "listed word in the catalog, in base64": (
        in_json(CATALOG, "Catalog", lambda said: said.update(latest="cXVva2thLWluZHVzdHJpZXMuZXhhbXBsZQ")),
        "catalog.json: listed-word (1)",
    ),
    "unseen character in the catalog": (
        in_json(CATALOG, "Catalog", lambda said: said["releases"][0].update(reason="a\u200bb")),
        "catalog.json: unseen-character (1)",
    ),
    "listed word in a remark of the front page": (
        in_bytes(f"{CATALOG}.render_site", lambda page: page + f"<!-- {SECRET} -->".encode()),
        "index.html: listed-word (1)",
    ),
    "listed word in the front page, escaped and cut": (
        in_bytes(
            f"{CATALOG}.render_site", lambda page: page + "<wbr>".join(f"&#{ord(sign)};" for sign in SECRET).encode()
        ),
        "index.html: listed-word (1)",
    ),
    "name of an object": (
        lambda patch: patch.setattr(catalog, "INDEX", f"{SECRET}.html"),
        "name of a public object: not-in-grammar (1)",
    ),
    "field in the audit report": (
        in_json(ATTEST, "AuditReport", lambda said: said.update(machine="build-7")),
        "audit.json: unknown-field (1)",
    ),
    "path of somebody in the audit report": (
        in_json(ATTEST, "AuditReport", lambda said: said.update(version=f"/home/{SECRET}/releases")),
        "audit.json: listed-word (1)",
    ),
    "address of who approved": (
        in_json(ATTEST, "Approvals", lambda said: said["approvals"][0].update(approver="ada@team.example")),
        "approvals.json: e-mail-address (1)",
    ),
    "listed word in a signature": (
        in_json(ATTEST, "Signature", lambda said: said["statement"].update(dataset=SECRET.upper())),
        "signature: listed-word (1)",
    ),
    "address in the stamp of publishing": (
        in_bytes(f"{ATTEST}.canonical_json", lambda said: said[:-1] + b',"by":"https://u:p4ss@lab"}'),
        "published.json: url-with-password (1)",
    ),
    "key twice in the stamp of publishing": (
        in_bytes(f"{ATTEST}.canonical_json", lambda said: said[:-1] + b',"published":"here"}'),
        "published.json: key-twice (1)",
    ),
    "listed word in the sums": (
        in_bytes(f"{ATTEST}._render", lambda sums: sums + f"{'0' * 64}  {SECRET}\n".encode()),
        "SHA256SUMS of attestations: listed-word (1)",
    ),
    "id of a machine beside a destroyed key": (
        in_json(ATTEST, "KeyAttestation", lambda said: said.update(key_id="0189e2b4-5c6d-4e7f-8a9b-0c1d2e3f4a5b")),
        "key-destroyed.json: uuid (1)",
    ),
    "address in a header": (
        lambda patch: patch.setattr("jobs.store.headers.cache_control", lambda key: "no-cache, via=10.20.30.40"),
        "headers of a public object: ipv4-address (1)",
    ),
    "listed word in a header": (
        lambda patch: patch.setattr("jobs.store.headers.content_type", lambda key: f"text/plain; by={SECRET}"),
        "headers of a public object: listed-word (1)",
    ),
    "metadata of an object": (with_metadata, "headers of a public object: unknown-header (1)"),
}

LONG = {
    "field that no catalog has",
    "token in the catalog",
    "unseen character in the catalog",
    "listed word in a remark of the front page",
    "field in the audit report",
    "key twice in the stamp of publishing",
    "listed word in a header",
}
"""Of these a channel has another one."""


def ready(folder: Path, **info: str) -> Settings:
    """Return the settings of a release that waits to be published with all that may stand beside it."""
    words = folder / "words"
    words.touch(mode=0o600)
    words.write_text(f"{SECRET}\nada\n")
    make_signing_key(folder / "signing.pem")
    settings = publisher_settings(
        folder,
        privacy={"key_file": folder / "ring", "word_list": words},
        publish={"approvals": 1, "signing_key_file": folder / "signing.pem"},
        release=info,
    )
    own = settings.release
    write_audited(
        settings,
        release=ReleaseInfo(
            version=VERSION, title=own.title, license=own.license, maintainer=own.maintainer, contact=own.contact
        ),
    )
    approve(settings, VERSION, approver="ada", now=NOW)
    destroyed = KeyDestruction(key_id="k_0", valid_from=None, valid_to=NOW, destroyed=NOW, snapshots=1, gaps=())
    record_destruction(open_store(settings.staging), destroyed)
    return settings


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> WordSearch:
    found = outgoing.read_words(ready(tmp_path_factory.mktemp("words")))
    assert found
    return found


@pytest.fixture
def prepared(search: WordSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let words and policy be read once for all tests: that takes longer than any of them."""
    monkeypatch.setattr(outgoing, "read_words", lambda settings: search)
    monkeypatch.setattr(built, "read_policy", lambda name: POLICY)


def contents(settings: Settings) -> dict[str, bytes]:
    """Return all that is public."""
    store = open_store(settings.public)
    return {key: store.get(key) or b"" for key in store.list("")}


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("name", [name for name in SEEDS if FULL or name not in LONG])
def test_what_a_defect_puts_beside_a_release_is_found_before_anything_is_public(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ready(tmp_path)
    seed, told = SEEDS[name]
    seed(monkeypatch)

    with pytest.raises(PrivacyError) as caught:
        run_publish(settings, VERSION, clock=a_clock())

    assert caught.value.exit_code == 5
    assert f"the first: {told}" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert contents(settings) == {}


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize(
    ("reason", "told"),
    [(f"It named {SECRET}.", "retraction: listed-word (1)"), (f"It held pod_{TOKEN}.", "retraction: token-beside")],
)
def test_a_reason_that_tells_what_was_withdrawn_withdraws_nothing(reason: str, told: str, tmp_path: Path) -> None:
    """It would be public for longer than the release was; said again without, it is withdrawn."""
    settings = ready(tmp_path)
    run_publish(settings, VERSION, clock=a_clock())
    before = contents(settings)

    with pytest.raises(PrivacyError) as caught:
        run_retract(settings, VERSION, reason=reason, clock=a_clock())

    assert told in str(caught.value)
    assert SECRET not in str(caught.value)
    assert contents(settings) == before
    assert run_retract(settings, VERSION, reason="It named somebody.", clock=a_clock()).problems == []


def test_what_a_publisher_says_on_purpose_passes_and_goes_on_to_pass(tmp_path: Path) -> None:
    """Who they are, who approved, and why a release went; and another contact later makes no leak of the old one."""
    who = {"title": f"Data of {SECRET}", "maintainer": f"The people of {SECRET}", "contact": "data@quokka.example"}
    settings = ready(tmp_path, **who)
    run_publish(settings, VERSION, clock=a_clock())
    result = run_retract(settings, VERSION, reason='Ask "data@quokka.example".', clock=a_clock())
    later = settings.model_copy(
        update={"release": settings.release.model_copy(update={"contact": "new@quokka.example"})}
    )
    write_audited(later, "2026.11.1", start=NOW - timedelta(days=9), end=NOW - timedelta(days=8))
    approve(later, "2026.11.1", approver="ada", now=NOW)

    published = run_publish(later, "2026.11.1", clock=a_clock())

    assert (result.problems, published.latest) == ([], "2026.11.1")
    assert "data@quokka.example" in contents(later)["catalog.json"].decode()
    assert b'"approver": "ada"' in contents(later)[f"attestations/{VERSION}/approvals.json"]


@pytest.mark.usefixtures("prepared")
def test_what_changes_between_the_trial_and_the_writing_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial protects the release; that the very bytes that leave are looked at does not depend on it."""
    settings = ready(tmp_path)
    build, made = catalog.build_catalog, []

    def changing(*given: Any) -> Catalog:  # noqa: ANN401 - handed on
        made.append(build(*given))
        return made[-1].model_copy(update={"latest": SECRET if len(made) > 1 else made[-1].latest})

    monkeypatch.setattr(catalog, "build_catalog", changing)

    with pytest.raises(PrivacyError, match=r"catalog\.json: listed-word"):
        run_publish(settings, VERSION, clock=a_clock())

    assert contents(settings).keys() & {"catalog.json", "index.html"} == set()
