"""Who holds which GPU when: training jobs that saturate and end, and notebooks that hold a GPU and idle.

The life of a GPU node is cut into shifts of six hours; what a shift holds begins and ends within it.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from demo.cluster.names import REGISTRY, build_names
from demo.cluster.nodes import RARE_GPU, Node, build_nodes, find_lives
from demo.cluster.noise import seed_random
from demo.cluster.pods import GIB, Outcome, Owner, Pod, Resources, make_pod
from demo.cluster.schedule_platform import SERVING_GPUS
from demo.cluster.span import HOUR, MINUTE, STEP, Span

SHIFT = 6 * HOUR
OOM_NODE = 3  # every other shift of this node begins with a training job that runs out of memory
OOM_AFTER = 40 * MINUTE


def plan_gpu_pods(seed: int, span: Span) -> Iterator[Pod]:
    """Yield every training job and GPU notebook that touches ``span``."""
    for node in build_nodes(seed):
        if node.role != "gpu":
            continue
        free = tuple(gpu.index for gpu in node.gpus if (node.number, gpu.index) not in SERVING_GPUS)
        for life in find_lives(seed, node, span.start - HOUR, span.end):
            for start in range(life.start, life.end, SHIFT):
                end = min(start + SHIFT, life.end)
                if start < span.end and span.start - HOUR < end and end - start >= 4 * HOUR:
                    yield from _fill_shift(seed, node, free, start, end)


def _fill_shift(seed: int, node: Node, free: tuple[int, ...], start: int, end: int) -> Iterator[Pod]:
    source = seed_random(seed, "shift", node.number, start)
    runs_out = node.number == OOM_NODE and start // SHIFT % 2 == 0
    if runs_out or (len(free) > 1 and source.random() < 0.4):
        yield _training_pod(seed, source, node, free, start, end, runs_out=runs_out)
        return
    for gpu in free:
        draw = source.random()
        if draw < 0.72:
            yield _training_pod(seed, source, node, (gpu,), start, end, runs_out=False)
        elif draw < 0.9:
            yield _gpu_notebook(seed, source, node, gpu, start, end)


def _training_pod(
    seed: int, source: Random, node: Node, gpus: tuple[int, ...], start: int, end: int, *, runs_out: bool
) -> Pod:
    names = build_names(seed)
    # the rare family has few users on purpose: its name must not survive the release
    teams = names.gpu_teams[:2] if node.gpus[0].model == RARE_GPU else names.gpu_teams
    team = source.choice(teams)
    created = _draw_time(source, start, start + HOUR)
    started = created + source.randrange(2, 8) * STEP
    finished = min(started + _draw_time(source, 45 * MINUTE, 5 * HOUR), end - 15 * MINUTE)
    outcome: Outcome = "Failed" if source.random() < 0.12 else "Succeeded"
    last = (started, finished, "Error" if outcome == "Failed" else "Completed")
    runs = [last]
    if runs_out:
        outcome, killed = "Succeeded", started + OOM_AFTER
        runs = [(started, killed, "OOMKilled"), (killed + MINUTE, max(finished, killed + HOUR), "Completed")]
    job = f"{team.split('-')[0]}-finetune-{source.randint(1000, 9999)}"
    memory = 32 * GIB * len(gpus)
    return make_pod(
        (seed, "training", node.number, gpus, start),
        namespace=team,
        name=f"{job}-worker-0",
        node=node,
        kind="training",
        created=created,
        runs=runs,
        gone=min(runs[-1][1] + source.randrange(10, 28) * STEP, end),
        outcome=outcome,
        container="pytorch",
        image=f"{REGISTRY}/{team}/trainer:2026.{source.randint(1, 11)}.{source.randint(0, 9)}",
        resources=Resources(1.0 * len(gpus), 1.5 * len(gpus), memory, memory, gpus),
        owner=Owner("PyTorchJob", job),
        labels={
            "training_kubeflow_org_job_name": job,
            "training_kubeflow_org_operator_name": "pytorchjob-controller",
            "training_kubeflow_org_replica_index": "0",
            "training_kubeflow_org_replica_type": "worker",
        },
        priority_class="training-low",
    )


def _gpu_notebook(seed: int, source: Random, node: Node, gpu: int, start: int, end: int) -> Pod:
    names = build_names(seed)
    user = names.users[(2 * node.number + gpu) % len(names.users)]  # one user per GPU: no name twice at a time
    created = _draw_time(source, start, start + HOUR)
    started = created + 2 * STEP
    finished = min(started + _draw_time(source, 2 * HOUR, 5 * HOUR), end - MINUTE)
    return make_pod(
        (seed, "gpu-notebook", node.number, gpu, start),
        namespace=names.hub,
        name=f"jupyter-{user}--gpu",
        node=node,
        kind="notebook",
        created=created,
        runs=[(started, finished, "")],
        gone=finished + STEP,
        outcome="Deleted",
        container="notebook",
        image=f"{REGISTRY}/notebooks/cuda-pytorch:2026b",
        resources=Resources(0.5, 2.0, 4 * GIB, 16 * GIB, (gpu,)),
        labels={
            "app": "jupyterhub",
            "component": "singleuser-server",
            "heritage": "jupyterhub",
            "hub_jupyter_org_servername": "gpu",
            "hub_jupyter_org_username": user,
        },
        user=user,
    )


def _draw_time(source: Random, start: int, end: int) -> int:
    return source.randrange(start // STEP, end // STEP) * STEP
