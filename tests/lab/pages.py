"""Serve captured pages over HTTP, each as a target of its own. The pages are not part of the project.

What a page's own cluster would have told by service discovery (its node, say) is read from the pages.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.lab.sources import Source, Target

ROOT = Path(__file__).parents[2]
DEFAULT_FOLDER = ROOT.parent / "shared" / "expositions"
VARIABLE = "OPSCOMMONS_EXPOSITIONS"
_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NODE = re.compile(r'^kube_node_info\{.*?\bnode="([^"]+)".*?\binternal_ip="([^"]+)"', re.MULTILINE)
_KUBE_SYSTEM = {"namespace": "kube-system"}


@dataclass(frozen=True, slots=True)
class Page:
    """How a captured page is scraped. The keys of ``PAGES`` are what file names hold."""

    job: str
    feeds: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    honor_labels: bool = False
    port: int | None = None
    """Of the exporter on a node, which then is the instance."""


PAGES: Mapping[str, Page] = {
    "node_exporter": Page("node-exporter", frozenset({"node"}), port=9100),
    "google__cadvisor": Page("bare-cadvisor"),  # without pods, which the tables are about
    "kubelet_metrics_cadvisor": Page("kubelet", frozenset({"container"}), honor_labels=True, port=10250),
    "ksm_metrics": Page(
        "kube-state-metrics",
        frozenset({"pod", "controller", "job", "namespace", "node_state", "volume"}),
        honor_labels=True,
    ),
    "api-server": Page("apiserver", frozenset({"control_plane"}), port=6443),
    "controller-manager": Page("kube-controller-manager", labels={**_KUBE_SYSTEM, "pod": "controller-manager-page"}),
    "controlplane_etcd": Page("etcd", frozenset({"control_plane"}), {**_KUBE_SYSTEM, "pod": "etcd-page"}),
    "scheduler": Page("kube-scheduler", frozenset({"control_plane"}), {**_KUBE_SYSTEM, "pod": "scheduler-page"}),
    "jupyterhub-": Page("hub", frozenset({"notebook_hub"}), {"namespace": "hub-page", "pod": "hub-page"}),
    "configurable-http-proxy": Page("proxy", labels={"namespace": "hub-page", "pod": "proxy-page"}),
    "jupyter_server-": Page("notebook", frozenset({"notebook"}), {"namespace": "hub-page", "pod": "jupyter-page"}),
    "ray-": Page("ray", frozenset({"ray"}), {"namespace": "ray-page", "pod": "ray-page-head"}),
}


def find_folder(environment: Mapping[str, str]) -> Path | None:
    """Return the folder of captured pages if there is one."""
    folder = Path(environment.get(VARIABLE) or DEFAULT_FOLDER)
    return folder if folder.is_dir() else None


def read_pages(folder: Path) -> dict[str, bytes]:
    """Return every page of a folder by its name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".prom", ".txt")}


def plan_sources(pages: Mapping[str, bytes], *, port: int) -> list[Source]:
    """Return the source that each page is, with the server of ``serve_pages`` at ``port``."""
    node = next(filter(None, (_NODE.search(page.decode()) for page in pages.values())), None)
    return [_plan(name, port, node.groups() if node else ("page-node", "page-node")) for name in pages]


def _plan(name: str, port: int, node: tuple[str | None, ...]) -> Source:
    page = next((page for part, page in PAGES.items() if part in name), Page(f"page-{name.rpartition('.')[0]}"))
    labels = {"instance": f"{name}.page.test:{page.port or 80}", **page.labels}
    if page.port:
        host, address = map(str, node)
        labels |= {"instance": f"{address}:{page.port}", "node": host}
    target = Target(page.job, port, f"/{name}", labels, page.honor_labels)
    return Source(f"page of {page.job}", "page", name.partition("__")[0], (target,), page.feeds)


@contextmanager
def serve_pages(pages: Mapping[str, bytes]) -> Iterator[int]:
    """Serve the pages on a free port of the loopback; give the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            page = pages.get(self.path.removeprefix("/"))
            self.send_response(HTTPStatus.OK if page is not None else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Type", _TYPE)
            self.send_header("Content-Length", str(len(page or b"")))
            self.end_headers()
            with suppress(ConnectionError):  # Prometheus was stopped while it read
                self.wfile.write(page or b"")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing of each request."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
