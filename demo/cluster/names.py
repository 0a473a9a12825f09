"""Made-up names that look like a university's: they must look real, since finding none of them outside is a test.

A test looks for each raw value as a substring, so that short words of [a-z2-7] only would be found by chance
in the base32 of a pseudonym: all names have a hyphen, a dot or a digit out of 0, 1, 8, 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from demo.cluster.noise import seed_random

CLUSTER = "prod-ml-east-1"
DOMAIN = "lab.example-university.test"
REGISTRY = f"registry.{DOMAIN}:5000"
FILER = f"filer-03.{DOMAIN}"
PLATFORM_NAMESPACES = ("kube-system", "openshift-monitoring", "nvidia-gpu-operator", "kubeflow", "kueue-system")
TEAM_COUNT = 34
USER_COUNT = 46
GPU_TEAM_COUNT = 9
STREAM_TEAM, RAY_TEAM = 5, 9  # of all teams: who runs Kafka, and who runs Ray
SERVER_TEAMS = (15, 18, 21)  # who serve models without a GPU

_FIELDS = (
    "astro-imaging", "bio-acoustics", "brain-atlas", "cell-tracking", "cfd-surrogates", "chem-kinetics",
    "climate-downscaling", "crop-yield", "digital-pathology", "drone-nav", "eeg-decoding", "epi-models",
    "fault-seismic", "fluid-solvers", "gait-lab", "genome-search", "glacier-flow", "graph-mining",
    "hadron-tracks", "heritage-scans", "ice-radar", "law-corpora", "lidar-forest", "materials-screen",
    "medieval-hands", "music-sep", "ocean-eddies", "optics-inverse", "particle-sims", "plasma-control",
    "protein-dock", "quantum-noise", "river-gauges", "robot-grasp", "sign-video", "soil-spectra",
    "speech-dialects", "stellar-spectra", "traffic-twin", "tumor-segment", "urban-heat", "wind-farm",
)  # fmt: skip
_SUFFIXES = ("lab", "group", "course-2026", "project", "thesis", "chair")
_FIRST = (
    "adaeze", "bjorn", "camila", "dmitri", "eleni", "farouk", "greta", "hiroshi", "ingrid", "jaromir",
    "kavita", "leandro", "mireille", "nkechi", "oskar", "priya", "quentin", "rosalba", "svenja", "tomasz",
    "ursula", "viktor", "wanjiru", "xiomara", "yannick", "zuleika",
)  # fmt: skip
_LAST = (
    "abernathy", "brandvold", "castellanos", "dragomir", "eskildsen", "fairweather", "grabowski", "hakonarson",
    "iwasaki", "jablonski", "kvistgaard", "lindqvist", "mbeki-ross", "novotna", "okonkwo", "papadakis",
    "quispe", "rasmussen", "szymanski", "thorvald", "underhill", "vasquez", "weatherby", "yilmaz", "zambrano",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Names:
    """Who uses the cluster."""

    teams: tuple[str, ...]
    gpu_teams: tuple[str, ...]
    hub: str
    serving: tuple[str, str]
    users: tuple[str, ...]
    models: tuple[str, str]
    queues: tuple[str, str]
    topics: tuple[str, ...]

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All namespaces, the platform's own first."""
        return (*PLATFORM_NAMESPACES, self.hub, *self.serving, *self.teams)

    @property
    def private_namespaces(self) -> tuple[str, ...]:
        """The namespaces whose names nobody outside knows."""
        return (self.hub, *self.serving, *self.teams)


@cache
def build_names(seed: int) -> Names:
    """Return the names that belong to ``seed``."""
    source = seed_random(seed, "names")
    teams = tuple(f"{field}-{source.choice(_SUFFIXES)}" for field in source.sample(_FIELDS, TEAM_COUNT))
    people = [f"{first}-{last}" for first in _FIRST for last in _LAST]
    return Names(
        teams=teams,
        gpu_teams=teams[:GPU_TEAM_COUNT],
        hub=f"hub-{source.choice(('north', 'south', 'river', 'hill'))}-campus-{source.randint(10, 99)}",
        serving=(f"tutor-serving-{source.randint(10, 99)}", f"search-serving-{source.randint(10, 99)}"),
        users=tuple(source.sample(people, USER_COUNT)),
        models=(
            f"example-university/campus-tutor-{source.randint(10, 80)}b-chat",
            f"example-university/library-search-{source.randint(10, 80)}b-embed",
        ),
        queues=(f"campus-common-{source.randint(10, 99)}", f"campus-scarce-{source.randint(10, 99)}"),
        topics=tuple(f"{teams[number]}.events-{source.randint(10, 99)}" for number in (5, 8, 11)),
    )
