"""What the code knows better is generated, and the pages are as they would be generated now."""

from pathlib import Path

import pytest

from docs.generate import DOCS, MEANINGS, error_classes, fill, render_all, setting_keys
from schemas import errors
from schemas.registry import latest_tables

PAGES = render_all()


@pytest.mark.parametrize("path", PAGES, ids=[path.relative_to(DOCS.parent).as_posix() for path in PAGES])
def test_generated_pages_are_current(path: Path) -> None:
    assert path.read_text("utf-8") == PAGES[path], "run: PYTHONPATH=. .venv/bin/python docs/generate.py"


def test_every_configuration_key_has_a_meaning_and_no_other() -> None:
    assert set(MEANINGS) == {key for key, _ in setting_keys()}


def test_the_reference_has_one_row_for_each_key() -> None:
    rows = [
        line.split("`")[1]
        for line in (DOCS / "configuration.md").read_text("utf-8").splitlines()
        if "| `OPSPUB_" in line
    ]

    assert rows == [key for key, _ in setting_keys()]


def test_the_exit_codes_are_those_of_the_classes() -> None:
    page = (DOCS / "errors.md").read_text("utf-8")
    drawing = errors.__doc__ or ""

    for error in error_classes():
        assert f"| {error.exit_code} | `{error.__name__}` |" in page
        assert error.__name__ in drawing
    codes = [error.exit_code for error in error_classes()]
    assert codes == list(range(2, 2 + len(codes)))


def test_there_is_no_page_of_a_table_that_is_gone() -> None:
    assert {path.stem for path in (DOCS / "tables").iterdir()} == {*latest_tables(), "README"}


def test_filling_a_page_keeps_what_stands_around() -> None:
    page = "head\n<!-- generated: python docs/generate.py -->\nold\n<!-- end of what is generated -->\ntail\n"

    assert fill(page, iter(["new"])) == page.replace("old", "new")
