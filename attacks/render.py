"""The report as a table for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from schemas.attacks import AttackReport, Relinking, SmallestGroups, Tried


def render_report(report: AttackReport) -> Iterator[str]:
    """Yield the lines: each attack, what it gave on the release, and what on a copy weakened on purpose."""
    on = report.on
    yield (
        f"commit {report.commit}, {report.measured}, {report.seconds} s; {on.provenance}, {on.releases} releases of "
        f"{on.hours} h, {on.rows:,} rows, {on.series:,} series, {on.nodes} nodes, {on.namespaces} namespaces, "
        f"{on.pods:,} pods"
    )
    yield f"{'attack':16} {'figure':24} {'on the release':>16} {'where it must work':>19}"
    for attack in AttackReport.model_fields:
        tried = getattr(report, attack)
        if isinstance(tried, Tried):
            for number, (figure, found, control) in enumerate(_figures(tried)):
                yield f"{attack if not number else '':16} {figure:24} {found:>16} {control:>19}"


def _figures(tried: Tried[Any]) -> Iterator[tuple[str, str, str]]:
    release, control = tried.release, tried.control
    if isinstance(release, Relinking) and isinstance(control, Relinking):
        for where, found in (("", release), ("control: ", control)):
            for each in found.results:
                says = f"{where}{each.by}, {each.population:,}{'+' if each.further_clusters else ''}"
                shares = f"{each.top1:.1%} / {each.top10:.1%}"
                yield (says, "" if where else shares, shares if where else "")
    elif isinstance(release, SmallestGroups) and isinstance(control, SmallestGroups):
        shown = {(each.table, each.column): each for each in control.columns}
        for group in release.columns:
            other = shown.get((group.table, group.column))
            yield f"{group.table}.{group.column}", str(group.smallest), str(other.smallest) if other else ""
    else:
        for name in type(release).model_fields:
            yield name, _number(getattr(release, name)), _number(getattr(control, name))


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
