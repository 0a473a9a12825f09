"""What the audit of a release searches for besides grammar: the operator's word list, and what the source says now.

Both stay in memory: neither a file nor a log nor a report ever holds one of them.
"""

import stat
from collections.abc import Iterable
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final

from anonymize.audit.words import SHORTEST_WORD, WordSearch
from jobs.config import Settings
from jobs.registry import registry_of
from jobs.source import open_source
from schemas.digest import readable_json
from schemas.errors import PrivacyError, PublisherError
from schemas.policy import Policy
from schemas.table import TableSchema

_PATIENCE: Final = timedelta(seconds=10)
"""A release is built and published where the source may well be out of reach: ask once, and not for long."""
_NOT_ASKED: Final = frozenset({"__name__", "le", "quantile"})


def build_search(settings: Settings, policy: Policy, *, now: datetime) -> tuple[WordSearch, bool]:
    """Return the search, and whether the source gave its label values; ``PrivacyError`` for a bad word list."""
    path = settings.privacy.word_list
    values = read_label_values(settings, now=now)
    words = read_word_list(path) if path else frozenset()
    public = public_text(policy, registry_of(settings).by_version.values())
    if settings.privacy.attacks:  # it tells of the machine that measured, which a source may tell of, too
        public += settings.privacy.attacks.read_text("utf-8")
    return WordSearch(words, values or (), public_text=public), values is not None


def read_word_list(path: Path) -> frozenset[str]:
    """Return the words of a private file, one a line; lines that begin with ``#`` are remarks."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8")
    except OSError as error:
        raise PrivacyError(f"privacy.word_list {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise PrivacyError(f"privacy.word_list {path} is not UTF-8 text") from None
    if mode & stat.S_IRWXO:
        raise PrivacyError(
            f"privacy.word_list {path} has mode {stat.S_IMODE(mode):04o}; it says what must stay private, so others "
            f"must not read it: chmod 600 {path}"
        )
    lines = [line.strip() for line in text.splitlines()]
    words = frozenset(line for line in lines if line and not line.startswith("#"))
    if not words:
        raise PrivacyError(f"privacy.word_list {path} has no words; wanted one a line, or no word_list")
    if short := sum(1 for word in words if len(word) < SHORTEST_WORD):
        raise PrivacyError(
            f"privacy.word_list {path} has {short} words of fewer than {SHORTEST_WORD} characters; they occur by chance"
        )
    return words


def read_label_values(settings: Settings, *, now: datetime) -> frozenset[str] | None:
    """Return the label values that the source has now and no schema publishes; ``None`` when it is not reached."""
    hasty = settings.source.model_copy(update={"retries": 0, "timeout": min(_PATIENCE, settings.source.timeout)})
    public = _public_labels(registry_of(settings).by_version.values()) | _NOT_ASKED
    try:
        source = open_source(settings.model_copy(update={"source": hasty}), now=now)
        found: set[str] = set()
        for api in source.reader.apis:
            for label in api.all_label_names():
                if label not in public:
                    found |= api.all_label_values(label)
    except PublisherError:
        return None
    return frozenset(found)


def public_text(policy: Policy, tables: Iterable[TableSchema]) -> str:
    """Return all text that the program itself brings into a release; words of it are nobody's secret."""
    shipped = read_shipped("jobs.release", "jobs.card", "jobs.card.templates", "schemas")
    return "\n".join([shipped, *(readable_json(each).decode() for each in (*tables, policy))])


def read_shipped(*packages: str) -> str:
    """Return the code, templates and YAML that lie directly in some packages."""
    return "\n".join(
        each.read_text("utf-8")
        for package in packages
        for each in files(package).iterdir()
        if each.name.endswith((".py", ".j2", ".yaml"))
    )


def _public_labels(tables: Iterable[TableSchema]) -> frozenset[str]:
    """Return the labels that every schema publishes as words of a list or as numbers."""
    columns = [column for schema in tables for column in schema.labels]
    private = {label for column in columns if column.identity for label in column.source_labels}
    return frozenset(label for column in columns if not column.identity for label in column.source_labels) - private
