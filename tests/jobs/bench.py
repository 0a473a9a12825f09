"""A folder in which the real command line runs, and what lies there before and after."""

import base64
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.jobs.warm import run_warm

OPSPUB = Path(sys.executable).with_name("opspub")
KEY: dict[str, Any] = {
    "format_version": "1.0",
    "keys": [
        {
            "key_id": "k_0123456789abcdef",
            "created": "2026-11-01T00:00:00Z",
            "secret": base64.b64encode(bytes((37 * n + 101) % 256 for n in range(32))).decode(),  # plainly made up
        }
    ],
}


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code and what it said."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on stderr; fails when there is another number of lines, or a traceback."""
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("opspub: ")


class Bench:
    """A valid configuration in a folder, to be broken in one place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key_file = folder / "opspub.key"
        self.config: dict[str, Any] = {
            "source": {"name": "lab", "url": "http://127.0.0.1:1", "identity": "none"},
            "collection": {"window": "1m", "step": "5s", "settle": "0s", "max_catch_up": "2m", "tables": ["node"]},
            "privacy": {"key_file": "opspub.key"},
            "staging": "file:staging",
            "public": "file:public",
            "work_dir": "work",
        }
        self.write_key()

    def write_key(self, ring: Mapping[str, object] | str = KEY, *, mode: int = 0o600) -> None:
        """Write a key ring, or any text in its place."""
        self.key_file.touch(mode=0o600)
        self.key_file.write_text(ring if isinstance(ring, str) else json.dumps(ring))
        self.key_file.chmod(mode)

    def set(self, section: str, **values: object) -> None:
        """Change some values of a section."""
        self.config[section] = self.config.get(section, {}) | values

    def write_config(self) -> Path:
        """Write the configuration as it is now, and return where it lies."""
        path = self.folder / "opspub.yaml"
        path.write_text(yaml.safe_dump(self.config))
        return path

    def run(self, *arguments: str, **environment: str) -> Ran:
        """Run the real command line in the folder, with nothing of this process's environment."""
        path = self.write_config()
        code, out, err = run_warm(
            ["--config", str(path), *arguments],
            folder=self.folder,
            environment={"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **environment},
            timeout=120,
        )
        return Ran(code, out, err)

    def made(self) -> list[str]:
        """Return everything that lies in the folder beside its inputs: files and folders."""
        found = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*"))
        return sorted(set(found) - {"opspub.yaml", "opspub.key"})
