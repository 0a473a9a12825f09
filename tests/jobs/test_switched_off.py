"""Each treatment is switched off in the real pipeline, and a search goes red: nothing is committed, nothing audited."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from anonymize.pseudonyms import Pseudonymizer
from jobs.clock import read_clock
from jobs.config import Settings
from jobs.publish.run import run_publish
from jobs.release.audited import report_path
from jobs.release.run import run_release
from jobs.snapshot import series
from schemas.commit import CommitRecord, RawOrder
from schemas.errors import PrivacyError
from tests.collector.histogram_chunks import Histogram
from tests.collector.histogram_wire import write_mixed
from tests.jobs.native import QUARTER, STEP, collect, collect_both, settings_of, to_ms
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


def sorted_by_names(patch: pytest.MonkeyPatch) -> None:
    """Series stay as the source gives them, which is by their names."""
    patch.setattr(series, "sort_rows", lambda columns, table: np.arange(len(columns)))


def numbered_as_met(patch: pytest.MonkeyPatch) -> None:
    """Tokens are numbers in the order of first sight, as some tools have them; files are sorted as they should be."""
    made: dict[tuple[str | None, ...], str] = {}

    def token(_: object, prefix: str, domain: str, parts: Iterable[str | None]) -> str:
        number = len(made)
        body = "".join("234567abcdefghijklmnopqrstuvwxyz"[number >> 5 * place & 31] for place in reversed(range(16)))
        return made.setdefault((domain, *parts), f"{prefix}_{body}")

    patch.setattr(Pseudonymizer, "token", token)


NAMES = 40


@pytest.fixture(scope="module")
def volumes(native_server: RealPrometheus, native_end: datetime) -> RealPrometheus:
    """A server with a volume in each of some namespaces, told by floats and by histograms."""
    times = range(to_ms(native_end - QUARTER), to_ms(native_end), STEP)
    labels = [
        {"namespace": f"made-up-space-{number:02}", "persistentvolumeclaim": "data", "case": form}
        for form in ("floats", "histograms")
        for number in range(NAMES)
    ]
    write_mixed(
        native_server,
        [
            (
                {"__name__": "kubelet_volume_stats_used_bytes", **each},
                [(at, Histogram({1: at % 7 + 1}) if each["case"] == "histograms" else 0) for at in times],
            )
            for each in labels
        ],
    )
    up = [(at, 1) for at in times]
    native_server.write(({"__name__": "up", "job": "volumes", "case": form}, up) for form in ("floats", "histograms"))
    return native_server


def collect_volumes(server: RealPrometheus, end: datetime, folder: Path, form: str) -> CommitRecord:
    settings = settings_of(folder, server.url)
    collection = settings.collection.model_copy(update={"tables": ("volume",)})
    return collect(settings.model_copy(update={"collection": collection}), end, match={"case": form})


@pytest.mark.parametrize("form", ["floats", "histograms"])
def test_names_are_compared_with_the_order_of_their_tokens(
    form: str, volumes: RealPrometheus, native_end: datetime, tmp_path: Path
) -> None:
    (file,) = collect_volumes(volumes, native_end, tmp_path, form).files

    assert file.form == {"floats": "float", "histograms": "native"}[form]
    assert file.raw_order == RawOrder(compared=NAMES, follows=0)


@pytest.mark.parametrize(
    ("switch", "form"), [(sorted_by_names, "floats"), (sorted_by_names, "histograms"), (numbered_as_met, "floats")]
)
def test_rows_in_the_order_of_names_are_not_committed(
    switch: Switch,
    form: str,
    volumes: RealPrometheus,
    native_end: datetime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the file read back, whether rows were left in order or tokens were made in it."""
    switch(monkeypatch)

    with pytest.raises(PrivacyError, match="order of namespace: order-of-raw-names") as refused:
        collect_volumes(volumes, native_end, tmp_path, form)

    assert refused.value.exit_code == 5
    assert "made-up-space" not in str(refused.value)
    assert not list((tmp_path / "staging").glob("commits/**/*.json"))


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
