"""What a built release hides, beside it and in the staging store: later releases of its key must hide that, too."""

from pathlib import Path
from typing import Final

from jobs.kept import keep_suppression, read_suppressions
from jobs.release.beside import path_beside, read_beside
from jobs.store import Store
from schemas.digest import readable_json
from schemas.errors import PrivacyError
from schemas.suppression import SuppressionRecord

_NAME: Final = "hidden"


def write_hidden(folder: Path, record: SuppressionRecord) -> None:
    """Write beside a built release what it hides: private, like the snapshots that it was made from."""
    path_beside(folder, _NAME).write_bytes(readable_json(record))


def read_hidden(folder: Path, *, manifest_sha256: str) -> SuppressionRecord:
    """Return what a built release hides; raise ``PrivacyError`` unless that was written for exactly its bytes."""
    tells = f"which words release {folder.name} hides"
    return read_beside(folder, _NAME, SuppressionRecord, manifest_sha256=manifest_sha256, tells=tells)


def keep_hidden(store: Store, record: SuppressionRecord) -> None:
    """Keep what a release hides, before it is public; raise ``PrivacyError`` when it shows what another one hides.

    Of two that are published at once, at least one finds the other's record.
    """
    keep_suppression(store, record)
    for other in read_suppressions(store, record.source, record.key_id, but=record.version):
        for vocabulary, words in other.words.items():
            if not set(words) <= set(record.words.get(vocabulary, ())):
                raise PrivacyError(
                    f"release {other.version} hides words of {vocabulary} that few shared, and {record.version} shows "
                    f"them for the same tokens; build {record.version} again"
                )
