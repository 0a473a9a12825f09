"""Say everything that is wrong with a policy at once, each by its place. Pure, but that ``lint_policy`` reads it."""

import ipaddress
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from schemas.errors import PublisherError
from schemas.label_classes import LabelCatalogue, check_labels
from schemas.policy import TOKEN_BODY, Inconsistent, Policy, Vocabulary
from schemas.registry import read_policy
from schemas.table import TableSchema

_LONGEST_WORD: Final = 100
_TOP_LEVELS: Final = (
    "ai app arpa asia biz bank cloud cluster club com coop corp dev edu example gov home host info int internal "
    "invalid io lan local localdomain localhost mil mobi museum name net network online org page private pro "
    "shop site store svc tech test travel wiki xyz zone "
)
"""Where names of hosts end, in the public DNS and within houses, beside the two letters of countries."""
_HOST: Final = re.compile(r"(?i)(?:[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\.)+(?P<suffix>[a-z][-a-z0-9]*)\.?(?::\d+)?")
_SHAPES: Final = {
    "e-mail address": re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+"),
    "uuid": re.compile(r"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"),
    "mac address": re.compile(r"(?i)(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}"),
    "long hex": re.compile(r"(?i)(?<![0-9a-z])(?=[0-9a-f]*\d)[0-9a-f]{12,}(?![0-9a-z])"),
    "address of a page": re.compile(r"(?i)[a-z][-+.a-z0-9]*://"),
    "token": re.compile(rf"^[a-z]{{1,8}}_{TOKEN_BODY}$"),
    "secret": re.compile(r"-----BEGIN |\beyJ[\w-]{8,}\.|\bsha256~|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bBearer\s"),
}
_FIND_ADDRESS: Final = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F:.]*[:.][0-9a-fA-F:.]+(?![0-9A-Za-z])")


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One thing that is wrong, or that somebody should look at."""

    place: str
    """Dotted, as in the file: ``domains.pod``, ``vocabularies.public_alerts``, ``tables.node.mode``."""
    what: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.severity}: {self.place}: {self.what}"


def lint_policy(
    name_or_path: str | Path,
    tables: Sequence[TableSchema],
    catalogue: LabelCatalogue,
    *,
    today: date,
    wanted: Collection[str] = (),
) -> list[LintFinding]:
    """Read a policy and return everything that is wrong with it; a file that is none gives findings, too."""
    try:
        policy = read_policy(name_or_path)
    except PublisherError as refused:
        if isinstance(refused.__cause__, ValidationError):
            return list(explain(refused.__cause__))
        return [LintFinding("the file", str(refused))]
    return check_policy(policy, tables, catalogue, today=today, wanted=wanted)


def explain(refused: ValidationError) -> Iterator[LintFinding]:
    """Yield every problem that kept a file from being a policy."""
    for problem in refused.errors(include_url=False, include_input=False):
        cause = problem.get("ctx", {}).get("error")
        if isinstance(cause, Inconsistent):
            yield from (LintFinding(place, what) for place, what in cause.problems)
        else:
            place = ".".join(str(part) for part in problem["loc"] if part != "[key]") or "the file"
            yield LintFinding(place, problem["msg"].removeprefix("Value error, "))


def check_policy(
    policy: Policy,
    tables: Sequence[TableSchema],
    catalogue: LabelCatalogue,
    *,
    today: date,
    wanted: Collection[str] = (),
) -> list[LintFinding]:
    """Return what is wrong with a policy over ``tables``, every version of each. ``wanted`` tables must be covered."""
    newest = {table.table: table for table in tables}
    return [
        *_check_reviews(policy, today),
        *(finding for name, each in policy.vocabularies.items() for finding in _check_words(name, each)),
        *_check_uses(policy, newest.values()),
        *_check_coverage(policy, tables, newest, wanted),
        *(LintFinding(*found) for table in newest.values() for found in check_labels(table, catalogue)),
    ]


def find_shapes(word: str) -> set[str]:
    """Return the shapes of identities and secrets that a word has.

    >>> sorted(find_shapes("10.0.0.7:9100")), sorted(find_shapes("gpu-7.lab.example.")), find_shapes("kube-system")
    (['address'], ['host name'], set())
    """
    found = {name for name, shape in _SHAPES.items() if shape.search(word)}
    host = _HOST.fullmatch(word)
    if host and (host["suffix"].lower() in _TOP_LEVELS.split() or len(host["suffix"]) == 2):
        found.add("host name")
    if any(_is_address(text) for text in _FIND_ADDRESS.findall(word)):
        found.add("address")
    return found


def _is_address(text: str) -> bool:
    for candidate in (text, text.strip(".:"), text.rpartition(":")[0]):
        try:
            ipaddress.ip_address(candidate)
        except ValueError:
            continue
        return candidate != "::"
    return False


def _check_reviews(policy: Policy, today: date) -> Iterator[LintFinding]:
    rules: list[tuple[str, str | None, date | None]] = [
        *((f"domains.{name}", each.owner or policy.owner, each.reviewed or policy.reviewed)
          for name, each in policy.domains.items()),
        *((f"vocabularies.{name}", each.owner or policy.owner, each.reviewed or policy.reviewed)
          for name, each in policy.vocabularies.items()),
        *((f"small_groups.{name}", each.owner or policy.owner, each.reviewed or policy.reviewed)
          for name, each in policy.small_groups.items()),
        *((f"tables.{name}", each.owner, each.reviewed) for name, each in policy.tables.items()),
    ]  # fmt: skip
    for place, owner, reviewed in rules:
        if not owner:
            yield LintFinding(place, "nobody answers for it; name an owner here or at the head of the policy")
        if not reviewed:
            yield LintFinding(place, "nobody says when it was reviewed; say so here or at the head of the policy")
        elif reviewed > today:
            yield LintFinding(place, f"found the review date {reviewed}, which is still to come")
        elif today - reviewed > timedelta(days=policy.review_days):
            yield LintFinding(
                place, f"was reviewed {reviewed}, over {policy.review_days} days ago; look again", "warning"
            )
    for name, domain in policy.domains.items():
        if not domain.why:
            yield LintFinding(f"domains.{name}", "gives no reason why its pseudonyms may leave; add why")


def _check_words(name: str, vocabulary: Vocabulary) -> Iterator[LintFinding]:
    place = f"vocabularies.{name}"
    for word in dict.fromkeys((*vocabulary.members, *vocabulary.members.values())):
        if shapes := sorted(find_shapes(word) - set(vocabulary.allow_shapes)):
            yield LintFinding(
                place, f"member {word!r} looks like {' and '.join(shapes)}; wanted words that identify nobody"
            )
        if len(word) > _LONGEST_WORD or not word.isprintable() or word != word.strip():
            yield LintFinding(place, f"member {word[:40]!r} is no word: too long, or with characters that do not show")
    unused = set(vocabulary.allow_shapes) - {s for word in vocabulary.members for s in find_shapes(word)}
    for shape in sorted(unused):
        yield LintFinding(place, f"allows members that look like {shape}, and has none", "warning")


def _check_uses(policy: Policy, tables: Collection[TableSchema]) -> Iterator[LintFinding]:
    """Yield what no column needs: a permission that nobody looked at for a use."""
    columns = [column for table in tables if table.table in policy.tables for column in table.labels]
    domains = {column.identity for column in columns} | {domain.unmatched for domain in policy.domains.values()}
    words = {column.vocabulary for column in columns} | {domain.public for domain in policy.domains.values()}
    for name in policy.domains.keys() - domains:
        yield LintFinding(f"domains.{name}", "no column of a table is of it", "warning")
    for name in policy.vocabularies.keys() - words:
        yield LintFinding(f"vocabularies.{name}", "no column of a table and no domain uses it", "warning")
    grouped = {column.vocabulary for column in columns if column.quasi_identifier}
    for name in policy.small_groups.keys() - grouped:
        yield LintFinding(f"small_groups.{name}", "no column of a table that is a quasi-identifier uses it", "warning")


def _check_coverage(
    policy: Policy, tables: Sequence[TableSchema], newest: dict[str, TableSchema], wanted: Collection[str]
) -> Iterator[LintFinding]:
    known: dict[str, set[str]] = {}
    for table in tables:
        known.setdefault(table.table, set()).update(metric.name for metric in table.metrics)
    for name, rule in policy.tables.items():
        if name not in known:
            yield LintFinding(f"tables.{name}", f"there is no table {name}; there are {', '.join(sorted(known))}")
            continue
        for metric in rule.metrics:
            if metric not in known[name]:
                yield LintFinding(f"tables.{name}", f"no version of the table has the metric {metric}")
    for name, table in newest.items():
        if name in policy.tables:
            yield from (LintFinding(f"tables.{name}", problem) for problem in policy.check_table(table))
        elif name in wanted:
            yield LintFinding(f"tables.{name}", "collection.tables wants it, and the policy does not name it")
        else:
            yield LintFinding(f"tables.{name}", "is not named, so it cannot be collected", "warning")
