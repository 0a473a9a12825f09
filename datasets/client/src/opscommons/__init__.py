"""Load, download and verify OpsCommons releases.

>>> import opscommons as oc
>>> release = oc.open("https://bucket.example/")            # doctest: +SKIP
>>> df = release.load("node_load1", start="2026-11-22")     # doctest: +SKIP

A *store* is a public folder, bucket or web address with a ``catalog.json``; a *release* is one immutable set
of files in it. Importing this package is cheap: pyarrow and pandas are imported when something is read.
"""

from opscommons._documents import CatalogEntry, Manifest, ReleaseFile, ReleaseTable
from opscommons._errors import (
    BadRequest,
    CorruptFile,
    Damaged,
    MissingFile,
    NewerFormat,
    NotARelease,
    OpsCommonsError,
    Retracted,
    StoreError,
    UnknownColumn,
    UnknownMetric,
    UnknownName,
    UnknownRelease,
    UnknownTable,
    Unreachable,
)
from opscommons._open import open_release as open
from opscommons._open import read_releases as releases
from opscommons._release import Release
from opscommons._selection import Selection
from opscommons._verify import Problem, Verification
from opscommons._version import __version__

__all__ = [
    "open",
    "releases",
    "Release",
    "Selection",
    "Manifest",
    "ReleaseFile",
    "ReleaseTable",
    "CatalogEntry",
    "Verification",
    "Problem",
    "OpsCommonsError",
    "BadRequest",
    "UnknownName",
    "UnknownRelease",
    "UnknownTable",
    "UnknownMetric",
    "UnknownColumn",
    "StoreError",
    "Unreachable",
    "NotARelease",
    "NewerFormat",
    "Retracted",
    "Damaged",
    "CorruptFile",
    "MissingFile",
    "__version__",
]
