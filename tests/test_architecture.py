"""The house rules that a machine can hold: imports run one way, and every heavy or dangerous thing has one door."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = {name: ROOT / name for name in ("schemas", "collector", "anonymize", "jobs")}
LAYERS["opscommons"] = ROOT / "datasets/client/src/opscommons"
MAY_IMPORT: dict[str, set[str]] = {
    "schemas": set(),
    "collector": {"schemas"},
    "anonymize": {"schemas"},
    "jobs": {"schemas", "collector", "anonymize"},
    "opscommons": set(),
}
DOORS = {
    "prometheus_api_client": {"collector/client.py"},
    "numba": {"collector/kernels/compiled.py"},
    "google_crc32c": {"collector/frames.py"},
    "cramjam": {"collector/remote_read.py"},
    "boto3": {"jobs/store/s3.py"},
    "botocore": {"jobs/store/s3.py"},
    "apscheduler": {"jobs/scheduler.py"},
    "cryptography": {"jobs/publish/sign.py", "datasets/client/src/opscommons/_signed.py"},
    "hmac": {"anonymize/pseudonyms.py"},
    "yaml": {"schemas/registry.py", "jobs/config.py", "jobs/card/card.py", "jobs/card/citation.py"},
}
CALL_DOORS = {
    # the clock
    ("datetime", "now"): {"jobs/clock.py"},
    ("datetime", "utcnow"): set(),
    ("time", "time"): {"jobs/clock.py"},
    ("time", "perf_counter"): {"jobs/clock.py"},
    # the environment
    ("os", "environ"): {"jobs/config.py"},
    ("os", "getenv"): set(),
}
RAW_DOORS = {
    # the collector: what it decodes, asks for, divides reads by and finds targets by
    "collector/labels.py",
    "collector/matrix.py",
    "collector/http_read.py",
    "collector/promql.py",
    "collector/remote_read.py",
    "collector/split.py",
    "collector/scrapes.py",
    "collector/up.py",
    # the transformer, and the search for what it should have left behind
    "anonymize/columns.py",
    "anonymize/identity.py",
    "anonymize/lookup.py",
    "anonymize/transform.py",
    "anonymize/audit/raworder.py",
    "anonymize/audit/rawscan.py",
    # makes series by names that become tokens with all others
    "jobs/snapshot/workloads.py",
}
"""Who may open a sealed raw value. No writer, no log and no error is among them."""
TRANSFORMER = {
    "columns",
    "groups",
    "identity",
    "pseudonyms",
    "transform",
    "values",
    "keys",
    "key_file",
    "key_strength",
    "lookup",
}
MODULES = [(layer, path) for layer, folder in LAYERS.items() for path in sorted(folder.rglob("*.py"))]
IDS = [path.relative_to(ROOT).as_posix() for _, path in MODULES]


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or "opscommons" in path.parts, f"{path.name}:{node.lineno}: use absolute imports"
            yield node.module or ""


@pytest.mark.parametrize(("layer", "path"), MODULES, ids=IDS)
def test_imports_follow_the_layers(layer: str, path: Path) -> None:
    """schemas <- collector, anonymize <- jobs; the client shares a document with them, never code."""
    name = path.relative_to(ROOT).as_posix()
    for module in imported_modules(path):
        package = module.split(".")[0]
        if package in MAY_IMPORT and package != layer:
            assert package in MAY_IMPORT[layer], f"{name} must not import {package}"
        if package in DOORS:
            assert name in DOORS[package], f"{package} belongs in {sorted(DOORS[package])} alone, not in {name}"


def test_the_parts_of_jobs_build_on_each_other() -> None:
    """Each folder and each module beside them can be read, and changed, with only those in mind that it stands on."""
    stands_on: dict[str, set[str]] = {}
    for path in sorted((ROOT / "jobs").rglob("*.py")):
        part = path.relative_to(ROOT / "jobs").parts[0].removesuffix(".py")
        others = {module.split(".")[1] for module in imported_modules(path) if module.startswith("jobs.")}
        stands_on.setdefault(part, set()).update(others - {part})

    order = list(TopologicalSorter(stands_on).static_order())  # raises CycleError, which names the parts

    named = [part for part in order if part in ("store", "snapshot", "release", "publish", "cli")]
    assert named == ["store", "snapshot", "release", "publish", "cli"]
    assert stands_on["card"] == stands_on["store"] == set()


@pytest.mark.parametrize(("layer", "path"), MODULES, ids=IDS)
def test_the_clock_and_the_environment_have_one_door(layer: str, path: Path) -> None:
    """A function that is told the time and the settings can be tested at any time under any settings."""
    name = path.relative_to(ROOT).as_posix()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            use = (node.value.id, node.attr)
            if use in CALL_DOORS and layer != "opscommons":
                assert name in CALL_DOORS[use], f"{name}:{node.lineno}: {'.'.join(use)} has its own door"


@pytest.mark.parametrize(("layer", "path"), MODULES, ids=IDS)
def test_raw_values_are_opened_by_few(layer: str, path: Path) -> None:
    """What is sealed cannot leak; each file that opens it is one to read with care."""
    name = path.relative_to(ROOT).as_posix()
    names = {node.id for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Name)}
    held = {node.attr for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)}
    if name != "schemas/raw.py":
        assert ("open_raw" in names) is (name in RAW_DOORS), f"{name} opens raw values, or is listed and doesn't"
        assert not held & {"_held", "open_raw"}, f"{name} breaks the seal"


@pytest.mark.parametrize("path", sorted((ROOT / "anonymize/audit").glob("*.py")), ids=lambda path: path.name)
def test_the_audit_shares_no_code_with_what_it_audits(path: Path) -> None:
    """An error in the transformer must not be repeated by its auditor."""
    for module in imported_modules(path):
        parts = module.split(".")
        assert not (parts[0] == "anonymize" and len(parts) > 1 and parts[1] in TRANSFORMER), f"{path.name}: {module}"


def test_nothing_imports_what_only_main_programs_may() -> None:
    """``datasets`` stays a folder without code, or it would shadow a well-known package in notebooks."""
    assert not (ROOT / "datasets/__init__.py").exists()


@pytest.mark.parametrize(("layer", "path"), MODULES, ids=IDS)
def test_a_file_tells_one_story(layer: str, path: Path) -> None:
    """Rules that no machine holds decay; 400 lines is where a second story has begun."""
    if not path.name.endswith("_pb2.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 400
