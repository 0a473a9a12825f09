"""A release hides words that few share: everywhere in it, in later ones of its key, and so that the audit agrees."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.config import Settings
from jobs.publish.run import run_publish
from jobs.release import build as build_module
from jobs.release.groups import Suppression
from jobs.release.result import ReleaseResult
from jobs.release.run import run_release
from schemas.errors import PrivacyError
from tests.jobs.audited import publisher_settings
from tests.jobs.small_groups import DAY, GPU_METRIC, HOUR, OWNER_METRIC, a_gpu, a_pod, stage

COMMON = [a_gpu(f"common-{n}", "A100") for n in range(5)]
RARE = [a_gpu(f"rare-{n}", "H200") for n in range(2)]
UNKNOWN = [a_gpu("odd", "other"), a_gpu("none", None)]
SPAN = {"start": DAY, "end": DAY + HOUR}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return publisher_settings(tmp_path)


def build(settings: Settings, version: str = "2026.11.0", *, hour: int = 0, **options: Any) -> ReleaseResult:  # noqa: ANN401
    start = DAY + hour * HOUR
    return run_release(
        settings, version, clock=lambda: DAY + timedelta(days=1), start=start, end=start + HOUR, **options
    )


def publish(settings: Settings, version: str = "2026.11.0") -> None:
    run_publish(settings, version, clock=lambda: DAY + timedelta(days=1))


def stage_gpus(settings: Settings, tmp_path: Path, *series: dict[str, str | None], hour: int = 0, **key: Any) -> None:  # noqa: ANN401
    stage(settings, tmp_path / f"run-{hour}", "gpu", GPU_METRIC, series, start=DAY + hour * HOUR, **key)


def families(result: ReleaseResult, column: str = "gpu_family") -> dict[str, set[str | None]]:
    """Return for each file of the release with the column what it shows there, read as a stranger would."""
    return {
        path.relative_to(result.folder).as_posix(): set(rows.column(column).to_pylist())
        for path in result.folder.rglob("*.parquet")
        if column in (rows := pq.read_table(path, partitioning=None)).schema.names
    }


def test_a_rare_family_is_hidden_and_the_common_one_is_not(settings: Settings, tmp_path: Path) -> None:
    stage_gpus(settings, tmp_path, *COMMON, *RARE, *UNKNOWN)

    result = build(settings)

    assert len(families(result)) == 2
    assert set(map(frozenset, families(result).values())) == {frozenset({"A100", "other", None})}
    assert result.report.findings == ()
    for path in result.folder.rglob("*"):  # the project's own list of words is a copy of the schema's policy, not here
        assert path.is_dir() or b"H200" not in path.read_bytes(), path.name


def test_rows_stay_and_the_coverage_says_why_a_label_is_hidden(settings: Settings, tmp_path: Path) -> None:
    stage_gpus(settings, tmp_path, *COMMON, *RARE)

    result = build(settings)

    coverage = pq.read_table(result.folder / "coverage.parquet").to_pylist()
    (row,) = [row for row in coverage if row["metric"] == GPU_METRIC]
    assert result.manifest.totals.rows == 4 * 7
    assert (row["status"], row["reason"], row["points"]) == ("complete", "suppressed", 28)
    card = (result.folder / "README.md").read_text()
    assert "Here that hides words in `gpu.gpu_family`" in card
    assert "| `suppressed` |" in card


def test_nothing_is_said_to_be_hidden_where_nothing_is(settings: Settings, tmp_path: Path) -> None:
    stage_gpus(settings, tmp_path, *COMMON, *UNKNOWN)

    result = build(settings)

    assert "Here it hides nothing" in (result.folder / "README.md").read_text()
    assert {
        row["reason"] for row in pq.read_table(result.folder / "coverage.parquet").to_pylist() if row["points"]
    } == {None}


def test_the_whole_span_is_counted_not_each_window(settings: Settings, tmp_path: Path) -> None:
    """Three machines in each of two hours are six; and the same three twice are three."""
    stage_gpus(settings, tmp_path, *(a_gpu(f"a-{n}", "A100") for n in range(3)), *RARE)
    stage_gpus(settings, tmp_path, *(a_gpu(f"b-{n}", "A100") for n in range(3)), *RARE, hour=1)

    result = run_release(settings, "2026.11.0", clock=lambda: DAY + timedelta(days=1), start=DAY, end=DAY + 2 * HOUR)

    assert set().union(*families(result).values()) == {"A100", "other"}


def test_a_kind_that_one_team_runs_is_hidden_although_many_have_it(settings: Settings, tmp_path: Path) -> None:
    pods = [a_pod(f"p{n}", f"train-{n}", "vision", "PyTorchJob") for n in range(30)]
    pods += [a_pod(f"q{n}", f"web-{n}", f"team-{n % 4}", "Deployment") for n in range(8)]
    stage(settings, tmp_path / "run", "pod", OWNER_METRIC, pods)

    result = build(settings)

    assert set().union(*families(result, "owner_kind").values()) == {"Deployment", "other"}


def test_k_is_configured(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"privacy": settings.privacy.model_copy(update={"k_anonymity": 2})})
    stage_gpus(settings, tmp_path, *COMMON, *RARE)

    assert set().union(*families(build(settings)).values()) == {"A100", "H200"}


def test_what_was_hidden_stays_hidden_under_its_key(settings: Settings, tmp_path: Path) -> None:
    """The tokens of the two machines are the same in both releases: the word in one would tell it in the other."""
    many = [a_gpu(f"rare-{n}", "H200") for n in range(9)]
    stage_gpus(settings, tmp_path, *COMMON, *RARE)
    build(settings)
    publish(settings)
    stage_gpus(settings, tmp_path, *COMMON, *many, hour=1)
    stage_gpus(settings, tmp_path, *COMMON, *many, hour=2, key_id="k_1")

    same_key = build(settings, "2026.11.1", hour=1)
    next_key = build(settings, "2026.11.2", hour=2)

    assert set().union(*families(same_key).values()) == {"A100", "other"}
    assert set().union(*families(next_key).values()) == {"A100", "H200"}


def test_a_release_that_was_built_before_the_other_was_published_is_built_again(
    settings: Settings, tmp_path: Path
) -> None:
    """Else the order of two commands decides what can be told."""
    stage_gpus(settings, tmp_path, *COMMON, *RARE)
    stage_gpus(settings, tmp_path, *COMMON, *(a_gpu(f"rare-{n}", "H200") for n in range(9)), hour=1)
    build(settings, "2026.11.1", hour=1)
    build(settings, "2026.11.0")
    publish(settings, "2026.11.0")

    with pytest.raises(
        PrivacyError, match=r"release 2026\.11\.0 hides words of gpu_families .* build 2026\.11\.1 again"
    ):
        publish(settings, "2026.11.1")
    build(settings, "2026.11.1", hour=1)
    publish(settings, "2026.11.1")


@pytest.mark.parametrize("broken", [b"", b"{}", None])
def test_without_the_record_of_what_it_hides_nothing_is_published(
    settings: Settings, tmp_path: Path, broken: bytes | None
) -> None:
    stage_gpus(settings, tmp_path, *COMMON)
    folder = build(settings).folder
    path = folder.with_name(f"{folder.name}.hidden.json")
    path.unlink() if broken is None else path.write_bytes(broken)

    with pytest.raises(PrivacyError, match=r"build 2026\.11\.0 again"):
        publish(settings)
    assert not (tmp_path / "public/releases").exists()


@pytest.mark.parametrize("table", ["gpu", "pod"])
def test_the_audit_counts_for_itself(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    """A builder that hides nothing is found out by the rows that readers would get."""
    stage_gpus(settings, tmp_path, *COMMON, *(RARE if table == "gpu" else []))
    pods = [a_pod(f"p{n}", f"train-{n}", "vision" if table == "pod" else f"t{n}", "PyTorchJob") for n in range(30)]
    stage(settings, tmp_path / "pods", "pod", OWNER_METRIC, pods)
    monkeypatch.setattr(build_module, "choose_suppression", lambda *_, **__: Suppression())

    with pytest.raises(PrivacyError, match=r"vocabulary (gpu_families|owner_kinds): small-group \(1\)") as refused:
        build(settings)
    assert "H200" not in str(refused.value)
    assert "PyTorchJob" not in str(refused.value)


def test_the_same_snapshots_give_the_same_bytes(settings: Settings, tmp_path: Path) -> None:
    stage_gpus(settings, tmp_path, *COMMON, *RARE)
    first = build(settings).report.manifest_sha256
    publish(settings)

    (tmp_path / "public/releases/2026.11.0/manifest.json").unlink()  # as if it had never become public

    assert build(settings).report.manifest_sha256 == first
