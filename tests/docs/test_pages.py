"""Links lead somewhere, named files exist, and no page promises more than is so."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGE_NAMES, PAGES, ROOT, inline_code

each_page = pytest.mark.parametrize("page", PAGES, ids=PAGE_NAMES)
FOLDERS = (
    "attacks",
    "schemas",
    "collector",
    "anonymize",
    "jobs",
    "datasets",
    "demo",
    "deploy",
    "docs",
    "tests",
    "requirements",
)
STRONGER = re.compile(r"(?P<before>\w+\W+)?\b(?<!k-)anonym(?:ous|ously|ised|ized|ity|isation|ization)\b", re.IGNORECASE)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_inside_the_project_resolve(page: Path) -> None:
    broken = []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text("utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(f"{target}#{anchor}")

    assert not broken


@each_page
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = [code for code in inline_code(page) if code.partition("/")[0] in FOLDERS and "/" in code]
    plain = [code for code in named if re.fullmatch(r"[\w./-]+", code)]

    assert not [name for name in plain if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "datasets/README.md"], ids=[*PAGE_NAMES, "datasets/README.md"])
def test_no_page_calls_the_data_anonymous(page: Path) -> None:
    """Pseudonyms can be undone by who knows enough; whoever reads the stronger word would publish more."""
    text = " ".join(page.read_text("utf-8").split())
    claims = [
        found[0] for found in STRONGER.finditer(text) if (found["before"] or "").strip().lower() not in ("not", "never")
    ]

    assert not claims


def test_the_stronger_word_would_be_noticed() -> None:
    assert STRONGER.search("fully anonymised data")
    assert not STRONGER.search("the stage anonymize, in anonymize/keys.py")


def test_every_decision_is_in_the_list() -> None:
    listed = (ROOT / "docs/adr/README.md").read_text("utf-8")
    records = sorted((ROOT / "docs/adr").glob("0*.md"))

    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text("utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. ")
        assert [f"**{part}.**" in text for part in ("Context", "Decision", "Consequence")] == [True] * 3
        assert path.name in listed


def test_the_licence_is_the_whole_text() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")

    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert text.count("\n") == 202
