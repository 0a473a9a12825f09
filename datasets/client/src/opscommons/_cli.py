"""The ``opscommons`` command: parse, call the library, choose an exit code. No decision lives here."""

import argparse
import json
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from opscommons import _settings
from opscommons._documents import CatalogEntry
from opscommons._download import download, plan_download
from opscommons._errors import BadRequest, OpsCommonsError
from opscommons._open import open_release, place_of, read_releases
from opscommons._release import Release
from opscommons._verify import verify
from opscommons._version import __version__

EXIT_CODES = """exit codes:
  0  done; verify found nothing
  1  unexpected
  2  usage: an unknown option, version, table or metric
  3  the store is unreachable, is no store, or has a newer format
  4  the release was retracted
  5  a file is damaged or missing; verify found something
  130  interrupted; the same download continues where it stopped
environment:
  OPSCOMMONS_URL    the store, instead of --url
  OPSCOMMONS_CACHE  where the library keeps files of remote stores (not used by download)
  S3_ENDPOINT_URL   the server behind s3:// addresses, instead of Amazon's
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except OpsCommonsError as error:
        _say(f"opscommons: {error}")
        return error.exit_code
    except OSError as error:
        _say(f"opscommons: {error}")
        return 1
    except KeyboardInterrupt:
        _say("opscommons: interrupted; run the same command again to continue")
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="opscommons",
        description="List, download and verify releases of an OpsCommons store.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--url", help="store: a folder, http(s)://... or s3://bucket/prefix", default=None)
    parser.add_argument("--version", action="version", version=f"opscommons {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=text, description=text, epilog=EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.add_argument("--url", help="the same as before the command", default=argparse.SUPPRESS)
        command.add_argument("--json", action="store_true", help="print JSON for machines")
        command.set_defaults(run=run)
        return command

    add("list", run_list, "List the releases of the store.")
    info = add("info", run_info, "Say what a release holds.")
    info.add_argument("release", nargs="?", metavar="VERSION", help="default: the latest")

    fetch = add("download", run_download, "Copy a release, or a part of it, into a folder. Resumes and repairs.")
    fetch.add_argument("release", nargs="?", metavar="VERSION", help="default: the latest")
    fetch.add_argument("--table", action="append", help="only this table; may be repeated")
    fetch.add_argument("--metric", action="append", help="only this metric; may be repeated")
    fetch.add_argument("--start", help="only files with samples from this instant on (ISO 8601, UTC)")
    fetch.add_argument("--end", help="only files with samples before this instant")
    fetch.add_argument("--to", metavar="DIR", type=Path, help="default: ./opscommons-VERSION")

    check = add("verify", run_verify, "Read every byte of a release again and compare it with its manifest.")
    check.add_argument("release", nargs="?", metavar="VERSION|FOLDER", help="default: the latest of the store")
    check.add_argument("--manifest-sha256", metavar="HEX", help="the digest that was cited")
    check.add_argument("--public-key", metavar="FILE", type=Path, help="the publisher's key, which must have signed")
    return parser


def run_list(args: argparse.Namespace) -> int:
    """List the releases of the store."""
    releases = read_releases(_store(args))
    if args.json:
        return _print_json([asdict(entry) for entry in releases])
    _print_table(("VERSION", "STATUS", "PROVENANCE", "CREATED", "ROWS", "SIZE"), [_row(entry) for entry in releases])
    return 0


def run_info(args: argparse.Namespace) -> int:
    """Say what a release holds."""
    release = open_release(_store(args), args.release)
    manifest = release.manifest
    facts = {
        "version": release.version,
        "title": manifest.title,
        "provenance": release.provenance,
        "license": manifest.license,
        "start": release.start,
        "end": release.end,
        "time": manifest.time,
        "tier": manifest.tier,
        "step_seconds": manifest.step_ms / 1000,
        "bytes": sum(file.bytes for file in manifest.files),
        "rows": sum(table.rows for table in manifest.tables),
        "manifest_sha256": release.manifest_sha256,
        "tables": [asdict(table) for table in manifest.tables],
    }
    if args.json:
        return _print_json(facts)
    for name in (
        "version",
        "title",
        "provenance",
        "license",
        "start",
        "end",
        "time",
        "tier",
        "step_seconds",
        "manifest_sha256",
    ):
        _print(f"{name:16} {facts[name]}")
    _print(f"{'size':16} {in_words(sum(file.bytes for file in manifest.files))}\n")
    rows = [(t.table, t.schema_version, f"{t.rows:,}", f"{t.series:,}", f"{len(t.metrics)}") for t in manifest.tables]
    _print_table(("TABLE", "SCHEMA", "ROWS", "SERIES", "METRICS"), rows)
    width = shutil.get_terminal_size().columns
    for table in manifest.tables:
        names = f"{table.table}: {', '.join(table.metrics)}"
        _print("\n" + textwrap.fill(names, width, subsequent_indent="  ", break_long_words=False))
    return 0


def run_download(args: argparse.Namespace) -> int:
    """Copy a release, or a part of it, into a folder."""
    release = open_release(_store(args), args.release)
    to = args.to or Path(f"opscommons-{release.version}")
    plan = plan_download(release, to, tables=args.table, metrics=args.metric, start=args.start, end=args.end)
    _say(
        f"{release.version} ({release.provenance}): {len(plan.files)} files, {in_words(plan.bytes)},"
        f" {in_words(plan.bytes_here)} of it in {to} already"
    )
    with Progress("fetched", total=plan.bytes - plan.bytes_here) as progress:
        done = download(release, plan, on_bytes=progress.add)
    if args.json:
        return _print_json(asdict(done))
    repaired = f", {len(done.repaired)} of them repaired" if done.repaired else ""
    _print(f"{done.to}: {done.files} files, {done.kept} kept, {done.fetched} fetched{repaired}")
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Read every byte of a release again."""
    release = _release_or_folder(args)
    with Progress("read", total=sum(file.bytes for file in release.manifest.files)) as progress:
        result = verify(
            release,
            manifest_sha256=args.manifest_sha256,
            public_key=args.public_key,
            store=place_of(_store(args)) if args.public_key or not _is_folder(args.release) else None,
            on_bytes=progress.add,
        )
    if args.json:
        _print_json(asdict(result) | {"ok": result.ok, "proven": result.proven})
    else:
        for problem in result.problems:
            _print(f"{problem.kind:8} {problem.message}")
        for path in result.extra:
            _print(f"beside   {path}")
        _print(f"{result.version}: {result.proven} ({result.files} files, {in_words(result.bytes)})")
        _print(f"manifest SHA-256 {result.manifest_sha256}")
        for key_id in result.signatures:
            _say(f"not checked: a signature of {key_id}; ask the publisher, not the store, for its --public-key")
        if result.matches_cited is None and result.signed_by is None:
            _say("this does not show who made it: compare with a cited digest (--manifest-sha256) or a --public-key")
    return 0 if result.ok else 5


