"""Draw the README's pictures: ``python docs/pictures.py`` after ``make demo``. Reads the public store and nothing else.

Also writes the README's figures of the demo between their two markers, so that they are never typed by hand.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.dates import ConciseDateFormatter, HourLocator, date2num
from matplotlib.patches import FancyBboxPatch, Patch

import opscommons as oc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

ROOT: Final = Path(__file__).parent.parent
IMAGES: Final = ROOT / "docs" / "images"
BEGIN: Final = "<!-- demo figures: python docs/pictures.py -->"
END: Final = "<!-- end of demo figures -->"
INK: Final = "#24292f"
FAINT: Final = "#6e7781"
IDLE: Final = "#eef0f3"
KINDS: Final = {
    "pytorch": ("training", "#c2410c"),
    "notebook": ("notebooks", "#1d4ed8"),
    "kserve-container": ("model servers", "#0f766e"),
}
"""Container names of a public vocabulary, which the policy publishes as they are."""
STAGES: Final = (
    ("plan", "which windows\nare due"),
    ("read", "streamed\nremote read"),
    ("grid", "as an instant\nquery sees it"),
    ("anonymize", "token, listed word,\nnumber, or gone"),
    ("write", "sorted Parquet,\nlocal"),
    ("audit", "search the file\nfor raw values"),
    ("commit", "one put-if-\nabsent"),
    ("release", "one file a\nmetric and day"),
    ("audit", "each string fits\nits grammar"),
    ("publish", "manifest last,\nthen catalog"),
)
ZONES: Final = (
    (0, 4, "in memory: raw names are nowhere else", "#fff1e6", "#c2410c"),
    (4, 7, "private staging store: pseudonymised", "#eaf1fe", "#1d4ed8"),
    (7, 10, "public store: open to all", "#e5f5f2", "#0f766e"),
)


def main() -> None:
    """Draw both pictures and fill in the figures."""
    mpl.rcParams.update(
        {
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "text.color": INK,
            "axes.edgecolor": "#d0d7de",
            "axes.labelcolor": INK,
            "xtick.color": FAINT,
            "ytick.color": FAINT,
            "svg.hashsalt": "opscommons",
        }
    )
    IMAGES.mkdir(exist_ok=True)
    draw_way()
    public = ROOT / "public"
    if not (public / "catalog.json").exists():
        sys.exit("found no ./public; run 'make demo' first")
    releases = [oc.open(public, release=version) for version in published_versions(public)]
    draw_gpus(next(release for release in releases[::-1] if "gpu" in release.tables))
    write_figures(releases)


def draw_way() -> None:
    """Draw the way of a value from the source to the public store."""
    figure, axes = plt.subplots(figsize=(12.6, 2.2))
    for first, last, title, fill, colour in ZONES:
        axes.add_patch(
            FancyBboxPatch(
                (first + 0.03, 0.14), last - first - 0.06, 1.18,
                boxstyle="round,pad=0,rounding_size=0.08", facecolor=fill, edgecolor="none",
            )
        )  # fmt: skip
        axes.text((first + last) / 2, 1.17, title, ha="center", va="center", color=colour, fontsize=10)
    for place, (name, what) in enumerate(STAGES):
        colour = next(zone[4] for zone in ZONES if zone[0] <= place < zone[1])
        axes.add_patch(
            FancyBboxPatch(
                (place + 0.09, 0.6), 0.82, 0.36,
                boxstyle="round,pad=0,rounding_size=0.06", facecolor="white", edgecolor=colour, linewidth=1.4,
            )
        )  # fmt: skip
        axes.text(place + 0.5, 0.775, name, ha="center", va="center", fontsize=10.5, fontweight="bold")
        axes.text(place + 0.5, 0.48, what, ha="center", va="top", fontsize=8.2, color=FAINT, linespacing=1.35)
        if place:
            axes.annotate(
                "", (place + 0.09, 0.78), (place - 0.09, 0.78),
                arrowprops={"arrowstyle": "-|>", "color": FAINT, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0},
            )  # fmt: skip
    axes.set_xlim(0, len(STAGES))
    axes.set_ylim(0.12, 1.34)
    axes.axis("off")
    figure.subplots_adjust(0.004, 0.01, 0.996, 0.99)
    figure.savefig(IMAGES / "way.svg", metadata={"Date": None})
    plt.close(figure)


def draw_gpus(release: oc.Release) -> None:
    """Draw how busy each GPU was, and who held it: what one metric of one release shows without a join."""
    use = release.load("DCGM_FI_DEV_GPU_UTIL", columns=["timestamp", "node", "gpu", "container", "value"])
    use = use.assign(kind=use["container"].astype("string"), gpu=use["node"].astype("string") + use["gpu"].astype(str))
    bins = use["timestamp"].dt.floor("10min")
    held = use.groupby(["gpu", bins])["kind"].agg(most_common).unstack()
    busy = use.groupby(["gpu", bins])["value"].mean().unstack()
    order = sorted(held.index, key=lambda gpu: sort_key(list(held.loc[gpu])))
    held, busy = held.loc[order], busy.loc[order]

    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(12, 6.6), sharex=True, gridspec_kw={"height_ratios": [1.75, 1], "hspace": 0.14}
    )
    first, last = (np.datetime64(instant.replace(tzinfo=None)) for instant in (release.start, release.end))
    edges: Any = date2num([first, last])  # type: ignore[no-untyped-call]
    top.imshow(
        colour_cells(held, busy), aspect="auto", interpolation="nearest",
        extent=(edges[0], edges[1], len(order) - 0.5, -0.5),
    )  # fmt: skip
    for line in range(1, len(order)):
        top.axhline(line - 0.5, color="white", linewidth=1.6)
    top.set_yticks([])
    top.set_ylabel(f"{len(order)} GPUs, one row each")
    draw_medians(bottom, use)
    handles = [Patch(color=colour, label=name) for name, colour in KINDS.values()]
    handles.append(Patch(color=IDLE, label="nobody"))
    top.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, frameon=False, fontsize=9.5,
        handlelength=1.1, handleheight=1.0, borderaxespad=0.3,
    )  # fmt: skip
    top.set_title(
        "Who holds the GPUs, and how busy they are (deeper is busier)", loc="left", fontsize=12, fontweight="bold"
    )
    hours = HourLocator(byhour=range(0, 24, 3))  # type: ignore[no-untyped-call]
    bottom.xaxis.set_major_locator(hours)
    bottom.xaxis.set_major_formatter(ConciseDateFormatter(hours))  # type: ignore[no-untyped-call]
    for axes in (top, bottom):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
    figure.text(
        0.055, 0.012, f"DCGM_FI_DEV_GPU_UTIL of the quick start's release, {release.provenance} data, times in UTC",
        fontsize=8.5, color=FAINT,
    )  # fmt: skip
    figure.subplots_adjust(0.055, 0.085, 0.99, 0.94)
    figure.savefig(IMAGES / "gpus.png", dpi=140, metadata={"Software": None})
    plt.close(figure)


def most_common(kinds: "pd.Series[Any]") -> Any:  # noqa: ANN401 - a name or NA
    """Return what stands most often in some rows; missing counts too."""
    return kinds.value_counts(dropna=False).index[0]


def sort_key(row: "list[Any]") -> tuple[int, int]:
    """Put GPUs of one use beside each other, the busiest of them first."""
    counts = [sum(1 for each in row if each is not pd.NA and each == kind) for kind in KINDS]
    return counts.index(max(counts)), -max(counts)


def colour_cells(held: pd.DataFrame, busy: pd.DataFrame) -> "np.ndarray[Any, Any]":
    """Return one colour a cell: the hue says who holds the GPU, the depth how busy it is."""
    cells = np.empty((*held.shape, 3))
    cells[:] = to_rgb(IDLE)
    for kind, (_, colour) in KINDS.items():
        depth = 0.28 + 0.72 * np.nan_to_num(busy.to_numpy()) / 100
        mixed = 1 - depth[..., None] * (1 - np.array(to_rgb(colour)))
        mine = (held == kind).fillna(value=False).to_numpy(dtype=bool)
        cells[mine] = mixed[mine]
    cells[busy.isna().to_numpy()] = 1.0  # no row: a gap is never drawn as idle
    return cells


def draw_medians(axes: "Axes", use: pd.DataFrame) -> None:
    """Draw the median use of the GPUs of each kind, with the middle half as a band."""
    for kind, (name, colour) in KINDS.items():
        own = use[use["kind"] == kind]
        quarters = (
            own.groupby(own["timestamp"].dt.floor("10min"))["value"].quantile(np.array([0.25, 0.5, 0.75])).unstack()
        )
        quarters = quarters.asfreq("10min")  # a stretch without data is a gap in the line
        times = pd.DatetimeIndex(quarters.index).tz_localize(None)
        axes.fill_between(times, quarters[0.25], quarters[0.75], color=colour, alpha=0.16, linewidth=0)
        axes.plot(times, quarters[0.5], color=colour, linewidth=1.8, label=name)
    axes.set_ylim(-3, 103)
    axes.set_yticks([0, 50, 100])
    axes.set_ylabel("GPU utilisation, %")
    axes.grid(axis="y", color="#d0d7de", linewidth=0.7)
    axes.set_title("Median of the GPUs of each kind; the band is the middle half", loc="left", fontsize=10, color=FAINT)


def published_versions(public: Path) -> list[str]:
    """Return the versions that are published, oldest first."""
    return [entry.version for entry in oc.releases(public) if entry.status == "published"]


def write_figures(releases: "Sequence[oc.Release]") -> None:
    """Put the figures of the demo's releases between the README's markers."""
    readme = ROOT / "README.md"
    text = readme.read_text("utf-8")
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    readme.write_text(f"{head}{BEGIN}\n" + "\n".join(figure_lines(releases)) + f"\n{END}{tail}", "utf-8")


def figure_lines(releases: "Sequence[oc.Release]") -> "Iterator[str]":
    """Yield a Markdown table of what the demo published."""
    yield "| | rows | series | tables | data | bytes a sample |"
    yield "|---|--:|--:|--:|--:|--:|"
    for release in releases[-2:]:
        totals = release.manifest.tables
        data = sum(file.bytes for file in release.manifest.files if file.role == "data")
        rows = sum(table.rows for table in totals)
        series = sum(table.series for table in totals)
        yield (
            f"| {release.manifest.title} ({release.provenance}) | {rows:,} | {series:,} | {len(totals)} "
            f"| {data / (1 << 20):.2f} MiB | {data / rows:.2f} |"
        )


if __name__ == "__main__":
    main()
