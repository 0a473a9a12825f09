"""One installation of the publisher, from nothing to a withdrawn release, and what its readers see at any moment."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

import yaml

import opscommons
from jobs.store import WholeStore, open_store
from tests.crash.commands import Ended, Request, WarmProcess, as_text
from tests.crash.planted import CLUSTER, METRICS, Planted, count_series
from tests.lab.rgw import Gateway
from tests.store.places import BucketPlace, credentials_of

WINDOW: Final = timedelta(minutes=10)
WINDOWS: Final = 3
"""Of the release that a life makes; an earlier one of a single window is public from the beginning."""
TABLES: Final = ("node", "notebook_hub")
BEFORE: Final = "2026.10.0"
VERSION: Final = "2026.11.0"
REASON: Final = "A column held what it should not."
SIGNING_KEY: Final = "signing.pem"
COMMANDS: Final = ("snapshot", "release", "publish", "retract")

State = Literal["without", "published", "retracted"]
"""What readers are told of ``VERSION``."""


@dataclass(frozen=True)
class Stores:
    """Where an installation keeps its things, and at which address readers find the public ones."""

    staging: str
    public: str
    readers: str
    endpoint_url: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)
    """What the environment of the commands holds."""

    def open_staging(self) -> WholeStore:
        """Return the private store."""
        return open_store(self.staging, endpoint_url=self.endpoint_url)

    def open_public(self) -> WholeStore:
        """Return the public store, as its publisher."""
        return open_store(self.public, endpoint_url=self.endpoint_url)


def in_folder(folder: Path) -> Stores:
    """Return stores in a folder."""
    return Stores(f"file:{folder}/staging", f"file:{folder}/public", f"{folder}/public")


@dataclass(frozen=True)
class Buckets:
    """A private and a public bucket on a real server, for many installations."""

    private: BucketPlace
    public: BucketPlace
    credentials: Mapping[str, str]

    @classmethod
    def make(cls, gateway: Gateway) -> "Buckets":
        """Make both; everybody may read the public one, and nothing else."""
        made = cls(BucketPlace(gateway, prefix=""), BucketPlace(gateway, prefix=""), credentials_of(gateway))
        made.public.let_everybody_read()
        return made

    def stores(self, name: str, *, endpoint_url: str | None = None) -> Stores:
        """Return stores below a prefix, reached by the commands through ``endpoint_url`` if it is given."""
        own = self.public.endpoint_url
        public = f"{self.public.url}/{name}"
        readers = f"{own}/{self.public.bucket}/{name}"
        return Stores(f"{self.private.url}/{name}", public, readers, endpoint_url or own, self.credentials)


@dataclass(frozen=True)
class Life:
    """One installation with stores and a work folder of its own."""

    planted: Planted
    warm: WarmProcess
    folder: Path
    stores: Stores
    windows: int = WINDOWS
    width: timedelta = WINDOW

    def configure(self, **changed: Mapping[str, object]) -> "Life":
        """Write the configuration, with some values of a section changed."""
        sections: dict[str, Any] = {
            "source": {
                "name": "lab",
                "provenance": "simulated",
                "url": self.planted.server.url,
                "identity": "none",
                "match": {"cluster": CLUSTER},
            },
            "collection": {
                "window": _minutes(self.width),
                "step": "1m",
                "settle": "0s",
                "max_catch_up": _minutes(self.windows * self.width),
                "tables": list(TABLES),
            },
            "limits": {"deadline": "5m"},
            "privacy": {"key_file": "opspub.key"},
            "publish": {"signing_key_file": SIGNING_KEY},
        }
        for name, values in changed.items():
            sections[name] = {**sections.get(name, {}), **values}
        places = {"staging": self.stores.staging, "public": self.stores.public, "work_dir": "work"}
        if self.stores.endpoint_url:
            places["s3_endpoint_url"] = self.stores.endpoint_url
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "opspub.yaml").write_text(yaml.safe_dump(sections | places))
        return self

    def request(self, command: str, *flags: str, **options: Any) -> Request:  # noqa: ANN401 - of Request
        """Return the call of a command as it comes next in this life; ``flags`` stand before it."""
        start, end = self.planted.now - self.windows * self.width, self.planted.now
        arguments: Mapping[str, Sequence[str]] = {
            "snapshot": ("snapshot",),
            "backfill": ("backfill", "--start", as_text(start), "--end", as_text(end)),
            "release": ("release", VERSION, "--start", as_text(start), "--end", as_text(end)),
            "publish": ("publish", VERSION),
            "verify": ("verify", VERSION, "--public-key", str(self.folder / f"{SIGNING_KEY}.pub")),
            "retract": ("retract", VERSION, "--reason", REASON, "--yes"),
        }
        given = {"clock": (self.planted.now.isoformat(),), "environment": self.stores.credentials, **options}
        return Request((*self.program(*flags), *arguments[command], "--json"), **given)

    def program(self, *flags: str) -> tuple[str, ...]:
        """Return what stands before every command."""
        return ("--config", str(self.folder / "opspub.yaml"), *flags)

    def run(self, command: str, **options: Any) -> Ended:  # noqa: ANN401 - of Request
        """Run a command as it comes next in this life."""
        return self.warm.run(self.request(command, **options))

    def succeed(self, command: str, **options: Any) -> Ended:  # noqa: ANN401 - of Request
        """Run a command that must succeed."""
        ended = self.run(command, **options)
        assert ended.code == 0, f"{command}: {ended.err}"
        return ended

    def reach(self, command: str) -> None:
        """Run all commands that come before one."""
        for each in COMMANDS[: COMMANDS.index(command)]:
            self.succeed(each)

    def begin(self, first: "Life") -> "Life":
        """Take over key and stores of a life that has published ``BEFORE`` in a folder."""
        shutil.copytree(first.folder, self.folder)
        if self.stores.endpoint_url:
            for name, store in (("staging", self.stores.open_staging()), ("public", self.stores.open_public())):
                root = self.folder / name
                for path in sorted(path for path in root.rglob("*") if path.is_file()):
                    store.put(path.relative_to(root).as_posix(), path)
                shutil.rmtree(root)
        return self.configure()

    def read_state(self, cache: Path) -> State:
        """Open the store as its readers do and return what they are told; fail unless all of it is whole and true."""
        listed = {entry.version: entry for entry in opscommons.releases(self.stores.readers)}
        assert listed[BEFORE].status == "published"
        assert set(listed) <= {BEFORE, VERSION}
        told = listed.get(VERSION)
        state: State = "without" if told is None else told.status  # type: ignore[assignment] # the same words
        latest = VERSION if state == "published" else BEFORE
        assert opscommons.open(self.stores.readers, cache=cache).version == latest
        for version in (BEFORE, VERSION)[: 2 if state == "published" else 1]:
            self.assert_exact(version, cache)
        return state

    def assert_exact(self, version: str, cache: Path) -> None:
        """Assert that readers of a release get what Prometheus says itself: nothing lost or doubled, every bit."""
        release = opscommons.open(self.stores.readers, version, cache=cache)
        assert set(release.metrics()) == set(METRICS)
        for metric in METRICS:
            rows = release.load(metric)
            times = rows["timestamp"].astype("int64") // (1_000_000 if "ns" in str(rows["timestamp"].dtype) else 1)
            samples = zip(rows["series_id"], times, rows["value"], strict=True)
            series: dict[str, list[tuple[int, float]]] = {}
            for identity, at, value in samples:
                series.setdefault(str(identity), []).append((int(at), float(value)))
            truth = self.planted.truth(metric, release.start, release.end)
            assert truth
            assert count_series(series.values()) == truth, metric
        assert release.verify().problems == ()

    def assert_only_what_counts(self) -> None:
        """Assert that the private store holds every file that a commit names, and no other."""
        store = self.stores.open_staging()
        keys = set(store.list(""))
        commits = {key for key in keys if key.startswith("commits/")}
        named = {file["path"] for key in commits for file in json.loads(store.get(key) or b"")["files"]}
        found = {key for key in keys if key.startswith(("data/", "probe/"))}
        assert found == named, f"not named: {found - named}, missing: {named - found}"

    def count_commits(self) -> int:
        """Return how many windows of tables are committed."""
        return sum(key.startswith("commits/") for key in self.stores.open_staging().list(""))


def make_first(planted: Planted, warm: WarmProcess, folder: Path) -> Life:
    """Return a life in a folder that has published one release of an earlier window, as ``BEFORE``."""
    life = Life(planted, warm, folder, in_folder(folder)).configure(collection={"max_catch_up": "10m"})
    then = planted.now - WINDOWS * WINDOW
    clock = (then.isoformat(),)
    config = ("--config", str(folder / "opspub.yaml"))
    span = ("--start", as_text(then - WINDOW), "--end", as_text(then))
    for argv in (("key", "new"), ("signing", "new"), ("snapshot",), ("release", BEFORE, *span), ("publish", BEFORE)):
        ended = warm.run(Request((*config, *argv), clock=clock))
        assert ended.code == 0, ended.err
    return replace(life).configure()


def _minutes(span: timedelta) -> str:
    return f"{span // timedelta(minutes=1)}m"
