"""What every label that exporters give is, for privacy: a class, by exporter, with the reason. See the file itself."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.errors import UsageError
from schemas.registry import read_model
from schemas.table import LabelColumn, Metric, Sentence, TableSchema

LABEL_CLASSES: Final = Path(__file__).parent / "label_classes.yaml"
SCRAPE: Final = "scrape"
RUNTIME: Final = "runtime"

ClassName = Literal["public", "number", "tenant", "topology", "fingerprint", "unique", "person", "free"]
Way = Literal["pseudonym", "vocabulary", "number"]
CataloguedLabel = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*\*?$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelClass(_Strict):
    """One class, and as what its labels may leave; empty when they may not."""

    means: Sentence
    leaves_as: tuple[Way, ...]


class LabelGroup(_Strict):
    """Labels of one exporter that are of one class for one reason."""

    class_: ClassName = Field(alias="class")
    why: Sentence
    labels: tuple[CataloguedLabel, ...] = Field(min_length=1)


class Exporter(_Strict):
    """The labels of one exporter, or of several that go together."""

    about: Sentence
    names: tuple[str, ...]
    """How the exporter of a metric begins in a table schema."""
    labels: tuple[LabelGroup, ...]

    def find(self, label: str) -> LabelGroup | None:
        """Return the group of a label, by its name or by the beginning that it has."""
        for group in self.labels:
            if label in group.labels:
                return group
        for group in self.labels:
            if any(each.endswith("*") and label.startswith(each[:-1]) for each in group.labels):
                return group
        return None


class LabelCatalogue(_Strict):
    """Every label that is known, with its class."""

    classes: dict[ClassName, LabelClass]
    exporters: dict[str, Exporter]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, exporter in self.exporters.items():
            labels = [label for group in exporter.labels for label in group.labels]
            if twice := sorted({label for label in labels if labels.count(label) > 1}):
                raise ValueError(f"exporter {name} classes {', '.join(twice)} twice")
            if unknown := {group.class_ for group in exporter.labels} - self.classes.keys():
                raise ValueError(f"exporter {name} uses the classes {sorted(unknown)}, which do not exist")
        return self

    def find_exporter(self, metric: Metric) -> str | None:
        """Return which exporter a metric of a schema is from; the longest name that fits decides."""
        said = metric.exporter
        fits = [(len(n), key) for key, each in self.exporters.items() for n in each.names if said.startswith(n)]
        return max(fits)[1] if fits else None

    def find(self, exporter: str, label: str) -> LabelGroup | None:
        """Return the class of a label of an exporter, or of every target; ``None`` when nobody gave it one."""
        return self.exporters[exporter].find(label) or self.exporters[SCRAPE].find(label)


class OwnLabelClasses(_Strict):
    """What an operator adds: exporters of their own, under the classes that there are."""

    exporters: dict[str, Exporter]


@cache
def read_label_classes() -> LabelCatalogue:
    """Return the shipped catalogue."""
    return read_model(LABEL_CLASSES, LabelCatalogue)


def add_label_classes(shipped: LabelCatalogue, path: Path) -> LabelCatalogue:
    """Return the catalogue with an operator's exporters; raise ``UsageError`` for one that is known already."""
    own = read_model(path, OwnLabelClasses)
    known = {name for each in shipped.exporters.values() for name in each.names}
    shadowed = sorted(own.exporters.keys() & shipped.exporters.keys())
    shadowed += sorted(
        name for each in own.exporters.values() for name in each.names if any(map(name.startswith, known))
    )
    if shadowed:
        raise UsageError(f"{path.name} names {', '.join(shadowed)}, which the shipped catalogue has; wanted others")
    return LabelCatalogue(classes=shipped.classes, exporters={**shipped.exporters, **own.exporters})


def way_of(column: LabelColumn) -> Way:
    """Return as what a column leaves."""
    return "pseudonym" if column.identity else "vocabulary" if column.vocabulary else "number"


def check_labels(table: TableSchema, catalogue: LabelCatalogue) -> Iterator[tuple[str, str]]:
    """Yield place and problem of every label that a table publishes without a class, or against its class."""
    columns = {column.name: column for column in table.labels}
    seen = set()
    for metric in table.metrics:
        exporter = catalogue.find_exporter(metric)
        if exporter is None:
            yield f"tables.{table.table}.{metric.name}", f"the catalogue of labels has no exporter {metric.exporter!r}"
            continue
        for column in map(columns.__getitem__, metric.labels):
            if (exporter, column.name) in seen:
                continue
            seen.add((exporter, column.name))
            place = f"tables.{table.table}.{column.name}"
            group = catalogue.find(exporter, column.source_label)
            if group is None:
                yield place, f"label {column.source_label} of {exporter} has no class; add it to {LABEL_CLASSES.name}"
            elif way_of(column) not in catalogue.classes[group.class_].leaves_as:
                yield (
                    place,
                    f"label {column.source_label} of {exporter} is {group.class_} ({group.why.rstrip('.')}) and would "
                    f"leave as a {way_of(column)}; {_tell_ways(catalogue.classes[group.class_])}",
                )


def _tell_ways(wanted: LabelClass) -> str:
    return f"it may leave as {' or '.join(wanted.leaves_as)} only" if wanted.leaves_as else "it may not leave at all"
