"""What a privacy policy may say: domains, vocabularies and metrics, all by exact name. There is no "keep"."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from schemas.table import LabelColumn, MetricName, Name, Sentence, TableSchema

TOKEN_BODY = r"[a-z2-7]{16}"  # noqa: S105 - 80 bits in base32, not a password
SERIES_DOMAIN = "s"
SOURCE_DOMAIN = "src"
OTHER = "other"

_PASSING: Final = frozenset({"keep", "keep_if_in", "pass", "passthrough", "allow", "do"})
_PATTERN: Final = re.compile(r"[*?+^$|\\(){}\[\]]|\.[*+]")
_MEMBER_PATTERN: Final = re.compile(r".[*?]|[*?].|^\^|\$$|\\|\.\+")  # (, [ and a lone * stand in real names


def _refuse_pattern(name: object) -> object:
    if isinstance(name, str) and _PATTERN.search(name):
        raise ValueError(
            f"found the pattern {name!r}; a policy names each thing exactly, since a pattern publishes what nobody "
            "has looked at"
        )
    return name


ExactMetric = Annotated[MetricName, BeforeValidator(_refuse_pattern)]
ExactName = Annotated[Name, BeforeValidator(_refuse_pattern)]
Person = Annotated[str, StringConstraints(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_kept(cls, given: object) -> object:
        found = sorted(_PASSING & given.keys()) if isinstance(given, dict) else []
        if found:
            raise ValueError(
                f"found {', '.join(found)}; there is no keep: a label leaves as a pseudonym, a word of a vocabulary or "
                "a number, or not at all"
            )
        return given


class _Reviewed(_Strict):
    """Who answers for a rule and when it was looked at; where it does not say, the policy's own head holds."""

    owner: Person | None = None
    reviewed: date | None = None


class Domain(_Reviewed):
    """One meaning of identity. Equal values of one domain and scope get equal tokens, all else differ."""

    prefix: Annotated[str, StringConstraints(pattern=r"^[a-z]{1,8}$")]
    scope: tuple[ExactName, ...] = ()
    """Domains that a value is told apart by; their columns must stand in the same table."""
    canonical: Literal["exact", "host", "workload"] = "exact"
    unmatched: ExactName | None = None
    """For hosts: the domain of an address that the identity frame does not know."""
    public: ExactName | None = None
    """A vocabulary whose members are published as they are."""
    meaning: Sentence
    why: Sentence | None = None
    """Why pseudonyms of it may leave."""


Shape = Literal["host name", "long hex"]


class Vocabulary(_Reviewed):
    """The only values that a column may publish. What is not a key becomes ``other``."""

    members: dict[str, str] = Field(min_length=1)
    """Raw value to published value; a list in YAML means each stands for itself."""
    source: str
    """Where anybody can read these words, which is why they may be published."""
    allow_shapes: tuple[Shape, ...] = ()
    """Shapes of identities that members have for a good reason, which ``source`` gives."""

    @model_validator(mode="before")
    @classmethod
    def _list_stands_for_itself(cls, given: object) -> object:
        if not isinstance(given, dict) or not isinstance(given.get("members"), list | dict):
            return given
        members = given["members"]
        for member in members:
            if not isinstance(member, str):  # YAML reads an unquoted true or 1.0 as something else
                raise ValueError(f"found the member {member!r}, which is not text; put it in quotes")
            if _MEMBER_PATTERN.search(member):
                raise ValueError(f"found the member {member!r}, a pattern; wanted the exact words, each of them")
        return {**given, "members": {member: member for member in members}} if isinstance(members, list) else given

    @property
    def published(self) -> frozenset[str]:
        """Every value that a column of this vocabulary may hold."""
        return frozenset(self.members.values()) | {OTHER}


class SmallGroup(_Reviewed):
    """A vocabulary whose words can point at somebody: a release shows a word only if enough entities share it."""

    of: Annotated[tuple[ExactName, ...], Field(min_length=1)]
    """Identity domains of what has such a word; of the columns that a series has, that of the first domain counts."""
    contributor: ExactName | None = None
    """The identity domain of those whom the entities belong to, if any one of them could own a word."""
    contributors: Annotated[int, Field(ge=1)] = 3
    """The fewest that a word must come from."""
    dominance: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The largest share of a word's entities that one contributor may have."""
    why: Sentence


class TableRule(_Strict):
    """Why the metrics of a table may be published, who answers for it, and when it was looked at."""

    owner: Person
    why: Sentence
    reviewed: date
    metrics: tuple[ExactMetric, ...]


