"""Hold released table versions fast: ``tables.lock`` keeps the digest and the content of each, one per line.

``python -m schemas.lock`` adds the shipped versions that it does not know yet, and refuses if a known one has changed;
``opspub schema lock`` does the same for tables of an operator's own.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.compat import compare_tables
from schemas.digest import canonical_json, digest
from schemas.errors import UsageError
from schemas.registry import LOCK, shipped_tables
from schemas.table import TableSchema

_Key = tuple[str, int, int]


class LockedTable(BaseModel):
    """One line of the lock. The content is there so that a change can be told, not only noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    version: str
    digest: str
    content: TableSchema


def render_lock(tables: Iterable[TableSchema]) -> str:
    """Return the lock of some tables: one line of canonical JSON each, by name and version."""
    return "".join(
        canonical_json(
            {
                "table": schema.table,
                "version": schema.version,
                "digest": digest(schema),
                "content": schema.model_dump(mode="json", exclude_defaults=True),
            }
        ).decode()
        + "\n"
        for schema in sorted(tables, key=_key)
    )


def check_lock(tables: Iterable[TableSchema], lock_text: str, *, command: str = "python -m schemas.lock") -> list[str]:
    """Return what differs between the tables and what was released; empty when nothing does.

    ``command`` is what adds a version to this lock.
    """
    tables = tuple(tables)
    locked, problems = _compare(tables, lock_text)
    return problems + [
        f"table {schema.table} {schema.version} is not in {LOCK.name}; run {command} to add it"
        for schema in tables
        if _key(schema) not in locked
    ]


def check_locked(tables: Iterable[TableSchema], lock_text: str) -> list[str]:
    """Return what differs from what was released, whatever else there is: a version not locked may still change."""
    _, problems = _compare(tables, lock_text)
    return problems


def extend_lock(path: Path, tables: Sequence[TableSchema]) -> list[TableSchema]:
    """Add what is new to the lock at ``path`` and return it; raise ``UsageError`` if a released version differs."""
    locked, problems = _compare(tables, path.read_text("utf-8") if path.exists() else "")
    if problems:
        raise UsageError("\n".join(problems))
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(render_lock(tables), "utf-8")
    beside.replace(path)
    return [schema for schema in tables if _key(schema) not in locked]


def _compare(tables: Iterable[TableSchema], lock_text: str) -> tuple[Mapping[_Key, LockedTable], list[str]]:
    """Return what is locked, and what differs from it."""
    present = {_key(schema): schema for schema in tables}
    locked, found = _read_lock(lock_text)
    return locked, found + [each for key, entry in locked.items() for each in _check_entry(entry, present.get(key))]


def main() -> int:
    """Lock the shipped tables; print what forbids it and change nothing if a released version differs."""
    try:
        extend_lock(LOCK, shipped_tables())
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _key(schema: TableSchema) -> _Key:
    return schema.table, schema.major, schema.minor


def _read_lock(text: str) -> tuple[Mapping[_Key, LockedTable], list[str]]:
    locked: dict[_Key, LockedTable] = {}
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        place = f"{LOCK.name}, line {number}"
        try:
            entry = LockedTable.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            found.append(f"{place}: {'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}")
            continue
        if digest(entry.content) != entry.digest or (entry.content.table, entry.content.version) != (
            entry.table,
            entry.version,
        ):
            found.append(f"{place}: content, digest and name of {entry.table} do not belong together; restore the line")
        elif _key(entry.content) in locked:
            found.append(f"{place}: table {entry.table} {entry.version} stands here for the second time")
        locked[_key(entry.content)] = entry
    return locked, found


def _check_entry(entry: LockedTable, schema: TableSchema | None) -> list[str]:
    name = f"table {entry.table} {entry.version}"
    if schema is None:
        return [f"{name} was released and is gone; restore {entry.table}_v{entry.version}.yaml"]
    if digest(schema) == entry.digest:
        return []
    changes = compare_tables(entry.content, schema)
    told = "; ".join(map(str, changes)) or "in the order of its metrics"
    wanted = "major" if any(change.breaking for change in changes) else "minor"
    return [
        f"{name} was released and has changed: {told} (a released version stays: restore it, add a {wanted} version)"
    ]


if __name__ == "__main__":
    sys.exit(main())
