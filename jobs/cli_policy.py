"""The commands of the privacy policy: what it publishes, what is wrong with it, and what another one changes."""

import dataclasses
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.clock import read_clock
from jobs.terminal import Json, print_result, settings_of
from schemas.errors import PrivacyError, UsageError
from schemas.policy import Policy
from schemas.policy_view import PolicyView, PublishedMetric, tell_domain, tell_small_group

policy_app = typer.Typer(help="The privacy policy.", no_args_is_help=True)

_NAMED_WORDS = 8


@policy_app.command("show")
def policy_show(
    context: typer.Context,
    table: Annotated[str | None, typer.Argument(help="Only this table; all by default.")] = None,
    as_json: Json = False,
) -> None:
    """Show what the policy publishes: every metric, its columns, and what each holds instead of raw values."""
    from jobs.registry import registry_of
    from schemas.policy_view import view_policy
    from schemas.registry import read_policy

    settings = settings_of(context)
    policy = read_policy(settings.privacy.policy)
    if table is not None and table not in policy.tables:
        raise UsageError(f"the policy names no table {table!r}; it names {', '.join(policy.tables)}")
    view = view_policy(policy, [each for name, each in registry_of(settings).latest.items() if table in (None, name)])
    facts = {
        **policy.model_dump(mode="json"),
        "digest": view.digest,
        "published": [dataclasses.asdict(metric) for metric in view.metrics],
    }
    print_result(as_json, facts, list(_tell_view(policy, view)))


def _tell_view(policy: Policy, view: PolicyView) -> Iterator[str]:
    yield f"policy {view.name}, {view.digest}"
    for table, metrics in groupby(view.metrics, key=lambda metric: metric.table):
        yield from _tell_table(policy, table, list(metrics))
    yield from ("", "pseudonyms: 80 bits of a keyed code; equal values of one kind have equal ones")
    yield from (f"  {name}: {tell_domain(name, each)}" for name, each in (view.domains or {}).items())
    yield from ("", "vocabularies: every other value becomes 'other'")
    for name, vocabulary in (view.vocabularies or {}).items():
        words = sorted(vocabulary.published - {"other"})
        more = f" and {len(words) - _NAMED_WORDS} more" if len(words) > _NAMED_WORDS else ""
        yield f"  {name}: {', '.join(words[:_NAMED_WORDS])}{more}"
    yield from ("", "small groups: k is privacy.k_anonymity; what is not shown becomes 'other'")
    yield from (f"  {name}: {tell_small_group(each)}" for name, each in (view.small_groups or {}).items())


def _tell_table(policy: Policy, table: str, metrics: list[PublishedMetric]) -> Iterator[str]:
    rule = policy.tables[table]
    yield from ("", f"{table}: {rule.why} (reviewed {rule.reviewed}, {rule.owner})")
    columns = {column.name: column for metric in metrics for column in metric.columns}
    for column in columns.values():
        yield f"  column {column.name:16} from label {column.label:20} {column.treatment}"
    for metric in metrics:
        names = [column.name for column in metric.columns]
        told = "all columns" if len(names) == len(columns) else ", ".join(names) or "no columns"
        yield f"  metric {metric.name}: values {metric.value}; {told}"


@policy_app.command("new")
def policy_new(path: Annotated[Path, typer.Argument(help="The file to write, which must not be there yet.")]) -> None:
    """Copy the shipped policy into a file, to begin one of your own with."""
    from schemas.registry import POLICIES

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write((POLICIES / "default.yaml").read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    typer.echo(f"wrote {path}")


@policy_app.command("lint")
def policy_lint(
    context: typer.Context,
    path: Annotated[str | None, typer.Argument(help="A policy file; the configured policy by default.")] = None,
    as_json: Json = False,
) -> None:
    """Say everything that is wrong with a policy, each by its place; exit 5 if anything is."""
    from jobs.registry import label_classes_of, registry_of, settings_at_hand
    from schemas.label_classes import read_label_classes
    from schemas.policy_lint import lint_policy
    from schemas.registry import shipped_registry

    wanted: tuple[str, ...] = ()
    registry, catalogue = shipped_registry(), read_label_classes()
    known = settings_of(context) if path is None else settings_at_hand(context.obj)
    if known:
        registry, catalogue = registry_of(known), label_classes_of(known)
    if path is None:
        settings = settings_of(context)
        path = settings.privacy.policy
        tables = settings.collection.tables
        wanted = tuple(registry.latest) if tables == "all" else tables
    found = lint_policy(path, registry.tables, catalogue, today=read_clock().date(), wanted=wanted)
    errors = [finding for finding in found if finding.severity == "error"]
    summary = f"{len(errors)} errors, {len(found) - len(errors)} warnings"
    facts: dict[str, Any] = {"policy": path, "findings": [dataclasses.asdict(finding) for finding in found]}
    print_result(as_json, facts, [*map(str, found), summary])
    if errors:
        raise PrivacyError(f"policy {path} has {len(errors)} errors, the first: {errors[0].place}: {errors[0].what}")


@policy_app.command("diff")
def policy_diff(
    context: typer.Context,
    older: Annotated[
        str | None,
        typer.Argument(help="A policy, a release's folder or its version; the last published release by default."),
    ] = None,
    newer: Annotated[str | None, typer.Argument(help="The same; the configured policy by default.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Exit 5 if anything more would be published.")] = False,
    as_json: Json = False,
) -> None:
    """Say in words what another policy publishes that this one does not, and the other way round."""
    from jobs.policy import diff_policies

    found = diff_policies(lambda: settings_of(context), older, newer)
    wider = [change for change in found.changes if change.widens]
    lines = [f"from {found.older} to {found.newer}", *map(str, found.changes)]
    lines += [] if found.changes else ["nothing else would be published, and nothing less"]
    lines += [found.note] if found.note else []
    print_result(as_json, dataclasses.asdict(found), lines)
    if check and wider:
        raise PrivacyError(f"{len(wider)} changes publish more than before, the first: {wider[0]}")
