"""The commands of the key ring: make, show and destroy keys, and look up what stands for a raw value."""

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.clock import read_clock
from jobs.terminal import Json, instant_of, print_result, settings_of
from schemas.errors import StoreError, UsageError
from schemas.raw import Raw

if TYPE_CHECKING:
    from jobs.keys import Destruction, KeyUse

key_app = typer.Typer(help="The key ring: make, show, destroy and use keys.", no_args_is_help=True)


@key_app.command("new")
def key_new(
    context: typer.Context,
    valid_from: Annotated[
        str | None, typer.Option(help="Where the new key's epoch begins and the last one's ends; ISO 8601.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a random key: the first of the ring, or the next one."""
    from jobs.keys import make_key

    settings = settings_of(context)
    key_id = make_key(settings, now=read_clock(), valid_from=instant_of(valid_from))
    path = str(settings.privacy.key_file)
    print_result(
        as_json,
        {"key_id": key_id, "key_file": path},
        [f"made {key_id} in {path}; keep that file, and keep it private"],
    )


@key_app.command("show")
def key_show(context: typer.Context, as_json: Json = False) -> None:
    """Show the ring's keys, their epochs and what was made under them, never a secret."""
    from anonymize.keys import read_ring
    from jobs.keys import read_uses

    settings = settings_of(context)
    ring = read_ring(settings.privacy.key_file)
    uses: dict[str, KeyUse] = {}
    unknown: str | None = None
    try:
        uses = read_uses(settings, ring)
    except StoreError as error:  # the ring can be looked at without its stores
        unknown = str(error)
    keys: list[dict[str, Any]] = []
    lines = []
    for key in ring.public_view():
        use = uses.get(key["key_id"] or "")
        keys.append({**key, "use": dataclasses.asdict(use) if use else None})
        lines.append(
            f"{key['key_id']}  from {key['valid_from'] or 'the beginning'}  to {key['valid_to'] or 'no end'}"
            + (f"  destroyed {key['destroyed']}" if key["destroyed"] else "")
        )
        lines += [f"  {line}" for line in _tell_use(use)]
    lines += [f"what was made under them is not known: {unknown}"] if unknown else []
    print_result(as_json, {"keys": keys, "unknown": unknown}, lines)


def _tell_use(use: "KeyUse | None") -> list[str]:
    if use is None:
        return []
    if not use.snapshots:
        return ["no snapshot is committed in its time"]
    lines = [f"{use.snapshots:,} snapshots from {use.first:%FT%TZ} to {use.last:%FT%TZ}"]
    if use.releases:
        lines.append(f"published in {', '.join(use.releases)}")
    if use.others:
        lines.append(f"some of them were made under {', '.join(use.others)}: is this the ring of that time?")
    return lines


@key_app.command("destroy")
def key_destroy(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(help="Which key, as 'opspub key show' calls it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it. Without this, only say what it would mean.")] = False,
    record_gaps: Annotated[
        bool, typer.Option("--record-gaps", help="Give up windows that are not committed, and record them as gaps.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Overwrite and remove a key for ever, once its windows are committed; record that it is gone."""
    from jobs.keys import destroy

    found = destroy(settings_of(context), key_id, now=read_clock(), record_gaps=record_gaps, confirmed=yes)
    facts = {"done": found.done, **found.record.model_dump(mode="json"), "releases": found.releases}
    print_result(as_json, facts, list(_tell_destruction(found)))
    if not found.done:
        raise UsageError(f"{key_id} was not destroyed, since nobody can undo it; repeat this with --yes")


def _tell_destruction(found: "Destruction") -> list[str]:
    record = found.record
    lines = [
        f"destroyed {record.key_id} at {record.destroyed:%FT%TZ}" if found.done else f"would destroy {record.key_id}",
        f"{record.snapshots:,} snapshots of its time are committed; releases can still be made from them",
        *(f"given up: table {gap.table} from {gap.start:%FT%TZ} to {gap.end:%FT%TZ}" for gap in record.gaps),
    ]
    if found.releases:
        lines.append(f"a record lies beside {', '.join(found.releases)}" if found.done else "all releases stay")
    lines.append("copies of the ring (a Kubernetes Secret, its backups, yours) still hold the key: destroy them too")
    return lines


@key_app.command("lookup")
def key_lookup(
    context: typer.Context,
    domain: Annotated[str, typer.Option(help="What the value names, such as namespace, pod or node.")],
    key: Annotated[str | None, typer.Option(help="Only under this key; under every living one by default.")] = None,
    as_json: Json = False,
) -> None:
    """Find what stands for a raw value, for a request to take it down. Asks for the value; never as an argument.

    On a pipe, every line is a value behind its scope, separated by tabs: 'namespace<TAB>pod' for a pod.
    """
    from anonymize.keys import read_ring
    from anonymize.lookup import MEANT, list_fields, look_up
    from schemas.registry import read_policy

    settings = settings_of(context)
    policy = read_policy(settings.privacy.policy)
    ring = read_ring(settings.privacy.key_file)
    asked = _ask(list_fields(policy, domain))
    if key and ring.find(key).destroyed:
        raise UsageError(f"key {key} is destroyed; nobody can look up its tokens any more")
    living = [(entry, secret) for entry, secret in ring.living() if key in (None, entry.key_id)]
    cluster = settings.source.identity != "none"
    found = [
        {"line": number, **dataclasses.asdict(each), "valid_from": entry.valid_from, "valid_to": entry.valid_to}
        for number, values in enumerate(asked, start=1)
        for entry, secret in living
        for each in look_up(policy, secret, source=settings.source.name, domain=domain, values=values, cluster=cluster)
    ]
    gone = [entry.key_id for entry in ring.keys if entry.destroyed]
    lines = [f"{each['published']}  {each['key_id']}  {MEANT[str(each['reading'])]}" for each in found]
    lines += [] if found else ["nothing that is published stands for it"]
    lines += [f"tokens of {', '.join(gone)} cannot be looked up: destroyed"] if gone and not key else []
    print_result(as_json, {"domain": domain, "found": found, "destroyed": gone}, lines)


def _ask(fields: tuple[str, ...]) -> list[Raw[list[str]]]:
    """Return the values of each look-up; from a terminal one, from a pipe one a line."""
    if sys.stdin.isatty():
        given = [_prompt(name if name == fields[-1] else f"{name} (empty if it had none)") for name in fields]
        return [Raw("value", given)]
    try:
        lines = sys.stdin.buffer.read().decode("utf-8").split("\n")
    except UnicodeDecodeError:  # it would quote what it met
        raise UsageError("what came on stdin is not text; wanted a value to look up on each line") from None
    asked = [Raw("value", line.split("\t")) for line in lines if line]
    for number, values in enumerate(asked, start=1):
        if len(values) != len(fields):
            raise UsageError(
                f"found {len(values)} values in line {number} of stdin; wanted {' and '.join(fields)}, "
                "separated by tabs"
            )
    if not asked:
        raise UsageError(f"found nothing on stdin; wanted a line with {' and '.join(fields)}, separated by tabs")
    return asked


def _prompt(name: str) -> str:
    sys.stderr.write(f"{name}: ")
    sys.stderr.flush()
    return sys.stdin.readline().rstrip("\n")
