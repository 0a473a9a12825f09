"""The commands about what is kept rather than collected: keys, table schemas, the policy."""

from typing import Annotated

import typer

from jobs.clock import read_clock
from jobs.terminal import Json, instant_of, print_result, settings_of
from schemas.errors import UsageError
from schemas.table import LabelColumn
from schemas.windows import format_duration, snap_outward

key_app = typer.Typer(help="The key ring: make and show keys.", no_args_is_help=True)
schema_app = typer.Typer(help="The registry of table schemas.", no_args_is_help=True)
policy_app = typer.Typer(help="The privacy policy.", no_args_is_help=True)


@key_app.command("new")
def key_new(
    context: typer.Context,
    valid_from: Annotated[
        str | None, typer.Option(help="Where the new key's epoch begins and the last one's ends; ISO 8601.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a random key: the first of the ring, or the next one."""
    from anonymize.keys import add_key

    settings = settings_of(context)
    path, begins = settings.privacy.key_file, instant_of(valid_from)
    if begins and snap_outward(begins, begins, settings.collection.window).start != begins:
        raise UsageError(
            f"found --valid-from {begins:%FT%TZ} inside a window, which then had no key; wanted the start of a window "
            f"of {format_duration(settings.collection.window)}"
        )
    key_id = add_key(path, now=read_clock(), valid_from=begins)
    print_result(
        as_json,
        {"key_id": key_id, "key_file": str(path)},
        [f"made {key_id} in {path}; keep that file, and keep it private"],
    )


@key_app.command("show")
def key_show(context: typer.Context, as_json: Json = False) -> None:
    """Show the ring's keys and epochs, never a secret."""
    from anonymize.keys import read_ring

    keys = read_ring(settings_of(context).privacy.key_file).public_view()
    lines = [f"{k['key_id']}  from {k['valid_from'] or 'the beginning'}  to {k['valid_to'] or 'no end'}" for k in keys]
    print_result(as_json, {"keys": keys}, lines)


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


@policy_app.command("show")
def policy_show(context: typer.Context, as_json: Json = False) -> None:
    """Show what the policy publishes, and as what."""
    from schemas.digest import digest
    from schemas.registry import read_policy

    policy = read_policy(settings_of(context).privacy.policy)
    lines = [f"policy {policy.policy} version {policy.version}, {digest(policy)}", "", "identity domains"]
    lines += [f"  {d.prefix + '_…':9} {name}: {d.meaning}" for name, d in policy.domains.items()]
    lines += ["", "vocabularies", *(f"  {name}: {len(v.members)} members" for name, v in policy.vocabularies.items())]
    lines += [
        "",
        "tables",
        *(f"  {name}: {len(t.metrics)} metrics, reviewed {t.reviewed}" for name, t in policy.tables.items()),
    ]
    print_result(as_json, policy.model_dump(mode="json"), lines)
