"""The grammar: for every string column, the pattern or the list that its strings must be of."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from schemas.native import VALUE_COLUMNS
from schemas.policy import OTHER, SERIES_DOMAIN, SOURCE_DOMAIN, TOKEN_BODY, Policy
from schemas.table import LabelColumn, TableSchema

NUMBER_TEXT: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?Inf|NaN", re.ASCII)
TOKEN_IN_TEXT: Final = re.compile(rf"(?<![A-Za-z0-9_:])[a-z]{{1,8}}_{TOKEN_BODY}(?![A-Za-z0-9_:])")
"""A token that stands by itself: names of metrics may have one in the middle by chance."""
ANY_TOKEN: Final = re.compile(rf"[a-z]{{1,8}}_(?P<body>{TOKEN_BODY})")


@dataclass(frozen=True)
class Grammar:
    """What one column may hold: words of a list, or strings of a pattern."""

    words: frozenset[str] = frozenset()
    pattern: re.Pattern[str] | None = None

    def strangers(self, strings: Iterable[str | None]) -> int:
        """Return how many of the strings are not in the grammar. Null is in every grammar."""
        return sum(1 for text in strings if text is not None and not self._knows(text))

    def _knows(self, text: str) -> bool:
        return text in self.words or bool(self.pattern and self.pattern.fullmatch(text))


@dataclass(frozen=True)
class TableGrammar:
    """The grammars of all string columns of a table, and every word that its files may show in clear."""

    columns: dict[str, Grammar]
    public_words: frozenset[str] = field(repr=False)


def token_pattern(*prefixes: str) -> re.Pattern[str]:
    """Return the pattern of the tokens of some domains."""
    return re.compile(rf"(?:{'|'.join(prefixes)})_{TOKEN_BODY}")


def build_grammar(table: TableSchema, policy: Policy, *, native: bool = False) -> TableGrammar:
    """Derive the grammar of a table's files from its schema and the policy, and from nothing else.

    ``native`` files name the parts of histograms, too.
    """
    metrics = frozenset(metric.name for metric in table.metrics)
    columns = {
        "metric": Grammar(words=metrics),
        "series_id": Grammar(pattern=token_pattern(SERIES_DOMAIN)),
        "source": Grammar(pattern=token_pattern(SOURCE_DOMAIN)),
        "table": Grammar(words=frozenset({table.table})),
        "type": Grammar(words=frozenset(metric.type for metric in table.metrics)),
        "unit": Grammar(words=frozenset(metric.unit for metric in table.metrics)),
    }
    columns |= {column.name: _column_grammar(column, policy) for column in table.labels}
    words = {*columns, "timestamp", "value", "first_timestamp", "last_timestamp", "interval_ms", "path", "row_group"}
    if native:
        words |= VALUE_COLUMNS | {"list", "element", "offset", "length"}
    for grammar in columns.values():
        words |= grammar.words
    return TableGrammar(columns, frozenset(words))


def _column_grammar(column: LabelColumn, policy: Policy) -> Grammar:
    if column.vocabulary:
        return Grammar(words=frozenset(policy.vocabularies[column.vocabulary].members.values()) | {OTHER})
    if column.number:
        return Grammar(pattern=NUMBER_TEXT)
    domain = policy.domains[column.identity or ""]
    prefixes = [domain.prefix]
    if domain.unmatched:
        prefixes.append(policy.domains[domain.unmatched].prefix)
    public = policy.vocabularies[domain.public].members.values() if domain.public else ()
    return Grammar(words=frozenset(public), pattern=token_pattern(*prefixes))
