"""A real Prometheus behind mutual TLS and a password, with certificates made for it by openssl."""

from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.packages import Programs
from demo.servers import find_free_port

USER: Final = "reader"
PASSWORD: Final = "sesame-of-the-cluster"
_HASH: Final = "$2b$05$abcdefghijklmnopqrstuuQou0P.5.lCEvT3VPmry/83ze6EHOhtm"  # bcrypt of the password
_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_WEB: Final = """\
tls_server_config:
  cert_file: {folder}/server.pem
  key_file: {folder}/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: {folder}/authority.pem
basic_auth_users: {{{user}: "{hash}"}}
"""


@dataclass(frozen=True)
class Locked:
    """The running server, and the folder of ``<name>.pem`` and ``<name>.key`` of those who are known and unknown."""

    url: str
    folder: Path

    def pem(self, name: str) -> Path:
        """Return a certificate: of ``authority``, ``client``, ``stranger`` or ``their-authority``."""
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        """Return its key."""
        return self.folder / f"{name}.key"


def find_openssl() -> str | None:
    """Return the program, or nothing."""
    return shutil.which("openssl")


@contextmanager
def start_locked(programs: Programs, folder: Path) -> Iterator[Locked]:
    """Make certificates, and start a server that lets in ``client`` with ``USER`` and ``PASSWORD`` alone."""
    for authority, members in (("authority", ("server", "client")), ("their-authority", ("stranger",))):
        _make_authority(folder, authority)
        for member in members:
            _make_member(folder, member, authority)
    (folder / "web.yml").write_text(_WEB.format(folder=folder, user=USER, hash=_HASH))
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    port = find_free_port()
    command = [
        str(programs.prometheus),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.config.file={folder}/web.yml",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_until_ready(f"https://127.0.0.1:{port}", folder, process)
            yield Locked(f"https://127.0.0.1:{port}", folder)
        finally:
            process.kill()


def _make_authority(folder: Path, name: str) -> None:
    _openssl(
        folder, "req", "-x509", *_NEW_KEY, "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out",
        f"{name}.pem",
    )  # fmt: skip


def _make_member(folder: Path, name: str, authority: str) -> None:
    _openssl(folder, "req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1\n")
    _openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
        "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.pem",
    )  # fmt: skip


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)


def _wait_until_ready(url: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
    context = ssl.create_default_context(cafile=folder / "authority.pem")
    context.load_cert_chain(folder / "client.pem", folder / "client.key")
    token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(f"{url}/-/ready", headers={"Authorization": f"Basic {token}"})
    patience = time.monotonic() + 60
    while time.monotonic() < patience and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=5, context=context):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"Prometheus did not become ready; it said: {(folder / 'log').read_text()[-500:]}")
