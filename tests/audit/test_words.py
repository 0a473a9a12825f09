"""Words and tokens by themselves: what counts as one, in which forms it is seen, and what the files must be like."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from anonymize.audit.tokens import TokenSet
from anonymize.audit.treated import count_untreated
from anonymize.audit.words import WordSearch
from jobs.release.audited import AuditReport, read_fresh_report, report_path, run_audit, write_report
from jobs.release.inputs import gather_tokens
from jobs.release.words import read_word_list
from schemas.errors import PrivacyError
from tests.audit.release import SECRET, TOKEN, Good, build_good
from tests.jobs.audited import NOW

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return build_good(tmp_path_factory.mktemp("good"))


def test_a_token_that_differs_in_any_one_character_is_a_stranger() -> None:
    """Tokens are kept in 64 of their 80 bits; nothing that a defect could make of one may pass for it."""
    tokens = TokenSet()
    tokens.add([f"ns_{TOKEN}", "not a token", "ns_short"])

    others = [
        f"ns_{TOKEN[:at]}{sign}{TOKEN[at + 1 :]}"
        for at, sign in itertools.product(range(16), ALPHABET)
        if sign != TOKEN[at]
    ]

    assert len(tokens) == 1
    assert tokens.count_strangers([f"ns_{TOKEN}", "no token at all"]) == 0
    assert tokens.count_strangers(others) == len(others) == 16 * 31
    assert tokens.count_strangers([f"pod_{TOKEN}"]) == 1


def test_words_of_the_program_itself_are_counted_and_not_searched_for() -> None:
    search = WordSearch({"metrics", "quokka"}, {"container", "12345.5", "abcd"}, public_text="Container Metrics")

    assert (set(search.words), search.public_words, len(search.values)) == ({"quokka"}, 1, 0)


@pytest.mark.parametrize(
    ("mode", "text", "told"),
    [
        (0o644, SECRET, "has mode 0644"),
        (0o600, "# nothing\n\n", "has no words"),
        (0o600, "ab\n", "1 words of fewer than 3"),
    ],
)
def test_a_word_list_that_is_open_or_empty_is_refused(mode: int, text: str, told: str, tmp_path: Path) -> None:
    """It says what must stay private; one that is empty by mistake would prove nothing."""
    path = tmp_path / "words"
    path.write_text(text)
    path.chmod(mode)

    with pytest.raises(PrivacyError, match=told) as refused:
        read_word_list(path)

    assert SECRET not in str(refused.value)


def test_values_that_no_treatment_leaves_are_counted() -> None:
    blank = float(2**47)

    assert count_untreated("bucket", np.array([0.0, 96.0, 128.0, 100.0, np.nan])) == 1
    assert count_untreated("age", np.array([0.0, 60.0, 61.0, -60.0])) == 2
    assert count_untreated("blank_to_null", np.array([1.0, blank])) == 1
    assert count_untreated("exact", np.array([blank, 61.0])) == 0


def test_a_release_of_values_without_their_treatment_is_found(tmp_path: Path) -> None:
    """As if the treatment were switched off: whole machines and start times to the second would be public."""
    metrics = ("container_spec_memory_limit_bytes", "container_start_time_seconds")
    good = build_good(tmp_path, metrics)

    assert good.codes(good.folder) == {"value-not-treated"}


def test_a_release_far_from_its_staging_store_is_not_published(good: Good, tmp_path: Path) -> None:
    """Anybody may audit what was downloaded; only where the inputs are at hand is every token proven."""
    far = good.settings.model_copy(update={"staging": f"file:{tmp_path}/nowhere"})
    near = run_audit(good.settings, good.folder, now=NOW)
    report = run_audit(far, good.folder, now=NOW)
    write_report(good.folder, report)

    assert (near.inputs, near.findings, near.input_tokens > 60) == ("checked", (), True)
    assert (report.inputs, report.label_values, report.findings) == ("not at hand", "not at hand", ())
    with pytest.raises(PrivacyError, match="did not have the staged files"):
        read_fresh_report(good.folder, manifest_sha256=report.manifest_sha256, now=NOW)
    old = AuditReport.model_validate_json(
        report_path(good.folder).read_bytes().replace(b'"inputs": "not at hand",', b"")
    )
    assert old.inputs == "not at hand"


def test_inputs_that_were_changed_or_not_clean_prove_nothing(good: Good) -> None:
    (record, *_) = good.commits
    file = record.files[0]
    hit = file.model_copy(update={"raw_scan": file.raw_scan.model_copy(update={"hits": 1})})
    other = file.model_copy(update={"sha256": "0" * 64})

    for bad, told in ((hit, "records raw values"), (other, "is not what its commit names")):
        with pytest.raises(PrivacyError, match=told):
            gather_tokens(good.settings, [record.model_copy(update={"files": (bad,)})])
