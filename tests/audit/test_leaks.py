"""The audit finds every leak that was planted on purpose, each by the check that is meant for it, and nothing else."""

from pathlib import Path

import pytest

from tests.audit.leaks import LEAKS, Leak
from tests.audit.release import SECRET, Broken, Good, build_good

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return build_good(tmp_path_factory.mktemp("good"))


def test_there_are_enough_leaks_and_no_two_are_one() -> None:
    assert len({leak.name for leak in LEAKS}) == len(LEAKS) >= 40


@pytest.mark.parametrize("page", ["README.md", "docs/privacy.md"])
def test_the_recall_that_the_documentation_gives_is_the_one_that_is_tested(page: str) -> None:
    """All of them are found, or this suite is red: what is left to compare is how many there are."""
    assert f"{len(LEAKS)} of {len(LEAKS)} seeded leaks" in (ROOT / page).read_text("utf-8")


def test_the_unbroken_release_has_no_findings(good: Good) -> None:
    """An audit that cries wolf is switched off."""
    assert good.audit(good.folder).findings == ()


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_a_seeded_leak_is_found(leak: Leak, good: Good, tmp_path: Path) -> None:
    """By the very findings that it is worth: one that is found by luck would not be found when it counts."""
    broken = Broken.of(good, tmp_path / "release")
    leak.make(broken)
    if leak.fits:
        broken.seal()

    assert good.codes(broken.folder) == leak.codes


def test_harmless_changes_are_no_findings(good: Good, tmp_path: Path) -> None:
    """Another row group, another compression, words of people who say who they are: all of it may happen."""
    broken = Broken.of(good, tmp_path / "release")
    broken.write(broken.read(), row_group_size=700, compression="snappy")
    broken.write(broken.read("series"), "series", use_dictionary=False)
    broken.manifest["release"] |= {"maintainer": f"The people of {SECRET}", "contact": "data@quokka.example"}
    broken.text("README.md", lambda text: f"{text}\nThe people of {SECRET}; data@quokka.example; naïve, 5 µs.\n")
    broken.seal()

    assert good.codes(broken.folder) == set()
