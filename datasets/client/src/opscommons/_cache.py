"""Files of remote stores, kept by their SHA-256: shared by releases, never stale, safe to delete at any time."""

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from opscommons._documents import ReleaseFile
from opscommons._fetch import PART, Fetch, fetch_all
from opscommons._places import Place


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of verified files. What lies under its final name was hashed before it was named."""

    root: Path

    def path(self, file: ReleaseFile) -> Path:
        """Return where the file lies once it is here."""
        return self.root / "sha256" / file.sha256[:2] / f"{file.sha256}{Path(file.path).suffix}"

    def ensure(self, place: Place, files: Sequence[ReleaseFile]) -> list[Path]:
        """Return the files' paths, after fetching what isn't here yet."""
        missing = {file.sha256: file for file in files if not self._has(file)}
        # parts are named by process and thread: two notebooks may fetch the same file at once
        suffix = f".{os.getpid()}-{threading.get_ident()}{PART}"
        fetches = [Fetch(file, self.path(file), self.path(file).with_suffix(suffix)) for file in missing.values()]
        try:
            fetch_all(place, fetches)
        finally:
            for fetch in fetches:
                fetch.part.unlink(missing_ok=True)
        return [self.path(file) for file in files]

    def _has(self, file: ReleaseFile) -> bool:
        path = self.path(file)
        return path.is_file() and path.stat().st_size == file.bytes
