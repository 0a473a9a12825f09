"""What a privacy policy may say: domains, vocabularies and metrics, all by exact name. There is no "keep"."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.table import LabelColumn, MetricName, Name, Sentence, TableSchema

TOKEN_BODY = r"[a-z2-7]{16}"  # noqa: S105 - 80 bits in base32, not a password
SERIES_DOMAIN = "s"
SOURCE_DOMAIN = "src"
OTHER = "other"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Domain(_Strict):
    """One meaning of identity. Equal values of one domain and scope get equal tokens, all else differ."""

    prefix: Annotated[str, StringConstraints(pattern=r"^[a-z]{1,8}$")]
    scope: tuple[Name, ...] = ()
    """Domains that a value is told apart by; their columns must stand in the same table."""
    canonical: Literal["exact", "host", "workload"] = "exact"
    unmatched: Name | None = None
    """For hosts: the domain of an address that the identity frame does not know."""
    public: Name | None = None
    """A vocabulary whose members are published as they are."""
    meaning: Sentence


class Vocabulary(_Strict):
    """The only values that a column may publish. What is not a key becomes ``other``."""

    members: dict[str, str] = Field(min_length=1)
    """Raw value to published value; a list in YAML means each stands for itself."""
    source: str

    @model_validator(mode="before")
    @classmethod
    def _list_stands_for_itself(cls, given: object) -> object:
        if not isinstance(given, dict) or not isinstance(given.get("members"), list):
            return given
        for member in given["members"]:
            if not isinstance(member, str):  # YAML reads an unquoted true or 1.0 as something else
                raise ValueError(f"found the member {member!r}, which is not text; put it in quotes")
        return {**given, "members": {member: member for member in given["members"]}}

    @property
    def published(self) -> frozenset[str]:
        """Every value that a column of this vocabulary may hold."""
        return frozenset(self.members.values()) | {OTHER}


class TableRule(_Strict):
    """Why the metrics of a table may be published, who answers for it, and when it was looked at."""

    owner: str
    why: Sentence
    reviewed: date
    metrics: tuple[MetricName, ...]


class Policy(_Strict):
    """One reviewed file. What it does not name is not published."""

    policy: str
    version: int
    domains: dict[Name, Domain]
    vocabularies: dict[Name, Vocabulary]
    tables: dict[Name, TableRule]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        prefixes = [domain.prefix for domain in self.domains.values()]
        if len({*prefixes, SERIES_DOMAIN, SOURCE_DOMAIN}) != len(prefixes) + 2:
            raise ValueError(f"two domains share a prefix, or one uses {SERIES_DOMAIN} or {SOURCE_DOMAIN}")
        for name, domain in self.domains.items():
            missing = [other for other in (*domain.scope, domain.unmatched) if other and other not in self.domains]
            if missing:
                raise ValueError(f"domain {name} names the domains {missing}, which do not exist")
            if domain.public and domain.public not in self.vocabularies:
                raise ValueError(f"domain {name} names the vocabulary {domain.public}, which does not exist")
        return self

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
        return []
