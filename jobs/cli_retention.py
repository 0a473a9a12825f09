"""The command ``expire``: retention of the staging store."""

from typing import Annotated

import typer

from jobs.clock import read_clock
from jobs.terminal import Json, duration_of, print_result, settings_of, show_progress


def expire(
    context: typer.Context,
    older_than: Annotated[
        str, typer.Option(help="How long ago the window must have ended, and its release must have become public.")
    ] = "90d",
    unreleased: Annotated[bool, typer.Option("--unreleased", help="Also what no published release holds.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Remove it; without this it is only listed.")] = False,
    as_json: Json = False,
) -> None:
    """List, and with --apply remove, the files of old snapshots that a release holds; their commits stay."""
    from jobs.retention import render_retention, retention_facts, run_retention

    with show_progress() as progress:
        result = run_retention(
            settings_of(context),
            older_than=duration_of(older_than),
            unreleased=unreleased,
            apply=apply,
            now=read_clock(),
            progress=progress,
        )
    print_result(as_json, retention_facts(result, apply=apply), list(render_retention(result, apply=apply)))
