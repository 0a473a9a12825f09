"""The commands about what is kept rather than collected: the table schemas here, keys and policy beside."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli_keys import key_app
from jobs.cli_policy import policy_app
from jobs.terminal import Json, print_result, settings_of
from schemas.errors import UsageError
from schemas.table import LabelColumn

__all__ = ["key_app", "schema_app", "policy_app"]

schema_app = typer.Typer(help="The registry of table schemas.", no_args_is_help=True)


@schema_app.command("list")
def schema_list(context: typer.Context, as_json: Json = False) -> None:
    """List every version of every table."""
    from jobs.registry import registry_at_hand
    from schemas.digest import digest

    registry = registry_at_hand(context.obj)
    tables = [
        {
            "table": s.table,
            "version": s.version,
            "family": s.family,
            "metrics": len(s.metrics),
            "own": s.table in registry.own,
            "digest": digest(s),
        }
        for s in registry.tables
    ]
    print_result(
        as_json,
        {"tables": tables},
        [
            f"{t['table']:14} {t['version']:5} {t['family']:4} {t['metrics']:3} metrics{', your own' * bool(t['own'])}"
            for t in tables
        ],
    )


@schema_app.command("show")
def schema_show(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="Name of a table.")],
    version: Annotated[str | None, typer.Option(help="Its version; the newest by default.")] = None,
    as_json: Json = False,
) -> None:
    """Show one table: columns, metrics, units, treatments."""
    from jobs.registry import registry_at_hand

    schema = registry_at_hand(context.obj).find(table, version)
    lines = [f"{schema.table} {schema.version} ({schema.family}): {schema.description}", "", "columns"]
    lines += [f"  {column.name:14} {_kind(column)}: {column.meaning}" for column in schema.labels]
    lines += ["", "metrics", *(f"  {m.name}  {m.type}, {m.unit}, {m.value}: {m.meaning}" for m in schema.metrics)]
    print_result(as_json, schema.model_dump(mode="json"), lines)


def _kind(column: LabelColumn) -> str:
    if column.identity:
        return f"pseudonym of a {column.identity}"
    return f"vocabulary {column.vocabulary}" if column.vocabulary else f"number ({column.number})"


@schema_app.command("check")
def schema_check(context: typer.Context, as_json: Json = False) -> None:
    """Hold the registry against its lock file and its own rules; tables of your own against theirs."""
    from jobs.registry import check_tables

    problems = check_tables(context.obj)
    print_result(as_json, {"problems": problems}, problems or ["the registry is consistent with its lock"])
    if problems:
        raise UsageError(f"the registry has {len(problems)} problems, the first: {problems[0]}")


@schema_app.command("lock")
def schema_lock(context: typer.Context, as_json: Json = False) -> None:
    """Hold the versions of your own tables fast: from then on every command refuses one that has changed."""
    from jobs.registry import lock_own_tables
    from schemas.digest import digest

    added = lock_own_tables(settings_of(context))
    facts = [{"table": each.table, "version": each.version, "digest": digest(each)} for each in added]
    lines = [f"locked {each['table']} {each['version']}" for each in facts]
    print_result(as_json, {"locked": facts}, lines or ["every version was locked already"])


@schema_app.command("diff")
def schema_diff(
    context: typer.Context,
    older: Annotated[str, typer.Argument(help="A version such as node@1.0, node for its newest, or a file.")],
    newer: Annotated[str, typer.Argument(help="The same.")],
    check: Annotated[bool, typer.Option("--check", help="Exit 2 if only a major version may do this.")] = False,
    as_json: Json = False,
) -> None:
    """Say in words what one version of a table has that another has not."""
    from jobs.registry import find_version
    from schemas.authoring import tell_difference
    from schemas.compat import compare_tables

    before, after = find_version(older, context.obj), find_version(newer, context.obj)
    changes = compare_tables(before, after)
    breaking = [change for change in changes if change.breaking]
    facts = [{"place": each.place, "what": each.what, "breaking": each.breaking} for each in changes]
    print_result(as_json, {"changes": facts}, list(tell_difference(before, after)))
    if check and breaking:
        raise UsageError(f"{len(breaking)} changes break readers, the first: {breaking[0]}")


@schema_app.command("new")
def schema_new(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="Name of the table.")],
    folder: Annotated[Path | None, typer.Option(help="Write the file there; it goes to stdout by default.")] = None,
) -> None:
    """Begin a table of your own from a template, or the next minor version of one that exists as a copy."""
    from jobs.registry import begin_table

    name, text = begin_table(table, context.obj)
    if folder is None:
        typer.echo(text, nl=False)
        return
    try:
        with (folder / name).open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{folder / name} cannot be written: {error.strerror}") from None
    typer.echo(f"wrote {folder / name}")


@schema_app.command("coverage")
def schema_coverage(
    context: typer.Context,
    propose: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="Print the beginning of a table for metrics of that prefix.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the tables with what the configured source offers: present, absent, types that differ, new labels."""
    from jobs.clock import read_clock
    from jobs.offer import compare_offer, propose_table
    from schemas.offer import tell_offers

    settings = settings_of(context)
    if propose is not None:
        typer.echo(propose_table(settings, propose, now=read_clock()), nl=False)
        return
    found = compare_offer(settings, now=read_clock())
    print_result(as_json, dataclasses.asdict(found), list(tell_offers(found.tables, found.undeclared)))
