"""What people run on the workers: notebooks by day, tasks round the clock, services, and what goes wrong.

Everything recurs daily at its own hour give or take twenty minutes, so that each namespace shows up in any
span of 26 hours; each pod is made from its own day and place in the list, never from its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from demo.cluster.names import REGISTRY, build_names
from demo.cluster.nodes import REPAIR_PERIOD, Node, find_departures
from demo.cluster.noise import derive_key, draw_hex, draw_suffix, draw_template_hash, seed_random
from demo.cluster.pods import GIB, MIB, Outcome, Owner, Pod, Resources, make_pod
from demo.cluster.schedule_platform import pick_worker
from demo.cluster.span import DAY, HOUR, MINUTE, STEP, Span

TASKS_PER_DAY = 150
SERVICES = 6
BACK_OFFS = (30, 30, 60, 90, 180)  # seconds between restarts, then five minutes each
LONGEST_BACK_OFF = 5 * MINUTE
CRASHING_FOR = 3 * HOUR
EVICTED_AFTER = 5 * MINUTE  # the pods of a node that no longer answers
_LINGER = 15 * MINUTE


def plan_notebook_pods(seed: int, span: Span) -> Iterator[Pod]:
    """Yield the users' notebook servers: begun in working hours, culled when idle."""
    names = build_names(seed)
    for day in range(span.start // DAY - 1, span.end // DAY + 1):
        for number, user in enumerate(names.users):
            source = seed_random(seed, "notebook", day, number)
            if source.random() > 0.72:
                continue
            created = day * DAY + _steps(source.gauss(11.0 * HOUR, 3.0 * HOUR), 6 * HOUR, 19 * HOUR)
            started = created + source.randrange(1, 5) * STEP
            finished = started + _steps(source.gauss(3.4 * HOUR, 2.0 * HOUR), HOUR // 2, 9 * HOUR)
            if not _touches(created, finished + STEP, span):
                continue
            node = pick_worker(seed, "notebook", derive_key(day, number), created, finished + STEP)
            if node is None:
                continue
            yield make_pod(
                (seed, "notebook", day, number),
                namespace=names.hub,
                name=f"jupyter-{user}",
                node=node,
                kind="notebook",
                created=created,
                runs=[(started, finished, "")],
                gone=finished + STEP,
                outcome="Deleted",
                container="notebook",
                image=f"{REGISTRY}/notebooks/minimal:2026b",
                resources=Resources(0.2, 1.5, 1 * GIB, 4 * GIB),
                labels={
                    "app": "jupyterhub",
                    "component": "singleuser-server",
                    "heritage": "jupyterhub",
                    "hub_jupyter_org_username": user,
                },
                user=user,
            )


def plan_task_pods(seed: int, span: Span) -> Iterator[Pod]:
    """Yield the teams' recurring tasks: workflow steps, jobs and Spark executors that run and end."""
    teams = build_names(seed).teams
    for number in range(TASKS_PER_DAY):
        team = teams[number % len(teams)]
        hour = seed_random(seed, "task", number).random() * DAY
        for day in range((span.start - HOUR) // DAY - 1, span.end // DAY + 1):
            source = seed_random(seed, "task", number, day)
            created = day * DAY + _steps(hour + source.uniform(-1, 1) * 20 * MINUTE, 0, DAY)
            started = created + source.randrange(1, 4) * STEP
            finished = started + _steps(source.expovariate(1 / (20 * MINUTE)), 4 * MINUTE, 80 * MINUTE)
            gone = finished + _steps(source.random() * _LINGER, 2 * MINUTE, _LINGER)
            if not _touches(created, gone, span):
                continue
            node = pick_worker(seed, "batch", derive_key(day, number), created, gone)
            if node is None:
                continue
            failed = source.random() < 0.09
            name, owner, labels = _name_task(source, team, number)
            outcome: Outcome = "Failed" if failed else "Succeeded"
            yield make_pod(
                (seed, "task", number, day),
                namespace=team,
                name=name,
                node=node,
                kind="batch",
                created=created,
                runs=[(started, finished, "Error" if failed else "Completed")],
                gone=gone,
                outcome=outcome,
                container="main" if number % 3 else f"{team}-task",
                image=f"{REGISTRY}/{team}/pipeline:{1 + number % 4}.{source.randint(0, 30)}.0",
                resources=Resources(0.25, 0.5, 512 * MIB, 2 * GIB),
                owner=owner,
                labels=labels,
            )


def plan_service_pods(seed: int, span: Span) -> Iterator[Pod]:
    """Yield the teams' services: rolled out anew each day."""
    teams = build_names(seed).teams
    for number in range(SERVICES):
        team = teams[number * 5]
        hour = int(seed_random(seed, "service", number).uniform(5, 9) * HOUR) // STEP * STEP
        for day in range((span.start - hour) // DAY, (span.end - hour) // DAY + 1):
            created, gone = day * DAY + hour, (day + 1) * DAY + hour + 2 * STEP
            if not _touches(created, gone, span):
                continue
            node = pick_worker(seed, "service", derive_key(day, number), created, gone)
            if node is None:
                continue
            yield _deploy(seed, team, f"api-{number:02d}", turn=day, node=node, start=created, end=gone)


def plan_lost_pods(seed: int, span: Span) -> Iterator[Pod]:
    """Yield the service that is on each departing worker when it goes away, and is lost with it."""
    team = build_names(seed).teams[-1]
    for departure, node in find_departures(seed, span.start - HOUR, span.end + REPAIR_PERIOD):
        created = departure - REPAIR_PERIOD + 6 * MINUTE
        if _touches(created, departure + EVICTED_AFTER, span):
            yield _deploy(seed, team, "ingest-01", turn=departure, node=node, start=created, end=departure, lost=True)


def plan_crashing_pods(seed: int, span: Span) -> Iterator[Pod]:
    """Yield one pod a day that crashes in a loop until somebody deletes it."""
    team = build_names(seed).teams[12]
    hour = seed_random(seed, "crashing").randrange(DAY)
    for day in range(span.start // DAY - 1, span.end // DAY + 1):
        source = seed_random(seed, "crashing", day)
        created = day * DAY + _steps(hour + source.uniform(-1, 1) * 20 * MINUTE, 0, DAY)
        gone = created + CRASHING_FOR
        if not _touches(created, gone, span):
            continue
        node = pick_worker(seed, "crashing", day, created, gone)
        if node is None:
            continue
        runs, start = [], created + 2 * STEP
        while start + 2 * STEP < gone:
            runs.append((start, start + 2 * STEP, "Error"))
            start += 2 * STEP + (BACK_OFFS[len(runs) - 1] if len(runs) <= len(BACK_OFFS) else LONGEST_BACK_OFF)
        yield _deploy(seed, team, "broken-config-07", turn=day, node=node, start=created, end=gone, runs=runs)


def _deploy(
    seed: int,
    team: str,
    part: str,
    *,
    turn: int,
    node: Node,
    start: int,
    end: int,
    lost: bool = False,
    runs: list[tuple[int, int, str]] | None = None,
) -> Pod:
    source = seed_random(seed, "deploy", part, turn)
    stem = f"{team.split('-')[0]}-{part}"
    replica_set = f"{stem}-{draw_template_hash(source)}"
    return make_pod(
        (seed, "deploy", part, turn),
        namespace=team,
        name=f"{replica_set}-{draw_suffix(source)}",
        node=node,
        kind="crashing" if runs else "service",
        created=start,
        runs=runs or [(start + 2 * STEP, end, "")],
        gone=end + EVICTED_AFTER if lost else end,
        outcome="Lost" if lost else "Deleted",
        container=stem,
        image=f"{REGISTRY}/{team}/{part}:{turn % 89 + 10}.0.1",
        resources=Resources(0.25, 1.0, 512 * MIB, 2 * GIB),
        owner=Owner("ReplicaSet", replica_set),
        labels={"app_kubernetes_io_name": stem},
    )


def _name_task(source: Random, team: str, number: int) -> tuple[str, Owner, dict[str, str]]:
    stem = f"{team.split('-')[0]}-{('etl', 'eval', 'sweep', 'export')[number % 4]}-{source.randint(10000, 99999)}"
    if number % 5 < 3:
        labels = {"workflows_argoproj_io_workflow": stem, "workflows_argoproj_io_completed": "false"}
        return f"{stem}-step-{source.randint(10**9, 10**10 - 1)}", Owner("Workflow", stem), labels
    if number % 5 == 3:
        labels = {"batch_kubernetes_io_job_name": stem, "job_name": stem}
        return f"{stem}-{draw_suffix(source)}", Owner("Job", stem), labels
    labels = {"spark_role": "executor", "spark_app_selector": f"spark-{draw_hex(source, 32)}", "spark_exec_id": "1"}
    return f"{stem}-exec-1", Owner("Pod", f"{stem}-driver"), labels


def _steps(seconds: float, least: float, most: float) -> int:
    return int(min(max(seconds, least), most) // STEP) * STEP


def _touches(start: int, end: int, span: Span) -> bool:
    return start < span.end and span.start < end
