"""Configuration of the lab's JupyterHub, run inside its own environment: one process, loopback only."""

import os
from typing import Any, ClassVar

from jupyterhub.proxy import Proxy

hub, proxy, user = os.environ["LAB_PORTS"].split()  # noqa: TID251 - how the lab tells its programs


class RememberedRoutes(Proxy):
    """A proxy that routes nothing: the lab speaks to hub and user's server directly."""

    should_start = False
    routes: ClassVar[dict[str, dict[str, Any]]] = {}

    async def add_route(self, routespec: str, target: str, data: dict[str, Any]) -> None:
        """Remember a route."""
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec: str) -> None:
        """Forget a route."""
        self.routes.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, dict[str, Any]]:
        """Return what is remembered."""
        return dict(self.routes)


c = get_config()  # noqa: F821 - given by traitlets
c.JupyterHub.proxy_class = RememberedRoutes
c.JupyterHub.bind_url = f"http://127.0.0.1:{proxy}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{hub}"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.authenticate_prometheus = False
c.JupyterHub.services = [{"name": "lab", "api_token": os.environ["LAB_TOKEN"]}]  # noqa: TID251
c.JupyterHub.load_roles = [
    {"name": "lab", "services": ["lab"], "scopes": ["admin:users", "admin:servers", "access:servers"]}
]
c.Authenticator.allow_all = True
c.Spawner.ip = "127.0.0.1"
c.Spawner.port = int(user)
c.Spawner.args = ["--allow-root", "--ServerApp.authenticate_prometheus=False"]
c.Spawner.start_timeout = c.Spawner.http_timeout = 240  # a busy machine is no reason to fail
