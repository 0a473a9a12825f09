"""Write the store's front page: a pure function of the catalog, in one file that needs nothing else."""

from functools import cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from jobs.card.formats import format_bytes, format_instant, format_number
from jobs.card.snippets import fill_client_snippet
from schemas.manifest import Catalog

ADDRESS: Final = "https://bucket.example/"
"""Stands for the page's own address, which a function of the catalog cannot know."""
METRIC: Final = "node_load1"


def render_site(catalog: Catalog) -> bytes:
    """Return ``index.html``: all releases, the newest first, and how to load the latest."""
    latest = next((entry for entry in catalog.releases if entry.version == catalog.latest), None)
    page = (
        _environment()
        .get_template("index.html.j2")
        .render(
            releases=catalog.releases[::-1],
            latest=latest,
            address=ADDRESS,
            snippet=fill_client_snippet(store=ADDRESS, metric=METRIC, version=latest.version if latest else None),
        )
    )
    return page.encode()


def _make_breakable(digest: str) -> Markup:
    """Return a digest that may break after every eighth character."""
    groups = [digest[start : start + 8] for start in range(0, len(digest), 8)]
    return Markup("<wbr>").join(groups)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        number=format_number, size=format_bytes, instant=format_instant, breakable=_make_breakable
    )
    return environment
