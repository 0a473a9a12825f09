"""A store of two keys: commits and releases of made-up windows, each under the key of its day."""

from pathlib import Path

from anonymize.keys import add_key
from jobs.config import Settings, check_settings, resolve_paths
from jobs.snapshot.commits import commit
from jobs.store import open_store
from schemas.digest import readable_json
from schemas.manifest import Manifest
from tests.jobs.builders import DAY, HOUR, a_commit_record

NOW = DAY + 48 * HOUR
LINE = DAY + 24 * HOUR


def settings_in(folder: Path, **changes: object) -> Settings:
    given = {
        "source": {"name": "lab", "url": "http://127.0.0.1:1"},
        "collection": {"window": "1h", "settle": "10m", "max_catch_up": "1d", "tables": ["node", "pod"]},
        "privacy": {"key_file": "ring"},
    }
    return resolve_paths(check_settings(given | changes, "test"), folder)


def commit_hours(
    settings: Settings, hours: range, *tables: str, key_id: str, without: tuple[int, ...] = (), source: str = "lab"
) -> None:
    store = open_store(settings.staging)
    for hour in hours:
        for table in tables:
            if hour not in without:
                commit(store, a_commit_record(DAY + hour * HOUR, table=table, key_id=key_id, source=source))


def publish(settings: Settings, manifest: Manifest) -> None:
    public = open_store(settings.public)
    public.put_new(f"releases/{manifest.release.version}/manifest.json", readable_json(manifest))


def rotate(folder: Path) -> tuple[Settings, str]:
    """Commit two days of two tables, with a key for each day; return the first day's key."""
    settings = settings_in(folder)
    first = add_key(settings.privacy.key_file, now=DAY, valid_from=None)
    second = add_key(settings.privacy.key_file, now=DAY, valid_from=LINE)
    commit_hours(settings, range(24), "node", "pod", key_id=first)
    commit_hours(settings, range(24, 47), "node", "pod", key_id=second)
    return settings, first


def objects(url: str) -> dict[str, bytes]:
    store = open_store(url)
    return {key: store.get(key) or b"" for key in store.list("")}
