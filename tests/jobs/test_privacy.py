"""privacy.json and the card's privacy section say what was done and measured, and claim nothing that is not so."""

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.card.attacked import read_attacks, say_attacks, say_links
from jobs.card.card import render_card
from jobs.card.privacy import list_residuals, render_privacy
from schemas.attacks import AttackReport
from schemas.digest import readable_json
from schemas.errors import UsageError
from schemas.privacy import PrivacyStatement
from tests.jobs.builders import a_release_facts

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "demo/attacks.json"


def a_report() -> AttackReport:
    """The report that the demo ships."""
    return AttackReport.model_validate_json(DEMO.read_bytes())


def test_readers_have_a_contract() -> None:
    """What is written is what the model reads, whole."""
    statement = render_privacy(a_release_facts(attacks=a_report()))

    assert PrivacyStatement.model_validate_json(readable_json(statement)) == statement
    assert statement.tokens.bits == 80
    assert statement.tables["node"].columns["node"] == "pseudonym:host"
    assert statement.tables["node"].values["node_boot_time_seconds"] == "age"
    assert statement.dropped.labels == 2
    assert statement.removal == "data@lab.example"
    assert "customer_label" not in statement.model_dump_json()


def test_card_and_file_say_the_same() -> None:
    facts = a_release_facts(attacks=a_report())

    card = " ".join(render_card(facts).split())

    for residual in render_privacy(facts).not_defended:
        assert f"**{residual.title}** {residual.text}" in card
    for title, said in say_attacks(a_report()):
        assert f"**{title}** {said}" in card


def test_what_was_not_measured_is_not_claimed() -> None:
    """Without a report the card says so, and quotes research as what it is."""
    card = " ".join(render_card(a_release_facts()).split())

    assert render_privacy(a_release_facts()).attacks is None
    assert "how well these data withstand them is not measured" in card
    assert "92 % of 200" in card


def test_measured_figures_stand_in_the_place_of_research() -> None:
    card = " ".join(render_card(a_release_facts(attacks=a_report())).split())

    assert "92 % of 200" not in card
    assert say_links(a_report()) in card
    assert "releases of a simulated cluster" in card
    assert "not on this release, and under another policy than its" in card


def test_suppression_is_claimed_where_it_was_done() -> None:
    hides = next(iter(list_residuals(a_release_facts(suppressed=(("gpu", "gpu_family"),)))))
    nothing = next(iter(list_residuals(a_release_facts(suppressed=()))))

    assert "hides words in `gpu.gpu_family`" in hides.text
    assert "Here it hides nothing." in nothing.text


def test_a_destroyed_key_is_said_to_be_gone() -> None:
    codes = {each.title for each in list_residuals(a_release_facts(key_destroyed=True))}

    assert "Copies of the key." in codes
    assert render_privacy(replace(a_release_facts(), key_destroyed=True)).tokens.key_destroyed


@pytest.mark.parametrize("content", [None, b"{}", b"no json", b'{"format_version": "1.0", "commit": "team-secret"}'])
def test_a_report_that_is_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Fail closed, and without a word of what the file holds: it is printed on a public card."""
    path = tmp_path / "attacks.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UsageError, match=r"privacy\.attacks: .*make attack") as refused:
        read_attacks(path)

    assert "team-secret" not in str(refused.value)


def test_no_report_is_no_error() -> None:
    assert read_attacks(None) is None


def test_the_demo_ships_what_attacks_gave() -> None:
    """Each claim of the shipped figures that has a right answer has it, and each attack has proven itself."""
    report = a_report()

    assert not report.commit.endswith("-dirty")
    assert report.on.provenance == "simulated"
    assert report.dictionary.release.hits == 0
    broken = report.dictionary.control  # counted in digests: without domains, two kinds of one name share theirs
    assert broken.hits >= 0.99 * broken.tokens > 500
    assert report.known_pair.release.named == 0 < report.known_pair.control.named
    assert report.scrape_phase.release.told == 0
    assert report.scrape_phase.control.told >= 0.9 * report.scrape_phase.control.targets
    assert report.row_order.release.correlation < report.row_order.release.chance
    assert report.row_order.control.correlation > 0.99
    assert report.sizes.release.correlation < report.sizes.release.chance < report.sizes.control.correlation
    assert report.capacities.release.unique < report.capacities.control.unique
    assert {each.by for each in report.relinking.control.results if each.top1 > 0.95} == {"shape", "overlap"}
    assert {each.by for each in report.relinking.release.results} == {"shape", "continuing"}
