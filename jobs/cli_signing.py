"""The commands of the signing key: make it, and print the half that everybody may have."""

from pathlib import Path

import typer

from jobs.terminal import Json, print_result, settings_of
from schemas.errors import UsageError

signing_app = typer.Typer(help="The key that signs releases: make it, and print its public half.", no_args_is_help=True)


@signing_app.command("new")
def signing_new(context: typer.Context, as_json: Json = False) -> None:
    """Make a random Ed25519 key where publish.signing_key_file says, and write its public half beside it."""
    from jobs.publish.sign import make_signing_key, public_path

    path = _key_file(context)
    made = make_signing_key(path)
    facts = {"key_id": made.public.key_id, "key_file": str(path), "public_key_file": str(public_path(path))}
    lines = [
        f"made {made.public.key_id} in {path}; keep that file, and keep it private",
        f"its public half is in {public_path(path)}; tell it readers where nobody who can write to the store can write",
    ]
    print_result(as_json, facts, lines)


@signing_app.command("show")
def signing_show(context: typer.Context, as_json: Json = False) -> None:
    """Print the public half of the configured key in PEM, as verify takes it."""
    from jobs.publish.sign import read_signing_key

    public = read_signing_key(_key_file(context)).public
    print_result(as_json, {"key_id": public.key_id, "public_key": public.pem}, public.pem.splitlines())


def _key_file(context: typer.Context) -> Path:
    path = settings_of(context).publish.signing_key_file
    if path is None:
        raise UsageError("publish.signing_key_file is not set; wanted the name of a file for the key that signs")
    return path
