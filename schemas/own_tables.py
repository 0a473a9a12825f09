"""Tables of an operator's own, beside the shipped ones: a folder of YAML files, held to the same rules.

The folder holds ``<table>_v<version>.yaml``, ``label_classes.yaml`` for exporters that the project does not know, and
``tables.lock`` once ``opspub schema lock`` has held versions fast.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from schemas.compat import check_registry
from schemas.derived import PREFIX, is_derived
from schemas.errors import PrivacyError, UsageError
from schemas.label_classes import LabelCatalogue, add_label_classes, check_labels, read_label_classes
from schemas.lock import check_locked
from schemas.registry import LOCK, Registry, read_table, shipped_registry, sort_tables
from schemas.table import TableSchema

OWN_CLASSES: Final = "label_classes.yaml"


def read_registry(folder: Path | None) -> Registry:
    """Return the shipped tables and those in ``folder``; raise ``UsageError`` or ``PrivacyError`` for what may not be.

    Everything is checked before anything of it is used.
    """
    shipped = shipped_registry()
    if folder is None:
        return shipped
    if not folder.is_dir():
        raise UsageError(f"collection.schemas {folder} is not a folder; wanted one of <table>_v<version>.yaml files")
    paths = sorted(path for path in folder.glob("*.yaml") if path.name != OWN_CLASSES)
    own = sort_tables(map(read_table, paths))
    if problems := [*_check_names(shipped, own), *check_registry(own), *check_locked(own, read_own_lock(folder))]:
        raise UsageError(f"{problems[0]} ({len(problems)} problems in all)")
    catalogue = read_own_classes(folder)
    if found := [each for table in own for each in check_labels(table, catalogue)]:
        place, what = found[0]
        raise PrivacyError(f"{place}: {what} ({len(found)} problems in all)")
    return Registry(sort_tables((*shipped.tables, *own)), frozenset(table.table for table in own))


def read_own_lock(folder: Path) -> str:
    """Return the lock of an operator's own tables; empty as long as nothing is locked."""
    lock = folder / LOCK.name
    return lock.read_text("utf-8") if lock.is_file() else ""


def read_own_classes(folder: Path | None) -> LabelCatalogue:
    """Return the shipped catalogue of labels, with what ``folder`` adds."""
    path = folder / OWN_CLASSES if folder else None
    shipped = read_label_classes()
    return add_label_classes(shipped, path) if path and path.is_file() else shipped


def _check_names(shipped: Registry, own: Sequence[TableSchema]) -> Iterator[str]:
    owners = {metric.name: table.table for table in shipped.tables for metric in table.metrics}
    for table in own:
        if table.table in shipped.latest:
            yield f"there is a shipped table {table.table}; choose another name for your own"
            continue
        for metric in table.metrics:
            other = owners.setdefault(metric.name, table.table)
            if is_derived(metric.name):
                yield f"table {table.table} names {metric.name}; names that begin with {PREFIX} are those we make"
            elif other != table.table:
                yield (
                    f"table {table.table} names {metric.name}, which table {other} has; readers ask for a metric by "
                    "its name alone, so one table has it"
                )
