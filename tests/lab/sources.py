"""What the lab's Prometheus scrapes, and how it is told so. Pure: starts nothing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["real", "page"]


@dataclass(frozen=True, slots=True)
class Target:
    """One address that Prometheus scrapes. ``labels`` are what service discovery would add in a cluster."""

    job: str
    port: int
    path: str = "/metrics"
    labels: Mapping[str, str] = field(default_factory=dict)
    honor_labels: bool = False

    @property
    def instance(self) -> str:
        """The label by which series of this target are known."""
        return self.labels.get("instance", f"127.0.0.1:{self.port}")


@dataclass(frozen=True, slots=True)
class Source:
    """A server that runs, or a page that one served once."""

    name: str
    kind: Kind
    version: str
    targets: tuple[Target, ...]
    feeds: frozenset[str] = frozenset()
    """Tables that it is known to feed: if one stays empty, a name has changed or the server does not work."""
    exporters: tuple[str, ...] = ()
    """What the tables call it, without the version: each metric that they say is its own must be there."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Metrics of those exporters that cannot be there, each with the reason."""


def render_config(targets: Iterable[Target], *, interval: str, rules: str = "", alertmanager: int | None = None) -> str:
    """Return Prometheus's configuration, as JSON, which is YAML. Pages stand still, so times are those of scrapes."""
    jobs = [
        {
            "job_name": f"{number:02}-{target.job}",  # must be unique, whereas two targets may be of one job
            "honor_timestamps": False,
            "honor_labels": target.honor_labels,
            "metrics_path": target.path,
            "static_configs": [
                {
                    "targets": [f"127.0.0.1:{target.port}"],
                    "labels": {"job": target.job, "instance": target.instance, **target.labels},
                }
            ],
        }
        for number, target in enumerate(targets)
    ]
    config: dict[str, object] = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "scrape_configs": jobs,
    }
    if rules:
        config["rule_files"] = [rules]
    if alertmanager is not None:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]}
    return json.dumps(config, indent=1)


def render_rules() -> str:
    """Return a rule that always fires and one that stays pending, so that both states occur."""
    always = {"alert": "Watchdog", "expr": "vector(1)", "labels": {"severity": "none"}}
    waiting = {"alert": "LabIsBusy", "expr": "vector(1)", "for": "1d", "labels": {"severity": "warning"}}
    return json.dumps({"groups": [{"name": "lab", "rules": [always, waiting]}]})


def all_targets(sources: Sequence[Source]) -> list[Target]:
    """Return the targets of all sources."""
    return [target for source in sources for target in source.targets]
