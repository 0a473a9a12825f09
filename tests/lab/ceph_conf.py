"""Render the configuration of a one-machine Ceph cluster. Pure: starts nothing and writes nothing."""

import base64
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

Store = Literal["memstore", "bluestore"]

CAPACITY_BYTES = 2 * 2**30  # a cap, not a reservation: memory (memstore) or a sparse file (bluestore)

# Daemon name -> what it may do on monitor, OSD and manager. All must have a real key: with authentication
# switched off radosgw never begins to serve.
CAPABILITIES = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
    "mgr.x": {"mon": "allow profile mgr", "osd": "allow *"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *", "mgr": "allow profile osd"},
    "client.rgw.a": {"mon": "allow rw", "osd": "allow rwx", "mgr": "allow rw"},
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where one cluster keeps its files and listens."""

    fsid: UUID
    folder: Path
    sockets: Path  # apart from the folder: the kernel limits a Unix socket's path to 107 bytes
    rgw_port: int
    mon_port: int

    @property
    def mon_address(self) -> str:
        """The only address of the only monitor."""
        return f"[v2:127.0.0.1:{self.mon_port}]"

    @property
    def conf(self) -> Path:
        """The configuration file that every program is started with."""
        return self.folder / "ceph.conf"

    @property
    def keyring(self) -> Path:
        """The keys of all daemons."""
        return self.folder / "keyring"

    @property
    def logs(self) -> Path:
        """One log file per daemon."""
        return self.folder / "log"

    def data(self, daemon: str) -> Path:
        """Return the data folder of ``daemon``."""
        return self.folder / daemon


def render_conf(layout: Layout, *, store: Store) -> str:
    """Return the text of ``ceph.conf``: one of each daemon, one copy of each object, loopback only."""
    settings = {
        "fsid": layout.fsid,
        "mon_host": layout.mon_address,
        "mon_initial_members": "a",
        "keyring": layout.keyring,
        "auth_cluster_required": "cephx",
        "auth_service_required": "cephx",
        "auth_client_required": "cephx",
        "auth_allow_insecure_global_id_reclaim": "false",
        "public_addr": "127.0.0.1",
        "cluster_addr": "127.0.0.1",
        "public_network": "127.0.0.0/8",
        "cluster_network": "127.0.0.0/8",
        "ms_bind_ipv6": "false",
        "ms_bind_msgr1": "false",  # version 2 of the protocol alone needs half as many ports
        "osd_pool_default_size": 1,
        "osd_pool_default_min_size": 1,
        "mon_allow_pool_size_one": "true",
        "mon_warn_on_pool_no_redundancy": "false",
        "osd_crush_chooseleaf_type": 0,
        "osd_crush_initial_weight": 1,  # otherwise pools never become active
        "osd_pool_default_pg_num": 4,
        "osd_pool_default_pgp_num": 4,
        "osd_pool_default_pg_autoscale_mode": "off",
        "rgw_rados_pool_pg_num_min": 4,
        "mon_max_pg_per_osd": 1000,
        "mon_data_avail_crit": 1,  # a nearly full disk is no reason to refuse a test
        "mon_data_avail_warn": 2,
        "paxos_propose_interval": 0.05,  # the default of 1 s makes the start take 10 s
        "mgr_initial_modules": "",
        "mgr_module_path": layout.data("mgr-modules"),  # empty: Python modules only cost time and memory
        "osd_client_watch_timeout": 10,  # with the next: a restart after kill -9 takes 0.3 s, not 27 s
        "objecter_tick_interval": 2,
        "rgw_gc_obj_min_wait": 10,  # deleted objects give their memory back within seconds
        "rgw_gc_processor_period": 10,
        "rgw_gc_processor_max_time": 10,
        "rgw_thread_pool_size": 64,
        "run_dir": layout.sockets,
        "admin_socket": layout.sockets / "$name.asok",
        "log_file": layout.logs / "$name.log",
        "mon_cluster_log_file": layout.logs / "cluster.log",
        "crash_dir": layout.data("crash"),
        "mon_data": layout.data("mon"),
        "mgr_data": layout.data("mgr"),
        "osd_data": layout.data("osd"),
        "rgw_data": layout.data("rgw"),
        "osd_objectstore": store,
        "memstore_device_bytes": CAPACITY_BYTES,
        "bluestore_block_size": CAPACITY_BYTES,
        "rgw_frontends": f"beast endpoint=127.0.0.1:{layout.rgw_port}",
        "rgw_enable_apis": "s3, s3website",
        "rgw_enable_static_website": "true",
        "rgw_dns_name": "localhost",
        "rgw_dns_s3website_name": "website.localhost",
    }
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())


def render_keyring(secrets: dict[str, bytes]) -> str:
    """Return the text of a keyring from 16 random bytes per daemon of ``CAPABILITIES``."""
    lines = []
    for daemon, capabilities in CAPABILITIES.items():
        secret = secrets[daemon]
        # type 1 (AES), created (s, ns), length, bytes
        key = base64.b64encode(struct.pack("<HIIH", 1, 0, 0, len(secret)) + secret).decode()
        lines += [f"[{daemon}]", f"key = {key}"]
        lines += [f'caps {service} = "{allowed}"' for service, allowed in capabilities.items()]
    return "\n".join(lines) + "\n"
