"""Fixtures of the lab's own tests."""

from tests.lab.fixtures import gateway

__all__ = ["gateway"]

collect_ignore = ["programs"]  # they run inside the servers' own environments
