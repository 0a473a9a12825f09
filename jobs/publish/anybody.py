"""Ask for addresses as anybody would: over plain HTTP(S), without credentials, through whatever caches stand between.

An answer counts only where it can be told from its opposite: the catalog must be readable there, and a name that
nothing ever had must not.
"""

import json
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

import requests
from urllib3.exceptions import HTTPError

from jobs.layout import release_prefix
from jobs.publish.catalog import CATALOG
from jobs.release.build import Progress
from jobs.store import WholeStore

PARALLEL: Final = 8
TIMEOUT_SECONDS: Final = 10
_READABLE: Final = frozenset({200, 206, 416})  # 416: it is there, and empty
_GONE: Final = frozenset({401, 403, 404, 410})  # servers that let nobody list say 403 of what is not there
_MOST_BYTES: Final = 64 << 20

Seen = Literal["readable", "gone", "unknown"]


@dataclass(frozen=True)
class PublicView:
    """What somebody without credentials saw at one address of the store after a retraction."""

    address: str
    asked: int
    readable: tuple[str, ...]
    """Addresses that still answer with content."""
    unanswered: int
    """Addresses of which nothing is known: no answer, or one that says neither yes nor no."""
    doubt: str | None
    """Why what was seen proves nothing, if so."""
    stale_catalog: bool
    """Whether the catalog that is served there does not know of the retraction."""


def store_addresses(store: WholeStore, url: str | None) -> tuple[str, ...]:
    """Return the addresses below which readers find the keys of a store: the configured one, and its own."""
    own = store.address(CATALOG)
    found = [url.rstrip("/") if url else None, own.removesuffix(f"/{CATALOG}") if own else None]
    return tuple(dict.fromkeys(address for address in found if address))


def look_at_retracted(
    address: str, version: str, paths: Sequence[str], *, progress: Progress = lambda done, total, what: None
) -> PublicView:
    """Ask for every path of a retracted release below ``address``; touches nothing and raises nothing."""
    prefix = release_prefix(version)
    with _Anybody() as anybody:
        catalog = anybody.read(f"{address}/{CATALOG}")
        nothing = anybody.look(f"{address}/{prefix}{secrets.token_hex(16)}")
        urls = [f"{address}/{quote(prefix + path)}" for path in paths]
        seen: list[Seen] = []
        with ThreadPoolExecutor(PARALLEL) as pool:
            for done, found in enumerate(pool.map(anybody.look, urls), 1):
                progress(done, len(urls), "asking as anybody")
                seen.append(found)
    doubt = None
    if catalog is None:
        doubt = f"nobody can read {CATALOG} at {address} without credentials: do readers come another way?"
    elif nothing != "gone":
        doubt = f"{address} does not say of a name that nothing ever had that it is not there"
    return PublicView(
        address=address,
        asked=len(urls),
        readable=() if nothing == "readable" else tuple(u for u, s in zip(urls, seen, strict=True) if s == "readable"),
        unanswered=seen.count("unknown"),
        doubt=doubt,
        stale_catalog=catalog is not None and not _knows_retraction(catalog, version),
    )


class _Anybody:
    """A reader without an account."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.auth = lambda request: request  # else a .netrc would make somebody of us
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=PARALLEL)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)

    def __enter__(self) -> "_Anybody":
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.close()

    def look(self, url: str) -> Seen:
        """Tell whether an address answers with content."""
        try:
            with self._session.get(url, headers={"Range": "bytes=0-0"}, stream=True, timeout=TIMEOUT_SECONDS) as answer:
                status = answer.status_code
        except (requests.RequestException, ValueError):
            return "unknown"
        return "readable" if status in _READABLE else "gone" if status in _GONE else "unknown"

    def read(self, url: str) -> bytes | None:
        """Return a small document, or ``None`` when it cannot be read; one that breaks off is asked for again."""
        for _ in range(2):
            try:
                with self._session.get(url, stream=True, timeout=TIMEOUT_SECONDS) as answer:
                    return answer.raw.read(_MOST_BYTES, decode_content=True) if answer.status_code == 200 else None
            except (requests.RequestException, HTTPError, OSError, ValueError):
                continue
        return None


def _knows_retraction(catalog: bytes, version: str) -> bool:
    try:
        entries = json.loads(catalog)["releases"]
        return any(entry["version"] == version and entry["status"] == "retracted" for entry in entries)
    except (ValueError, TypeError, KeyError):
        return False
