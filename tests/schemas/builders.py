"""The smallest valid schema and policy, as the text of a file, to be broken in one place each."""

from typing import Any

from schemas.policy import Policy
from schemas.table import TableSchema


def a_table(**changes: object) -> TableSchema:
    """Return a small valid table with some fields changed."""
    return TableSchema.model_validate(a_table_file(**changes))


def a_table_file(**changes: object) -> dict[str, Any]:
    """Return what the file of a small valid table holds, with some fields changed."""
    return {
        "table": "oven",
        "version": "1.0",
        "family": "ops",
        "description": "Heat of the ovens.",
        "labels": [
            a_column("room", identity="room"),
            a_column("oven", identity="oven"),
            a_column("mode", vocabulary="modes"),
        ],
        "sort_key": ["room", "oven"],
        "metrics": [a_metric("oven_heat_celsius", labels=["room", "oven"]), a_metric("oven_mode", labels=["mode"])],
    } | changes


def a_column(name: str, **fields: object) -> dict[str, Any]:
    """Return one label column as it stands in a file."""
    return {"name": name, "meaning": "Says something."} | fields


def a_metric(name: str, **fields: object) -> dict[str, Any]:
    """Return one metric as it stands in a file."""
    return {
        "name": name,
        "type": "gauge",
        "unit": "celsius",
        "exporter": "oven 1.0",
        "meaning": "How hot it is.",
    } | fields


def a_policy(**changes: object) -> Policy:
    """Return the policy that covers ``a_table``, with some fields changed."""
    return Policy.model_validate(a_policy_file(**changes))


def a_policy_file(**changes: object) -> dict[str, Any]:
    """Return what the file of a small valid policy holds, with some fields changed."""
    return {
        "policy": "small",
        "version": 1,
        "domains": {
            "room": {"prefix": "room", "meaning": "A room by its name."},
            "oven": {"prefix": "oven", "scope": ["room"], "meaning": "An oven of a room."},
        },
        "vocabularies": {"modes": {"source": "the manual", "members": ["bake", "grill"]}},
        "tables": {
            "oven": {
                "owner": "maintainers",
                "why": "Bakers want to know.",
                "reviewed": "2026-11-23",
                "metrics": ["oven_heat_celsius", "oven_mode"],
            }
        },
    } | changes
