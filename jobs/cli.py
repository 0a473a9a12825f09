"""The command line: parse, call one function, print its result, choose an exit code. No decision lives here.

Results go to stdout, everything else to stderr. Heavy libraries are imported by the command that needs them, so
that ``--help`` answers at once.
"""

import dataclasses
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from jobs.cli_backfill import backfill
from jobs.cli_registry import key_app, policy_app, schema_app
from jobs.cli_retention import expire
from jobs.cli_signing import signing_app
from jobs.clock import read_clock, read_stopwatch
from jobs.ending import Ending
from jobs.guard import describe_crash, guard_process
from jobs.terminal import (
    End,
    Json,
    Start,
    Tables,
    Version,
    duration_of,
    instant_of,
    print_result,
    settings_of,
    show_progress,
    span_of,
)
from schemas.errors import PublisherError, UsageError

app = typer.Typer(
    name="opspub",
    help="Publish the metrics of a working cluster as pseudonymised, versioned Parquet datasets.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(key_app, name="key")
app.add_typer(signing_app, name="signing")
app.add_typer(schema_app, name="schema")
app.add_typer(policy_app, name="policy")


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"opspub {metadata.version('opscommons-publisher')}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="Configuration file. Default: $OPSPUB_CONFIG, else ./opspub.yaml.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every event.")] = False,
    log: Annotated[str, typer.Option(help="How log lines look: text or json.")] = "text",
    _version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    from jobs.log import configure_logging

    if log not in ("text", "json"):
        raise UsageError(f"found --log {log}; wanted text or json")
    configure_logging(verbose=verbose, style="json" if log == "json" else "text")
    context.obj = config


@app.command()
def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Check source, store, key, policy and clock; say what is wrong and how to mend it."""
    from jobs.doctor import run_doctor

    checks = run_doctor(settings_of(context), now=read_clock())
    lines = [f"{'ok  ' if check.exit_code == 0 else 'FAIL'}  {check.name:8} {check.found}" for check in checks]
    print_result(as_json, {"checks": [dataclasses.asdict(check) for check in checks]}, lines)
    raise typer.Exit(next((check.exit_code for check in checks if check.exit_code), 0))


@app.command()
def plan(
    context: typer.Context, start: Start = None, end: End = None, table: Tables = None, as_json: Json = False
) -> None:
    """Say which windows are due and what they would cost; read no samples."""
    from jobs.estimate import estimate_snapshot, render_estimate

    settings = settings_of(context)
    found = estimate_snapshot(settings, now=read_clock(), span=span_of(settings, start, end), only=tuple(table or ()))
    print_result(as_json, dataclasses.asdict(found), list(render_estimate(found)))


@app.command()
def snapshot(
    context: typer.Context, start: Start = None, end: End = None, table: Tables = None, as_json: Json = False
) -> None:
    """Collect the due windows, or those of a span, into staging."""
    from jobs.lean import leave_pandas_out
    from jobs.signals import told_to_stop
    from jobs.snapshot.result import render_snapshot
    from jobs.snapshot.run import run_snapshot

    leave_pandas_out()
    settings = settings_of(context)
    began = read_stopwatch()
    with show_progress() as progress, told_to_stop(patience_seconds=5) as stopped:
        result = run_snapshot(
            settings,
            clock=read_clock,
            span=span_of(settings, start, end),
            only=tuple(table or ()),
            progress=progress,
            stop=stopped.is_set,
        )
    seconds = read_stopwatch() - began
    facts = {**dataclasses.asdict(result), "seconds": round(seconds, 3)}
    print_result(as_json, facts, list(render_snapshot(result, seconds)))


app.command()(backfill)


@app.command()
def serve(
    context: typer.Context,
    listen: Annotated[str, typer.Option(help="Address of /metrics and /healthz.")] = "127.0.0.1:9464",
) -> None:
    """Take a snapshot whenever a window has settled, until told to stop; serve /metrics and /healthz."""
    from jobs.health import Health
    from jobs.lean import leave_pandas_out
    from jobs.scheduler import Service

    leave_pandas_out()
    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        raise UsageError(f"found --listen {listen}; wanted host:port, such as 0.0.0.0:9464")
    Service(settings_of(context), read_clock, Health()).serve(host=host, port=int(port))


@app.command()
def release(
    context: typer.Context, version: Version, start: Start = None, end: End = None, as_json: Json = False
) -> None:
    """Build a release from committed snapshots and audit it."""
    from jobs.release.result import release_facts, render_release
    from jobs.release.run import run_release
    from jobs.signals import told_to_stop

    with show_progress() as progress, told_to_stop(patience_seconds=0):
        result = run_release(
            settings_of(context),
            version,
            clock=read_clock,
            start=instant_of(start),
            end=instant_of(end),
            progress=progress,
        )
    print_result(as_json, release_facts(result), list(render_release(result)))


@app.command()
def audit(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="The folder of a built or downloaded release.")],
    as_json: Json = False,
) -> None:
    """Audit finished files; exit 0 only if nothing was found."""
    from jobs.release.audited import audit_built, describe_scope, refuse_findings, run_audit

    settings = settings_of(context)
    is_built = path.absolute().parent == settings.work_dir / "releases"
    report = (audit_built if is_built else run_audit)(settings, path.absolute(), now=read_clock())
    lines = [f"{found.place}: {found.code} ({found.count})" for found in report.findings]
    lines.append(
        f"{len(report.findings)} findings in {report.files} files, {report.rows:,} rows, {report.strings:,} strings"
    )
    lines += describe_scope(report)
    print_result(as_json, report.model_dump(mode="json"), lines)
    refuse_findings(report)


@app.command()
def publish(context: typer.Context, version: Version, as_json: Json = False) -> None:
    """Copy an audited release to the public store, then rebuild the catalog."""
    from jobs.publish.run import run_publish
    from jobs.signals import told_to_stop

    with show_progress() as progress, told_to_stop(patience_seconds=0):
        result = run_publish(settings_of(context), version, clock=read_clock, progress=progress)
    lines = [
        f"published {version}: {result.files} files ({result.written} new), {result.bytes / (1 << 20):.1f} MiB",
        f"at {result.url} (latest is {result.latest})",
    ]
    if result.signed_by:
        lines.append(f"signed by {result.signed_by}")
    print_result(as_json, dataclasses.asdict(result), lines)


@app.command()
def approve(
    context: typer.Context,
    version: Version,
    approver: Annotated[str, typer.Option("--as", help="Who approves: a short handle, which becomes public.")],
    as_json: Json = False,
) -> None:
    """Approve exactly the bytes of a built and audited release, for a configuration with publish.approvals."""
    from jobs.publish.built import approve as write_approval

    release, approval = write_approval(settings_of(context), version, approver=approver, now=read_clock())
    lines = [
        f"{approval.approver} approves {version}: {release.manifest.release.title}, {release.manifest.provenance}, "
        f"{release.manifest.totals.rows:,} rows",
        f"from {release.manifest.start:%FT%TZ} to {release.manifest.end:%FT%TZ} in {release.manifest.time} time, "
        f"policy {release.manifest.policy}",
        f"manifest {approval.manifest_sha256}",
    ]
    print_result(as_json, approval.model_dump(mode="json"), lines)


@app.command()
def verify(
    context: typer.Context,
    version: Version,
    manifest_sha256: Annotated[str | None, typer.Option(help="The digest that a citation names.")] = None,
    public_key: Annotated[
        list[Path] | None, typer.Option(help="A publisher's public key, which must have signed; again for another.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Re-read a published release and say what was proven; exit 6 if anything speaks against it."""
    from jobs.publish.sign import read_public_key
    from jobs.publish.verify import refuse_unproven, render_verification, run_verify

    keys = tuple(read_public_key(path) for path in public_key or ())
    with show_progress() as progress:
        result = run_verify(
            settings_of(context), version, manifest_sha256=manifest_sha256, keys=keys, progress=progress
        )
    facts = dataclasses.asdict(result) | {"proven": result.proven}
    print_result(as_json, facts, list(render_verification(result)))
    refuse_unproven(result, manifest_sha256=manifest_sha256)


@app.command()
def retract(
    context: typer.Context,
    version: Version,
    reason: Annotated[str, typer.Option(help="Why, in a sentence. It becomes public.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask back on a terminal.")] = False,
    as_json: Json = False,
) -> None:
    """Withdraw a release for good: from the catalog, then every object, version and upload; then look from outside."""
    from jobs.publish.retract import refuse_unfinished, render_retraction, run_retract
    from jobs.signals import told_to_stop

    settings = settings_of(context)
    if not yes:
        _confirm(f"Withdraw {version} from {settings.public}, for good?")
    with show_progress() as progress, told_to_stop(patience_seconds=0):
        result = run_retract(settings, version, reason=reason, clock=read_clock, progress=progress)
    facts = dataclasses.asdict(result) | {"retracted": result.retracted.isoformat()}
    print_result(as_json, facts, list(render_retraction(result)))
    refuse_unfinished(result)


@app.command()
def gc(
    context: typer.Context,
    grace: Annotated[str, typer.Option(help="Leave alone what is younger.")] = "24h",
    apply: Annotated[bool, typer.Option("--apply", help="Remove it; without this it is only listed.")] = False,
    as_json: Json = False,
) -> None:
    """List, and with --apply remove, what no commit and no published release names."""
    from jobs.gc import orphan_facts, render_orphans, run_gc
    from jobs.signals import told_to_stop

    with show_progress() as progress, told_to_stop(patience_seconds=0):
        result = run_gc(
            settings_of(context), grace=duration_of(grace), apply=apply, now=read_clock(), progress=progress
        )
    print_result(as_json, orphan_facts(result, apply=apply), list(render_orphans(result, apply=apply)))


app.command()(expire)


def _confirm(question: str) -> None:
    """Ask back where somebody sits at the keyboard; a script has said what it wants."""
    if sys.stdin.isatty() and not typer.confirm(question, err=True):
        raise UsageError("nothing was done")


def main() -> NoReturn:
    """Run the command line; every error that a user may meet is one line on stderr and its exit code.

    An unexpected one is a traceback without the texts of exceptions, and exit code 1.
    """
    guard_process()
    ending = Ending()
    ending.code = _run()
    sys.exit(ending.code)


def _run() -> int:
    try:
        typer.main.get_command(app)()  # the app itself would put a hook of its own in place of ours
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except PublisherError as error:
        sys.stderr.write(f"opspub: {error}\n")
        return error.exit_code
    except Exception as error:
        sys.stderr.write(describe_crash(error))
        return 1
    return 0
