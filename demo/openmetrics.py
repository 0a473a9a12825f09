"""Write series as OpenMetrics text, the form in which promtool takes samples of the past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TextIO

from demo.cluster.span import STEP, Series, Span, slice_between

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def write_openmetrics(file: TextIO, series: Iterable[Series], span: Span) -> int:
    """Write the samples within ``span`` of ``series``, which come ordered by metric; return their number."""
    stamps = [f" {time}\n" for time in range(span.start, span.end, STEP)]
    written = 0
    for metric, family in groupby(series, key=lambda one: one.metric):
        started = False
        for one in family:
            part = slice_between(one.times, span.start, span.end)
            if part.start == part.stop:
                continue
            if not started:
                file.write(render_type(metric))
                started = True
            file.write(_render_samples(one, part, span, stamps))
            written += part.stop - part.start
    file.write("# EOF\n")
    return written


def render_type(metric: str) -> str:
    """Return the TYPE line; OpenMetrics names a counter without its suffix, all else may stay unknown."""
    if metric.endswith("_total"):
        return f"# TYPE {metric.removesuffix('_total')} counter\n"
    return f"# TYPE {metric} unknown\n"


def render_labels(metric: str, labels: Mapping[str, str]) -> str:
    """Return the series' name with its labels; an empty label is no label."""
    pairs = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in sorted(labels.items()) if value)
    return f"{metric}{{{pairs}}} "


def _render_samples(one: Series, part: slice, span: Span, stamps: list[str]) -> str:
    head = render_labels(one.metric, one.labels)
    places = ((one.times[part] - span.start) // STEP).tolist()
    values = one.values[part]
    if (values == values[0]).all():
        line = head + repr(float(values[0]))
        return "".join([line + stamps[place] for place in places])
    return "".join([f"{head}{value!r}{stamps[place]}" for value, place in zip(values.tolist(), places, strict=True)])