class Progress:
    """A line on a terminal that says how far it is; silent elsewhere."""

    def __init__(self, verb: str, *, total: int) -> None:
        self._verb, self._total = verb, total
        self._count, self._shown = 0, 0.0
        self._lock = threading.Lock()
        self._visible = sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._visible and self._count:
            self._show("\n")

    def add(self, count: int) -> None:
        """Count bytes; called from several threads."""
        with self._lock:
            self._count += count
            if self._visible and time.monotonic() - self._shown > 0.2:
                self._shown = time.monotonic()
                self._show("")

    def _show(self, end: str) -> None:
        sys.stderr.write(f"\r{self._verb} {in_words(self._count)} of {in_words(self._total)}  {end}")
        sys.stderr.flush()


def in_words(count: float) -> str:
    """Return a number of bytes for people.

    >>> in_words(512), in_words(12_345_678)
    ('512 B', '12.3 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _store(args: argparse.Namespace) -> str:
    url = args.url or _settings.default_url()
    if not url:
        raise BadRequest("no store is named; give --url URL or set OPSCOMMONS_URL")
    return str(url)


def _is_folder(release: str | None) -> bool:
    return bool(release and (Path(release).is_dir() or "/" in release))


def _release_or_folder(args: argparse.Namespace) -> Release:
    if _is_folder(args.release):
        return open_release(args.release)
    return open_release(_store(args), args.release)


def _row(entry: CatalogEntry) -> tuple[str, ...]:
    status = entry.status if entry.reason is None else f"{entry.status}: {entry.reason}"
    created = f"{entry.created:%Y-%m-%d}"
    return (entry.version, status, entry.provenance, created, f"{entry.rows:,}", in_words(entry.bytes))


def _print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        _print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_json(value: object) -> int:
    _print(json.dumps(value, indent=2, default=lambda item: item.isoformat()))
    return 0


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
