"""The machines of the cluster and when each of them is up, for all time.

GPU nodes reboot for a kernel update every five days, infrastructure nodes every 32 days with the whole platform.
Every 13 hours one worker is taken out for repair and stays away for 25 hours: a span of 26 hours therefore sees
every node, and always holds a departure near its middle whose node does not come back within the span.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from demo.cluster.names import DOMAIN
from demo.cluster.noise import draw_hex, draw_uuid, seed_random
from demo.cluster.span import DAY, HOUR, MINUTE, STEP

Role = Literal["gpu", "infra", "worker"]

COMMON_GPU = "NVIDIA A100-SXM4-80GB"
RARE_GPU = "NVIDIA H200"
COMMON_GPU_NODES, RARE_GPU_NODES, INFRA_NODES, WORKER_NODES = 8, 2, 3, 7
GPUS_PER_NODE = 2
CORES = 4
PLATFORM_PERIOD = 32 * DAY
REBOOT_PERIOD = 5 * DAY
REBOOT_TIME = 5 * MINUTE
REPAIR_PERIOD = 13 * HOUR
REPAIR_TIME = 25 * HOUR
NODE_FORGOTTEN_AFTER = 40 * MINUTE  # somebody deletes the node object by hand


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU of a node."""

    index: int
    uuid: str
    model: str
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Node:
    """One machine."""

    number: int
    role: Role
    short_name: str
    ip: str
    memory_bytes: int
    system_uuid: str
    serial: str
    gpus: tuple[Gpu, ...] = field(default=())

    @property
    def name(self) -> str:
        """The full name, as Kubernetes knows the node."""
        return f"{self.short_name}.{DOMAIN}"

    @property
    def pod_cidr(self) -> str:
        """The addresses of its pods."""
        return f"10.196.{100 + self.number}.0/24"

    @property
    def provider_id(self) -> str:
        """The node as the bare-metal operator names it."""
        return f"metal3://{self.serial}/{self.system_uuid}"


@dataclass(frozen=True, slots=True, order=True)
class Life:
    """The node is up for ``start <= t < end``; its object stays until ``forgotten``."""

    start: int
    end: int
    forgotten: int


@cache
def build_nodes(seed: int) -> tuple[Node, ...]:
    """Return the twenty nodes: GPU nodes first, then infrastructure, then workers."""
    source = seed_random(seed, "nodes")
    nodes = []
    for number in range(COMMON_GPU_NODES + RARE_GPU_NODES + INFRA_NODES + WORKER_NODES):
        role = _role(number)
        rare = role == "gpu" and number >= COMMON_GPU_NODES
        model, memory_mib = (RARE_GPU, 143_771) if rare else (COMMON_GPU, 81_920)
        gpus = tuple(Gpu(index, f"GPU-{draw_uuid(source)}", model, memory_mib) for index in range(GPUS_PER_NODE))
        nodes.append(
            Node(
                number=number,
                role=role,
                short_name=f"ml{role}-{source.randint(10, 99)}{number:02d}",
                ip=f"10.131.{100 + number}.{source.randint(101, 254)}",
                memory_bytes=(256 if role == "gpu" else 64) * 2**30 - source.randrange(2**28) // 4096 * 4096,
                system_uuid=draw_uuid(source),
                serial=f"SN{draw_hex(source, 10).upper()}",
                gpus=gpus if role == "gpu" else (),
            )
        )
    return tuple(nodes)


def find_lives(seed: int, node: Node, start: int, end: int) -> list[Life]:
    """Return the node's lives that touch ``[start, end)``, in order."""
    if node.role == "worker":
        return _worker_lives(seed, node, start, end)
    if node.role == "infra":
        period, pause, phase = PLATFORM_PERIOD, 0, _phase(seed, "platform", PLATFORM_PERIOD)
    else:
        period, pause = REBOOT_PERIOD, REBOOT_TIME
        phase = _phase(seed, "reboot", REBOOT_PERIOD) + node.number * period // (COMMON_GPU_NODES + RARE_GPU_NODES)
    first = (start - phase) // period
    last = (end - 1 - phase) // period
    return [
        Life(
            phase + turn * period,
            phase + (turn + 1) * period - pause,
            phase + (turn + 1) * period,
        )
        for turn in range(first, last + 1)
    ]


def find_departures(seed: int, start: int, end: int) -> list[tuple[int, Node]]:
    """Return when a worker is taken out within ``[start, end)``, and which."""
    phase = _phase(seed, "repair", REPAIR_PERIOD)
    first = -((phase - start) // REPAIR_PERIOD)
    last = (end - 1 - phase) // REPAIR_PERIOD
    return [(phase + turn * REPAIR_PERIOD, _worker_of(seed, turn)) for turn in range(first, last + 1)]


def _worker_lives(seed: int, node: Node, start: int, end: int) -> list[Life]:
    turn_length = WORKER_NODES * REPAIR_PERIOD
    lives = []
    for departure, departing in find_departures(seed, start, end + turn_length):
        came_back = departure - turn_length + REPAIR_TIME
        if departing == node and came_back < end:
            lives.append(Life(came_back, departure, departure + NODE_FORGOTTEN_AFTER))
    # one that left shortly before the span may still have its object
    for departure, departing in find_departures(seed, start - NODE_FORGOTTEN_AFTER, start):
        if departing == node:
            came_back = departure - turn_length + REPAIR_TIME
            lives.insert(0, Life(came_back, departure, departure + NODE_FORGOTTEN_AFTER))
    return lives


def _worker_of(seed: int, turn: int) -> Node:
    workers = [node for node in build_nodes(seed) if node.role == "worker"]
    return workers[turn * 3 % WORKER_NODES]


def _role(number: int) -> Role:
    if number < COMMON_GPU_NODES + RARE_GPU_NODES:
        return "gpu"
    return "infra" if number < COMMON_GPU_NODES + RARE_GPU_NODES + INFRA_NODES else "worker"


@cache
def _phase(seed: int, what: str, period: int) -> int:
    return seed_random(seed, "phase", what).randrange(period) // STEP * STEP
