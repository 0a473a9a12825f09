"""Fixtures of the lab's own tests."""

from tests.lab.fixtures import gateway

__all__ = ["gateway"]
