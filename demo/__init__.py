"""The quick start's source: a Prometheus with a simulated ML cluster's past and this machine's present."""
