"""The commands about what is kept rather than collected: the table schemas here, keys and policy beside."""

from typing import Annotated

import typer

from jobs.cli_keys import key_app
from jobs.cli_policy import policy_app
from jobs.terminal import Json, print_result
from schemas.errors import UsageError
from schemas.table import LabelColumn

__all__ = ["key_app", "schema_app", "policy_app"]

schema_app = typer.Typer(help="The registry of table schemas.", no_args_is_help=True)


@schema_app.command("list")
def schema_list(as_json: Json = False) -> None:
    """List every version of every table."""
    from schemas.digest import digest
    from schemas.registry import shipped_tables

    tables = [
        {"table": s.table, "version": s.version, "family": s.family, "metrics": len(s.metrics), "digest": digest(s)}
        for s in shipped_tables()
    ]
    print_result(
        as_json,
        {"tables": tables},
        [f"{t['table']:14} {t['version']:5} {t['family']:4} {t['metrics']:3} metrics" for t in tables],
    )


@schema_app.command("show")
def schema_show(
    table: Annotated[str, typer.Argument(help="Name of a table.")],
    version: Annotated[str | None, typer.Option(help="Its version; the newest by default.")] = None,
    as_json: Json = False,
) -> None:
    """Show one table: columns, metrics, units, treatments."""
    from schemas.registry import find_table

    schema = find_table(table, version)
    lines = [f"{schema.table} {schema.version} ({schema.family}): {schema.description}", "", "columns"]
    lines += [f"  {column.name:14} {_kind(column)}: {column.meaning}" for column in schema.labels]
    lines += ["", "metrics", *(f"  {m.name}  {m.type}, {m.unit}, {m.value}: {m.meaning}" for m in schema.metrics)]
    print_result(as_json, schema.model_dump(mode="json"), lines)


def _kind(column: LabelColumn) -> str:
    if column.identity:
        return f"pseudonym of a {column.identity}"
    return f"vocabulary {column.vocabulary}" if column.vocabulary else f"number ({column.number})"


@schema_app.command("check")
def schema_check(as_json: Json = False) -> None:
    """Hold the registry against its lock file and its own rules."""
    from schemas.compat import check_registry
    from schemas.lock import check_lock
    from schemas.registry import LOCK, shipped_tables

    problems = [*check_registry(shipped_tables()), *check_lock(shipped_tables(), LOCK.read_text("utf-8"))]
    print_result(as_json, {"problems": problems}, problems or ["the registry is consistent with its lock"])
    if problems:
        raise UsageError(f"the registry has {len(problems)} problems, the first: {problems[0]}")
