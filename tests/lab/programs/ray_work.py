"""Give the lab's Ray something to do, until it is ended. Run inside Ray's own environment."""

import sys
import time

import ray
from ray.util.placement_group import placement_group


@ray.remote(num_cpus=0.5)
def make_block(number: int) -> bytes:
    """Work a little and leave an object."""
    time.sleep(0.2)
    return bytes([number]) * 200_000


@ray.remote(num_cpus=0.1)
class Counter:
    """An actor that lives as long as the driver."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> int:
        """Count one."""
        self.count += 1
        return self.count


metrics, dashboard, folder = sys.argv[1:]
ray.init(
    num_cpus=2,
    object_store_memory=100_000_000,
    include_dashboard=True,  # its agent exports the metrics
    dashboard_host="127.0.0.1",
    dashboard_port=int(dashboard),
    log_to_driver=False,
    _metrics_export_port=int(metrics),
    _node_ip_address="127.0.0.1",
    _temp_dir=folder,
)
group = placement_group([{"CPU": 0.1}])
counter = Counter.remote()
while True:
    held = ray.put(ray.get([make_block.remote(number) for number in range(4)]))
    ray.get(counter.add.remote())
    time.sleep(3)