class Inconsistent(ValueError):
    """What does not hold together in a policy. ``problems`` are pairs of place and text."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        super().__init__("; ".join(text for _, text in problems))


class Policy(_Strict):
    """One reviewed file. What it does not name is not published."""

    policy: str
    version: int
    owner: Person | None = None
    """Who answers for every domain and vocabulary that names nobody else."""
    reviewed: date | None = None
    """When the domains and vocabularies were looked at that do not say so themselves."""
    review_days: Annotated[int, Field(ge=1)] = 365
    """How long a review counts."""
    domains: dict[ExactName, Domain]
    vocabularies: dict[ExactName, Vocabulary]
    small_groups: dict[ExactName, SmallGroup] = {}
    """By vocabulary; each quasi-identifier column needs one for its own."""
    tables: dict[ExactName, TableRule]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if problems := list(self._problems()):
            raise Inconsistent(problems)
        return self

    def _problems(self) -> Iterator[tuple[str, str]]:
        owners: dict[str, str] = {SERIES_DOMAIN: "", SOURCE_DOMAIN: ""}
        for name, domain in self.domains.items():
            place = f"domains.{name}"
            if domain.prefix in owners:
                yield place, f"two domains share a prefix, or one uses {SERIES_DOMAIN} or {SOURCE_DOMAIN}: {name}"
            owners[domain.prefix] = name
            missing = [other for other in (*domain.scope, domain.unmatched) if other and other not in self.domains]
            if missing:
                yield place, f"domain {name} names the domains {missing}, which do not exist"
            if domain.public and domain.public not in self.vocabularies:
                yield place, f"domain {name} names the vocabulary {domain.public}, which does not exist"
            if self._leads_back(name):
                yield place, f"domain {name} is told apart by itself, through its scope; wanted scopes without a circle"
            if domain.unmatched and domain.canonical != "host":
                yield place, f"domain {name} has unmatched, which is for hosts; wanted canonical: host, or no unmatched"
            stranger = self.domains.get(domain.unmatched or "")
            if stranger and (stranger.unmatched or domain.unmatched == name):
                yield place, f"domain {name} passes what it does not know to {domain.unmatched}, which passes it on"
        for name, group in self.small_groups.items():
            place = f"small_groups.{name}"
            if name not in self.vocabularies:
                yield place, f"there is no vocabulary {name}; small groups are told by the words of one"
            named = (*group.of, *([group.contributor] if group.contributor else []))
            if missing := [domain for domain in named if domain not in self.domains]:
                yield place, f"the groups of {name} name the domains {missing}, which do not exist"
        for name, rule in self.tables.items():
            if twice := sorted({metric for metric in rule.metrics if rule.metrics.count(metric) > 1}):
                yield f"tables.{name}", f"table {name} names {', '.join(twice)} twice"

    def _leads_back(self, name: str) -> bool:
        seen: set[str] = set()
        ahead = [*self.domains[name].scope]
        while ahead:
            scope = ahead.pop()
            if scope == name:
                return True
            if scope not in seen and scope in self.domains:
                seen.add(scope)
                ahead += self.domains[scope].scope
        return False

    def public_words(self, domain: str) -> frozenset[str]:
        """Return the raw values of a domain that are published in clear; none of one that does not exist."""
        public = self.domains[domain].public if domain in self.domains else None
        return frozenset(self.vocabularies[public].members) if public else frozenset()

    def check_table(self, schema: TableSchema) -> list[str]:
        """Return what keeps this policy from covering ``schema``; empty when it covers it whole."""
        rule = self.tables.get(schema.table)
        if rule is None:
            return [f"the policy does not name table {schema.table}"]
        allowed = set(rule.metrics)
        found = [
            f"the policy does not name metric {metric.name} of table {schema.table}"
            for metric in schema.metrics
            if metric.name not in allowed
        ]
        domains = {column.identity for column in schema.labels if column.identity}
        for column in schema.labels:
            found += self._check_column(schema.table, column, domains)
        return found

    def _check_column(self, table: str, column: LabelColumn, domains: set[str]) -> list[str]:
        place = f"column {column.name} of table {table}"
        if column.vocabulary and column.vocabulary not in self.vocabularies:
            return [f"{place}: vocabulary {column.vocabulary} does not exist in the policy"]
        if column.identity and column.identity not in self.domains:
            return [f"{place}: identity domain {column.identity} does not exist in the policy"]
        if column.identity:
            scope = self.domains[column.identity].scope
            return [f"{place}: its scope needs a column of domain {s}" for s in scope if s not in domains]
        if column.quasi_identifier:
            rule = self.small_groups.get(column.vocabulary or "")
            if rule is None:
                return [f"{place} can point at somebody; the policy's small_groups need a rule for its vocabulary"]
            if not domains.intersection(rule.of):
                return [f"{place}: its groups are counted in {' or '.join(rule.of)}, of which the table has no column"]
        return []
