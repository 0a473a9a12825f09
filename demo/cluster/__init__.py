"""A simulated ML cluster: every sample is a pure function of the seed and of absolute time.

Two spans that overlap agree on each sample of the overlap; nothing depends on where a span begins. Twenty nodes,
forty-two namespaces and some three hundred pods a day, told by the real names and labels of node_exporter, the
kubelet, kube-state-metrics, the control plane, dcgm-exporter, Jupyter, the operators of Kubeflow, Argo, Kueue and
Spark, Ray, Kafka and four kinds of model servers. Of each exporter's metrics only some are there, to keep it quick.
Nobody in it exists.
"""

from demo.cluster.build import build_series, count_samples
from demo.cluster.names import CLUSTER, PLATFORM_NAMESPACES
from demo.cluster.nodes import COMMON_GPU, RARE_GPU
from demo.cluster.planted import planted_names
from demo.cluster.span import STEP, Series, Span

__all__ = [
    "CLUSTER",
    "COMMON_GPU",
    "PLATFORM_NAMESPACES",
    "RARE_GPU",
    "STEP",
    "Series",
    "Span",
    "build_series",
    "count_samples",
    "planted_names",
]
