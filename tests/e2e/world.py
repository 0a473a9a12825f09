"""What end-to-end tests know of the demo: where things lie, and what Prometheus itself says. Our readers stay out."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.e2e.exact import ask, query_range


@dataclass(frozen=True)
class World:
    """A finished demo."""

    root: Path
    environment: Mapping[str, str]

    @cached_property
    def state(self) -> dict[str, Any]:
        """What the source says of itself."""
        return dict(json.loads((self.root / ".demo/state.json").read_text()))

    @property
    def public(self) -> Path:
        """The public store."""
        return self.root / "public"

    @cached_property
    def releases(self) -> dict[str, Path]:
        """Provenance to the folder of the first release of that kind."""
        found: dict[str, Path] = {}
        for folder in sorted((self.public / "releases").iterdir(), key=lambda path: int(path.name.split(".")[2])):
            found.setdefault(self.manifest(folder)["provenance"], folder)
        return found

    @staticmethod
    def manifest(folder: Path) -> dict[str, Any]:
        """The manifest of a release, as JSON."""
        return dict(json.loads((folder / "manifest.json").read_text()))

    def opspub(self, config: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command against the demo's server."""
        return subprocess.run(
            [Path(sys.executable).with_name("opspub"), "--config", self.root / "demo" / f"{config}.yaml", *arguments],
            env={**self.environment, "OPSPUB_SOURCE__URL": self.state["url"], **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def ask(self, path: str, **parameters: str | Sequence[str]) -> Any:  # noqa: ANN401 - JSON
        """Ask Prometheus's own API, by nothing but the standard library."""
        return ask(self.state["url"], path, **parameters)

    def query_range(self, selector: str, manifest: Mapping[str, Any]) -> Iterator[list[tuple[int, float]]]:
        """Yield the server's own values of each series on the release's grid."""
        span = {"start": manifest["start"], "end": manifest["end"]}
        for _, samples in query_range(self.state["url"], selector, **span, step_ms=manifest["step_ms"]):
            yield samples
