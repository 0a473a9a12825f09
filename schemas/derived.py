"""Metrics that we make ourselves from others of the same window, before names become tokens.

Their names begin with ``opscommons_``, which no source is asked for and no table of an operator may declare.
"""

from collections.abc import Mapping
from typing import Final

PREFIX: Final = "opscommons_"

PODS: Final = "kube_pod_info"
REQUESTS: Final = "kube_pod_container_resource_requests"
PHASES: Final = "kube_pod_status_phase"
OWNERS: Final = "kube_pod_owner"
LABELS: Final = "kube_pod_labels"
JOB_OWNERS: Final = "kube_job_owner"

WORKLOAD: Final = "opscommons_workload_info"
WORKLOAD_POD: Final = "opscommons_workload_pod_info"
RUNNING_PODS: Final = "opscommons_workload_running_pods"
CPU: Final = "opscommons_workload_requested_cpu_cores"
MEMORY: Final = "opscommons_workload_requested_memory_bytes"
GPUS: Final = "opscommons_workload_requested_gpus"

MADE_FROM: Final[Mapping[str, str]] = {
    WORKLOAD: PHASES,
    WORKLOAD_POD: PODS,
    RUNNING_PODS: PHASES,
    CPU: REQUESTS,
    MEMORY: REQUESTS,
    GPUS: REQUESTS,
}
"""Each of them, and the metric whose samples it stands and falls with: its coverage is that one's."""


def is_derived(metric: str) -> bool:
    """Return whether a metric is made here, so that no source has it."""
    return metric.startswith(PREFIX)
