"""Each treatment is switched off in the real pipeline, and a search goes red: nothing is committed, nothing audited."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from anonymize.pseudonyms import Pseudonymizer
from jobs.clock import read_clock
from jobs.config import Settings
from jobs.publish.run import run_publish
from jobs.release.audited import report_path
from jobs.release.run import run_release
from schemas.errors import PrivacyError
from tests.jobs.native import collect_both, settings_of
from tests.prometheus.server import RealPrometheus

Switch = Callable[[pytest.MonkeyPatch], object]
VERSION = "2026.1.0"


def pseudonyms_are_raw(patch: pytest.MonkeyPatch) -> None:
    def token(_: object, prefix: str, domain: str, parts: Iterable[str | None]) -> str:
        return f"{prefix}_{domain}-{[*parts][-1]}"

    patch.setattr(Pseudonymizer, "token", token)


def pseudonyms_have_no_key(patch: pytest.MonkeyPatch) -> None:
    """The commonest failure of others: a digest that anybody can make, here even in the form of a token."""

    def token(_: object, prefix: str, domain: str, parts: Iterable[str | None]) -> str:
        digest = hashlib.sha256(str([*parts][-1]).encode()).digest()
        return f"{prefix}_{base64.b32encode(digest).decode().lower()[:16]}"

    patch.setattr(Pseudonymizer, "token", token)


def metadata_stays_in_the_footer(patch: pytest.MonkeyPatch) -> None:
    plain = pq.ParquetWriter

    def writer(*given: Any, **options: Any) -> Any:  # noqa: ANN401 - of the library
        return plain(*given, **options | {"store_schema": True})

    patch.setattr(pq, "ParquetWriter", writer)


@pytest.mark.parametrize(
    "switch", [pseudonyms_are_raw, pseudonyms_have_no_key, metadata_stays_in_the_footer], ids=lambda each: each.__name__
)
def test_without_a_treatment_nothing_becomes_public(
    switch: Switch, native_server: RealPrometheus, native_end: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either the search of the snapshot or the audit of the release stands in the way; no message quotes a name."""
    settings = settings_of(tmp_path, native_server.url)
    switch(monkeypatch)

    def run() -> None:
        collect_both(settings, native_end)
        run_release(settings, VERSION, clock=read_clock)

    with pytest.raises(PrivacyError) as refused:
        run()

    assert "quite-secret" not in str(refused.value)
    assert "made-up-space" not in str(refused.value)
    assert not (tmp_path / "public").exists()


def test_an_audit_that_dies_leaves_nothing_that_could_be_published(
    native_server: RealPrometheus, native_end: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that cannot judge is no check that found nothing."""
    settings: Settings = settings_of(tmp_path, native_server.url)
    collect_both(settings, native_end)

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError("quite-secret")

    monkeypatch.setattr("anonymize.audit.columns.read_channels", dies)
    with pytest.raises(PrivacyError) as refused:
        run_release(settings, VERSION, clock=read_clock)
    with pytest.raises(PrivacyError):
        run_publish(settings, VERSION, clock=read_clock)

    assert "quite-secret" not in str(refused.value)
    assert not report_path(settings.work_dir / "releases" / VERSION).exists() or refused.value.exit_code == 5
    assert not (tmp_path / "public/releases").exists()
