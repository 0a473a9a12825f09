"""A key, a ring and a table with one column of every kind, to be changed where a test looks."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anonymize.identity import IdentityFrame, build_frame
from anonymize.keys import PseudonymKey
from anonymize.pseudonyms import Pseudonymizer
from anonymize.transform import TableAnonymizer
from schemas.policy import Policy
from schemas.raw import Raw
from schemas.table import TableSchema
from schemas.windows import Window

SECRET = bytes((37 * n + 101) % 256 for n in range(32))  # plainly made up
OTHER_SECRET = bytes((59 * n + 7) % 256 for n in range(32))


def a_key(secret: bytes = SECRET) -> PseudonymKey:
    return PseudonymKey("k_0123456789abcdef", secret)


def a_pseudonymizer(secret: bytes = SECRET) -> Pseudonymizer:
    return Pseudonymizer(a_key(secret))


def an_entry(secret: bytes = SECRET, **fields: object) -> dict[str, Any]:
    """Return one key as it stands in the file."""
    return {
        "key_id": "k_0123456789abcdef",
        "created": "2026-11-01T00:00:00Z",
        "secret": base64.b64encode(secret).decode(),
    } | fields


def write_ring(path: Path, *entries: Mapping[str, object], mode: int = 0o600) -> Path:
    path.touch(mode=0o600)
    path.write_text(json.dumps({"format_version": "1.0", "keys": entries}))
    path.chmod(mode)
    return path


def a_window(start: str, end: str) -> Window:
    return Window(datetime.fromisoformat(start).replace(tzinfo=UTC), datetime.fromisoformat(end).replace(tzinfo=UTC))


def a_column(name: str, **fields: object) -> dict[str, Any]:
    return {"name": name, "meaning": "Says something."} | fields


def a_metric(name: str, *labels: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "gauge",
        "unit": "1",
        "exporter": "tests",
        "meaning": "Counts something.",
        "labels": labels,
    }


def a_table() -> TableSchema:
    """A table with one column of every kind; ``pod_info`` carries fewer of them than ``pod_cpu``."""
    return TableSchema.model_validate(
        {
            "table": "pod",
            "version": "1.0",
            "family": "ops",
            "description": "Pods of the tests.",
            "labels": [
                a_column("namespace", identity="namespace"),
                a_column("pod", identity="pod"),
                a_column("node", label="instance", identity="node"),
                a_column("device", identity="device"),
                a_column("workload", label="owner_name", identity="workload"),
                a_column("phase", vocabulary="phases"),
                a_column("cpu", number="int32"),
                a_column("le", number="text"),
            ],
            "sort_key": ["namespace", "pod"],
            "metrics": [
                a_metric("pod_cpu", "namespace", "pod", "node", "device", "phase", "cpu", "le"),
                a_metric("pod_info", "namespace", "pod", "workload"),
            ],
        }
    )


def a_policy() -> Policy:
    """The policy that covers ``a_table``."""
    return Policy.model_validate(
        {
            "policy": "small",
            "version": 1,
            "domains": {
                "namespace": {"prefix": "ns", "public": "public_namespaces", "meaning": "A namespace by its name."},
                "pod": {"prefix": "pod", "scope": ["namespace"], "meaning": "A pod of a namespace."},
                "node": {"prefix": "node", "canonical": "host", "unmatched": "host", "meaning": "A machine."},
                "host": {"prefix": "host", "canonical": "host", "meaning": "A stranger among the machines."},
                "device": {"prefix": "dev", "scope": ["node"], "meaning": "A disk of a machine."},
                "workload": {
                    "prefix": "wl",
                    "scope": ["namespace"],
                    "canonical": "workload",
                    "meaning": "What made a pod.",
                },
            },
            "vocabularies": {
                "public_namespaces": {"source": "the tests", "members": ["kube-system"]},
                "phases": {"source": "the tests", "members": {"Running": "Running", "Succeeded": "Done"}},
            },
            "tables": {
                "pod": {
                    "owner": "maintainers",
                    "why": "The tests want to know.",
                    "reviewed": "2026-11-23",
                    "metrics": ["pod_cpu", "pod_info"],
                }
            },
        }
    )


NODES: Sequence[Mapping[str, str]] = (
    {"node": "gpu-7.lab.example", "internal_ip": "10.0.0.7"},
    {"node": "gpu-8.lab.example", "internal_ip": "fd00::8"},
)


def an_anonymizer(
    *,
    secret: bytes = SECRET,
    source: str = "lab",
    frame: IdentityFrame | None = None,
    ignored_labels: frozenset[str] = frozenset({"cluster", "prometheus_replica"}),
    table: TableSchema | None = None,
    policy: Policy | None = None,
) -> TableAnonymizer:
    return TableAnonymizer(
        table=table or a_table(),
        policy=policy or a_policy(),
        pseudonymizer=a_pseudonymizer(secret),
        source=source,
        frame=build_frame([Raw("labels", NODES)]) if frame is None else frame,
        ignored_labels=ignored_labels,
    )
