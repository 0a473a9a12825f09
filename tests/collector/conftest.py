"""Fixtures of the collector's tests."""

from tests.prometheus.fixtures import prometheus

__all__ = ["prometheus"]
