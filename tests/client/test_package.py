"""What the package is: its names, its version, what it imports and what it doesn't."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import opscommons as oc
from opscommons import _errors

CLIENT = Path(__file__).parents[2] / "datasets/client"
SOURCE = CLIENT / "src/opscommons"

EXPORTED = {
    *("open", "releases", "Release", "Selection", "Manifest", "ReleaseFile", "ReleaseTable", "CatalogEntry"),
    *("Verification", "Problem", "OpsCommonsError", "BadRequest", "UnknownName", "UnknownRelease"),
    *("UnknownTable", "UnknownMetric", "UnknownColumn", "StoreError", "Unreachable", "NotARelease"),
    *("NewerFormat", "Retracted", "Damaged", "CorruptFile", "MissingFile", "__version__"),
}


def test_the_public_names_are_pinned() -> None:
    assert set(oc.__all__) == EXPORTED
    assert len(oc.__all__) == len(EXPORTED)
    assert all(hasattr(oc, name) for name in oc.__all__)


def test_every_error_is_in_the_drawing_with_its_exit_code() -> None:
    drawn: dict[str, str] = {}
    for line in (_errors.__doc__ or "").splitlines():
        name, *rest = line.strip("│├└─ ").split() or [""]
        drawn[name] = rest[0] if rest and rest[0].isdigit() else ""

    for name, error in vars(_errors).items():
        if isinstance(error, type) and issubclass(error, oc.OpsCommonsError):
            assert name in oc.__all__
            own_code = str(error.exit_code) if "exit_code" in vars(error) else ""
            assert drawn[name] == own_code


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text("utf-8"))["project"]

    assert project["version"] == oc.__version__
    assert project["scripts"] == {"opscommons": "opscommons._cli:main"}
    assert (SOURCE / "py.typed").exists()


def test_importing_is_light() -> None:
    """A notebook's first cell, and every --help, should not wait for pandas."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import opscommons, opscommons._cli;"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(SOURCE.parent)], capture_output=True, text=True, check=True
    )

    loaded = set(ast.literal_eval(done.stdout))
    assert not loaded & {"pandas", "pyarrow", "numpy", "boto3", "duckdb", "polars"}
    assert not loaded & {"schemas", "collector", "anonymize", "jobs", "datasets"}


MODULES = sorted(SOURCE.glob("*.py"))
THIRD_PARTY_DOORS = {
    "pyarrow": {"_read.py", "_frames.py", "_s3.py", "_selection.py", "_release.py"},
    "pandas": {"_frames.py", "_selection.py", "_release.py"},
    "numpy": {"_rates.py", "_read.py", "_frames.py"},
    "polars": {"_selection.py"},
    "duckdb": {"_selection.py"},
    "cryptography": {"_signed.py"},
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_imports_stay_within_the_distribution(path: Path) -> None:
    """Only the standard library, the declared dependencies and itself; nothing of the publisher."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno}: use absolute imports"
            found.add((node.module or "").split(".")[0])

    outside = found - set(sys.stdlib_module_names) - {"opscommons"}
    assert outside <= set(THIRD_PARTY_DOORS)
    assert all(path.name in THIRD_PARTY_DOORS[name] for name in outside)


def test_no_datasets_package_shadows_another() -> None:
    """With datasets/__init__.py a notebook here would import this folder for Hugging Face's library."""
    assert not (CLIENT.parent / "__init__.py").exists()
