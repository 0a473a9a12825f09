"""The doctor looks at every replica by itself: a pair of which one member is dead serves for months unnoticed."""

import json

from demo.servers import Server, find_free_port
from tests.jobs.bench import Bench


def test_each_replica_is_looked_at_by_itself(bench: Bench, prometheus: Server) -> None:
    dead = f"http://127.0.0.1:{find_free_port()}"
    bench.set("source", url=prometheus.url, replicas=[prometheus.url, dead], retries=0)

    ran = bench.run("doctor", "--json")

    assert ran.code == 3
    checks = {check["name"]: check for check in json.loads(ran.out)["checks"]}
    assert checks["replica1"]["exit_code"] == 0
    assert checks["replica1"]["found"].endswith("read by remote-read, 1 targets")
    assert checks["replica2"]["exit_code"] == 3
    assert f"no connection to {dead}" in checks["replica2"]["found"]
