"""Committed snapshots of made-up GPUs and pods, staged as a run stages them, to build releases from."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from jobs.config import Settings
from jobs.parquet import Segments, build_row_group
from jobs.snapshot.commits import commit, data_key, ensure_description, put_files, wanted_description
from jobs.snapshot.runs import RunWriter, begin_run
from jobs.store import open_store
from schemas.arrow import data_schema, staged_schema
from schemas.commit import CommitFile, CommitRecord, HourCoverage, MetricCoverage, RawScan
from schemas.digest import digest
from schemas.registry import find_table, read_policy
from schemas.windows import Window, to_ms
from tests.jobs.builders import a_commit_record

DAY: Final = datetime(2026, 11, 1, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
GPU_METRIC, OWNER_METRIC = "DCGM_FI_DEV_GPU_UTIL", "kube_pod_owner"
_POINTS: Final = 4
_STEP_MS: Final = 30_000


def a_token(prefix: str, name: str) -> str:
    """A token as long as any, of a made-up name."""
    digits = hashlib.sha256(f"{prefix} {name}".encode()).digest()[:10]
    return f"{prefix}_" + "".join("abcdefghijklmnopqrstuvwxyz234567"[byte % 32] for byte in (digits * 2)[:16])


def a_gpu(node: str, family: str | None) -> dict[str, str | None]:
    """The labels of the one GPU of a machine."""
    return {"series_id": a_token("s", node), "node": a_token("node", node), "gpu_family": family}


def a_pod(pod: str, workload: str, namespace: str, kind: str) -> dict[str, str | None]:
    """The labels of a pod and its owner."""
    return {
        "series_id": a_token("s", f"{namespace} {pod}"),
        "namespace": a_token("ns", namespace),
        "pod": a_token("pod", f"{namespace} {pod}"),
        "workload": a_token("wl", f"{namespace} {workload}"),
        "owner_kind": kind,
    }


def stage(
    settings: Settings,
    folder: Path,
    table: str,
    metric: str,
    series: Sequence[Mapping[str, str | None]],
    *,
    start: datetime = DAY,
    key_id: str = "k_0",
    values: Sequence[Sequence[float | None]] | None = None,
) -> CommitRecord:
    """Commit one window of one metric; ``series`` are the label columns of each, the others are null.

    ``values`` are those of each series at the first four points of the window, counted up by default.
    """
    schema, policy = find_table(table), read_policy(settings.privacy.policy)
    wanted = [each for each in data_schema(schema) if each.name not in ("timestamp", "value")]
    order = sorted(
        range(len(series)),
        key=lambda n: tuple(series[n].get(name) or "~" for name in (*schema.sort_key, "series_id")),
    )
    ordered = [series[n] for n in order]
    arrays: list[Any] = [pa.array([each.get(field.name) for each in ordered], field.type) for field in wanted]
    count = len(ordered) * _POINTS
    given = [value for n in order for value in values[n]] if values else list(map(float, range(count)))
    segments = Segments(
        pa.RecordBatch.from_arrays(arrays, schema=pa.schema(wanted)),
        np.full(len(ordered), _POINTS, dtype=np.int64),
        np.tile(to_ms(start) + np.arange(_POINTS) * _STEP_MS, len(ordered)).astype(np.int64),
        np.array([np.nan if value is None else value for value in given]),
        np.array([value is not None for value in given]),
    )
    folder.mkdir(parents=True, exist_ok=True)
    with RunWriter(folder, schema) as writer:
        writer.begin(begin_run(metric, most_rows=count, values=segments.values))
        writer.add(build_row_group(segments, staged_schema(schema), {"metric": metric}))
    (path,) = writer.files
    content, window = path.read_bytes(), Window(start, start + HOUR)
    sha256 = hashlib.sha256(content).hexdigest()
    key = data_key(settings.source.name, schema, window, sha256)
    hour = HourCoverage(start=start, expected=count, received=count, held=0, points=count)
    record = a_commit_record(
        start,
        source=settings.source.name,
        source_token=a_token("src", "lab"),
        table=table,
        schema_version=schema.version,
        schema_digest=digest(schema),
        files=(
            CommitFile(path=key, sha256=sha256, bytes=len(content), rows=count, raw_scan=RawScan(searched=9, hits=0)),
        ),
        key_id=key_id,
        policy=policy.policy,
        policy_digest=digest(policy),
        coverage=(MetricCoverage(metric=metric, status="complete", series=len(ordered), rows=count, hours=(hour,)),),
    )
    store = open_store(settings.staging, endpoint_url=None)
    ensure_description(store, wanted_description(settings.collection))
    put_files(store, {key: path})
    commit(store, record)
    return record
