"""node_exporter: the machines themselves. Their counters begin at each boot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from demo.cluster.load import Load
from demo.cluster.names import CLUSTER, DOMAIN, FILER
from demo.cluster.nodes import CORES, Life, Node
from demo.cluster.noise import derive_key, rhythm, smooth, white
from demo.cluster.pods import GIB
from demo.cluster.span import HOUR, MINUTE, STEP, Floats, Ints, Series, accumulate, slice_between
from demo.cluster.world import World

JOB = "node-exporter"
KERNEL = "5.14.0-570.19.1.el9_6.x86_64"
_ROOT = {"device": "/dev/nvme0n1p4", "fstype": "xfs", "mountpoint": "/"}
_ROOT_BYTES = 480e9
_SHARE_BYTES = 40e12


def describe_share(world: World, node: Node) -> dict[str, str] | None:
    """Return the network file system that every fourth node mounts: its labels name a host and a team."""
    if node.number % 4:
        return None
    team = world.names.teams[node.number]
    return {"device": f"{FILER}:/export/{team}", "fstype": "nfs4", "mountpoint": f"/mnt/{team}"}


def build_node_series(world: World) -> Iterator[Series]:
    """Yield the series of every node while it is up and its exporter answers."""
    for node in world.nodes:
        for life in world.lives_of(node):
            if life.start < world.span.end and world.span.start < life.end:
                yield from _build_life(world, node, life)


def _build_life(world: World, node: Node, life: Life) -> Iterator[Series]:
    times, load = world.node_load(node, life)
    shown = slice_between(times, world.span.start, world.span.end)
    answered = world.is_scraped(JOB, node, times[shown])
    when = times[shown][answered]
    target = {"cluster": CLUSTER, "job": JOB, "instance": f"{node.ip}:9100"}

    def emit(metric: str, values: Floats | float, **labels: str) -> Series:
        if isinstance(values, float):
            return Series(metric, target | labels, when, np.full(len(when), values))
        return Series(metric, target | labels, when, values[shown][answered])

    key = derive_key(world.seed, "node", node.number, life.start)
    yield from (emit("node_cpu_seconds_total", values, **labels) for labels, values in _split_cpu(key, times, load))
    wander = smooth(derive_key(key, "load"), times, 5 * MINUTE)
    yield emit("node_load1", np.round(load.cpu * (0.8 + 0.5 * wander) + 0.1 * wander, 2))
    yield from (emit(metric, values) for metric, values in _count_pressure(node, times, load))
    yield emit("node_memory_MemTotal_bytes", float(node.memory_bytes))
    reserved = 3.2 * GIB + 0.9 * GIB * smooth(derive_key(key, "cache"), times, 2 * HOUR)
    available = np.maximum(node.memory_bytes - reserved - load.memory, 0.4 * GIB)
    yield emit("node_memory_MemAvailable_bytes", np.floor(available / 4096) * 4096)
    yield from (emit(metric, values, device=device) for metric, device, values in _count_io(key, times, load))
    grown = smooth(derive_key(world.seed, "disk", node.number), times, 26 * HOUR)
    used = _ROOT_BYTES * (0.25 + 0.3 * grown)
    yield emit("node_filesystem_size_bytes", _ROOT_BYTES, **_ROOT)
    yield emit("node_filesystem_avail_bytes", np.floor((_ROOT_BYTES - used) / 4096) * 4096, **_ROOT)
    if share := describe_share(world, node):
        filled = smooth(derive_key(world.seed, share["device"]), times, 40 * HOUR)
        yield emit("node_filesystem_size_bytes", _SHARE_BYTES, **share)
        avail = np.floor(_SHARE_BYTES * (0.2 + 0.3 * filled) / 4096) * 4096
        yield emit("node_filesystem_avail_bytes", avail, **share)
    yield emit("node_boot_time_seconds", float(life.start - 47))
    yield emit(
        "node_uname_info",
        1.0,
        domainname=DOMAIN,
        machine="x86_64",
        nodename=node.name,
        release=KERNEL,
        sysname="Linux",
        version="#1 SMP PREEMPT_DYNAMIC",
    )


def _split_cpu(key: int, times: Ints, load: Load) -> Iterator[tuple[dict[str, str], Floats]]:
    """Yield the seconds of each CPU and mode: what isn't user, system or waiting is idle."""
    overhead = 0.015 + 0.02 * rhythm(times, peak_hour=12)
    share = np.minimum(load.cpu / CORES + overhead, 0.93)
    waiting = np.minimum(load.writes / 2e9, 0.04)
    for cpu in range(CORES):
        uneven = 0.9 + 0.2 * white(derive_key(key, "cpu", cpu), times // STEP)
        busy = np.minimum(share * uneven, 0.95)
        modes = {"user": 0.82 * busy, "system": 0.18 * busy, "iowait": waiting * uneven}
        modes["idle"] = 1.0 - modes["user"] - modes["system"] - modes["iowait"]
        for mode, part in modes.items():
            yield {"cpu": str(cpu), "mode": mode}, accumulate(part * STEP, decimals=2)


def _count_pressure(node: Node, times: Ints, load: Load) -> Iterator[tuple[str, Floats]]:
    """Yield the seconds in which something waited: for a CPU on a full machine, for a disk while much is written."""
    busy = load.cpu / CORES
    flicker = white(derive_key("pressure", node.number), times // STEP)
    for what, share in (
        ("cpu", np.minimum(0.4 * busy * busy, 0.9) + 0.004 * flicker),
        ("io", np.minimum(load.writes / 6e8, 0.6) + 0.01 * flicker),
    ):
        yield f"node_pressure_{what}_waiting_seconds_total", accumulate(share * STEP, decimals=6)


def _count_io(key: int, times: Ints, load: Load) -> Iterator[tuple[str, str, Floats]]:
    flicker = white(derive_key(key, "io"), times // STEP)
    sectors = np.floor((load.writes + 30_000.0 * flicker) * STEP / 512) * 512
    reads = np.floor((5_000.0 + load.cpu * 220_000.0 * flicker + load.gpu * 9e6 * flicker) * STEP / 512) * 512
    received = (8_000.0 + load.cpu * 90_000.0 * (0.5 + flicker) + load.gpu * 4e6) * STEP
    sent = (6_000.0 + load.cpu * 60_000.0 * (1.5 - flicker) + load.gpu * 1e6) * STEP
    yield "node_disk_read_bytes_total", "nvme0n1", accumulate(reads)
    yield "node_disk_written_bytes_total", "nvme0n1", accumulate(sectors)
    yield "node_disk_io_time_seconds_total", "nvme0n1", accumulate(np.minimum(sectors / 9e8, 1.0) * STEP, decimals=3)
    yield "node_network_receive_bytes_total", "eno1", accumulate(received)
    yield "node_network_transmit_bytes_total", "eno1", accumulate(sent)
