"""The lint tells everything at once, by place: a policy is reviewed by people, who overlook what a machine can see."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.label_classes import LabelCatalogue, read_label_classes
from schemas.policy import Policy
from schemas.policy_lint import LintFinding, check_policy, find_shapes, lint_policy
from schemas.registry import POLICIES, latest_tables, shipped_tables
from tests.schemas.builders import a_metric, a_policy_file, a_table

TODAY = date(2026, 11, 24)
CATALOGUE = LabelCatalogue.model_validate(
    {
        "classes": {
            "tenant": {"means": "Names that people give.", "leaves_as": ["pseudonym"]},
            "public": {"means": "Words that all share.", "leaves_as": ["vocabulary"]},
        },
        "exporters": {
            "scrape": {"about": "Any target.", "names": [], "labels": []},
            "oven": {
                "about": "Ovens of all makes.",
                "names": ["oven"],
                "labels": [
                    {"class": "tenant", "why": "People name rooms.", "labels": ["room", "oven"]},
                    {"class": "public", "why": "Printed on the front.", "labels": ["mode"]},
                ],
            },
        },
    }
)
WHY = "Bakers compare them."


def a_reviewed_file(**changes: object) -> dict[str, Any]:
    """Return the file of a policy in which the lint finds nothing, with some fields changed."""
    file = a_policy_file(owner="me", reviewed=date(2026, 11, 1))
    file["domains"] = {name: domain | {"why": WHY} for name, domain in file["domains"].items()}
    return file | changes


def lint(tmp_path: Path, file: dict[str, Any], **options: Any) -> list[str]:  # noqa: ANN401 - what lint_policy takes
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(file, sort_keys=False))
    options = {"today": TODAY, **options}
    return [str(each) for each in lint_policy(path, options.pop("tables", [a_table()]), CATALOGUE, **options)]


def test_nothing_is_found_in_a_sound_policy(tmp_path: Path) -> None:
    assert lint(tmp_path, a_reviewed_file(), wanted=["oven"]) == []


def test_the_shipped_policy_is_sound() -> None:
    """Of every table that we ship, under the catalogue that we ship; overdue reviews are told, and fail nothing."""
    found = lint_policy("default", shipped_tables(), read_label_classes(), today=TODAY, wanted=latest_tables())

    assert found == []
    assert POLICIES.joinpath("default.yaml").is_file()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"owner": None}, "error: domains.room: nobody answers for it; name an owner here or at the head of the"),
        ({"reviewed": None}, "error: vocabularies.modes: nobody says when it was reviewed; say so here or at the head"),
        ({"reviewed": date(2026, 12, 1)}, "error: domains.room: found the review date 2026-12-01, which is still to"),
        ({"reviewed": date(2025, 11, 1)}, "warning: domains.oven: was reviewed 2025-11-01, over 365 days ago; look"),
        ({"review_days": 3}, "warning: tables.oven: was reviewed 2026-11-20, over 3 days ago; look again"),
    ],
)
def test_reviews_that_are_missing_or_overdue_are_told(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    file = a_reviewed_file(**changes)
    file["tables"]["oven"]["reviewed"] = date(2026, 11, 20)

    assert [line for line in lint(tmp_path, file) if line.startswith(told)]


def test_a_rule_may_answer_for_itself(tmp_path: Path) -> None:
    file = a_reviewed_file(owner=None, reviewed=None)
    own = {"owner": "baker", "reviewed": date(2026, 11, 2)}
    file["domains"] = {name: domain | own for name, domain in file["domains"].items()}
    file["vocabularies"] = {name: each | own for name, each in file["vocabularies"].items()}

    assert lint(tmp_path, file) == []


def test_a_domain_without_a_reason_is_told(tmp_path: Path) -> None:
    file = a_reviewed_file()
    del file["domains"]["room"]["why"]

    assert lint(tmp_path, file) == [
        "error: domains.room: gives no reason why its pseudonyms may leave; add why",
    ]


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("10.0.0.7", "address"),
        ("10.0.0.7:9100", "address"),
        ("node 10.0.0.7", "address"),
        ("fd00::7", "address"),
        ("[fe80::1]:9100", "address"),
        ("2001:db8:0:0:0:0:0:7", "address"),
        ("gpu-7.lab.example", "host name"),
        ("gpu-7.lab.example.com:9100", "host name"),
        ("Grafana.ACME.de.", "host name"),
        ("apps.openshift.io", "host name"),
        ("alice@lab.example", "e-mail address"),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", "uuid"),
        ("GPU-0F8FAD5B-D9CB-469F-A165-70867728950E", "uuid"),
        ("aa:bb:cc:dd:ee:ff", "mac address"),
        ("9d41f7082ce6", "long hex"),
        ("sha-9D41F7082CE6B35A", "long hex"),
        ("https://wiki/runbook", "address of a page"),
        ("ns_k4juij7gp4ndpjqo", "token"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x", "secret"),
        ("sha256~0123456789abcdefghij0123456789abcdefghij012", "secret"),
        ("AKIAIOSFODNN7EXAMPLE", "secret"),
    ],
)
def test_words_that_look_like_somebody_are_told(tmp_path: Path, word: str, shape: str) -> None:
    """A vocabulary is published in clear: one slip in it is a leak that every audit allows."""
    file = a_reviewed_file(vocabularies={"modes": {"source": "the manual", "members": ["bake", word]}})

    (line,) = lint(tmp_path, file)

    assert line.startswith(f"error: vocabularies.modes: member {word!r} looks like ")
    assert shape in find_shapes(word)
    assert line.endswith("; wanted words that identify nobody")


def test_what_a_word_is_published_as_is_looked_at_too(tmp_path: Path) -> None:
    file = a_reviewed_file(vocabularies={"modes": {"source": "the manual", "members": {"bake": "alice@lab.example"}}})

    assert "member 'alice@lab.example' looks like e-mail address" in lint(tmp_path, file)[0]


@pytest.mark.parametrize(
    "word",
    [
        "kube-system", "openshift-kube-storage-version-migrator-operator", "/var/lib/containers/storage/overlay",
        "fuse.glusterfs", "NVIDIA RTX PRO 6000 Blackwell Server Edition", "1g.10gb", "hugepages_2Mi", "24h",
        "jupyterhub.apihandlers.shares.ServerShareCodeAPIHandler", "ERR_TOO_MANY_REDIRECTS", "deadbeef", "decade",
        "nvidia_com_gpu_shared", "std::vector", "12:30", "3.5", "v1.35.0", "facade", "accessed_defaced", "0.99", "::",
        "apiserver_current_inflight_requests",
    ],
)  # fmt: skip
def test_words_of_programs_are_words(word: str) -> None:
    assert find_shapes(word) == set()


def test_a_shape_may_be_allowed_by_name(tmp_path: Path) -> None:
    """Groups of the Kubernetes API are names in the DNS, and the same for everybody."""
    modes = {"source": "the API", "members": ["batch.x-k8s.io"], "allow_shapes": ["host name"]}

    assert lint(tmp_path, a_reviewed_file(vocabularies={"modes": modes})) == []
    modes["members"] = ["bake"]
    assert lint(tmp_path, a_reviewed_file(vocabularies={"modes": modes})) == [
        "warning: vocabularies.modes: allows members that look like host name, and has none"
    ]
    modes["allow_shapes"] = ["e-mail address"]
    assert (
        "Input should be 'host name' or 'long hex'" in lint(tmp_path, a_reviewed_file(vocabularies={"modes": modes}))[0]
    )


@pytest.mark.parametrize("word", ["a" * 101, " bake", "bake\n", "ba\u200bke"])
def test_words_that_hide_something_are_told(tmp_path: Path, word: str) -> None:
    file = a_reviewed_file(vocabularies={"modes": {"source": "the manual", "members": [word]}})

    assert "is no word: too long, or with characters that do not show" in lint(tmp_path, file)[0]


def test_rules_about_nothing_are_told(tmp_path: Path) -> None:
    """A rule for a metric that does not exist is a permission in waiting."""
    file = a_reviewed_file()
    file["tables"]["oven"]["metrics"].append("oven_smoke")
    file["tables"]["stove"] = file["tables"]["oven"]
    file["domains"]["shelf"] = {"prefix": "shelf", "meaning": "A shelf by its number.", "why": WHY}
    file["vocabularies"]["brands"] = {"source": "the shop", "members": ["A"]}

    assert lint(tmp_path, file) == [
        "warning: domains.shelf: no column of a table is of it",
        "warning: vocabularies.brands: no column of a table and no domain uses it",
        "error: tables.oven: no version of the table has the metric oven_smoke",
        "error: tables.stove: there is no table stove; there are oven",
    ]


def test_a_metric_of_an_older_version_is_no_error(tmp_path: Path) -> None:
    """Windows of before an upgrade are still collected under the version of their time."""
    newer = a_table(
        version="2.0", metrics=[a_metric("oven_heat_celsius", labels=["room", "oven", "mode"])], sort_key=["room"]
    )

    assert lint(tmp_path, a_reviewed_file(), tables=[a_table(), newer]) == []


def test_tables_that_are_not_covered_are_told(tmp_path: Path) -> None:
    """A table of which one metric is not named cannot be collected at all; one that is not named is left out."""
    file = a_reviewed_file()
    file["tables"]["oven"]["metrics"].remove("oven_mode")
    stove = a_table(table="stove")

    assert lint(tmp_path, file, tables=[a_table(), stove], wanted=["oven"]) == [
        "error: tables.oven: the policy does not name metric oven_mode of table oven",
        "warning: tables.stove: is not named, so it cannot be collected",
    ]
    assert lint(tmp_path, a_reviewed_file(), tables=[a_table(), stove], wanted=["oven", "stove"]) == [
        "error: tables.stove: collection.tables wants it, and the policy does not name it"
    ]


def test_columns_without_their_domain_vocabulary_or_scope_are_told(tmp_path: Path) -> None:
    file = a_reviewed_file(vocabularies={})
    del file["domains"]["room"]
    file["domains"]["oven"]["scope"] = []

    assert lint(tmp_path, file) == [
        "error: tables.oven: column room of table oven: identity domain room does not exist in the policy",
        "error: tables.oven: column mode of table oven: vocabulary modes does not exist in the policy",
    ]


def test_a_label_without_a_class_is_told(tmp_path: Path) -> None:
    table = a_table(metrics=[a_metric("oven_heat_celsius", exporter="stove 2", labels=["room", "oven", "mode"])])

    assert lint(tmp_path, a_reviewed_file(), tables=[a_table(), table])[-1] == (
        "error: tables.oven.oven_heat_celsius: the catalogue of labels has no exporter 'stove 2'"
    )


def test_everything_that_keeps_a_file_from_being_a_policy_is_told_by_place(tmp_path: Path) -> None:
    file = a_reviewed_file()
    file["domains"]["room"] |= {"keep": True}
    file["domains"]["oven"]["prefix"] = "Oven"
    file["vocabularies"]["modes"]["members"] = [True]
    file["tables"]["oven"]["metrics"] = ["oven_.*"]
    file["tables"]["oven"]["reviewed"] = "lately"
    file["default"] = "deny"

    found = [line.split(": ", 2) for line in lint(tmp_path, file)]

    assert [(severity, place) for severity, place, _ in found] == [
        ("error", "domains.room"),
        ("error", "domains.oven.prefix"),
        ("error", "vocabularies.modes"),
        ("error", "tables.oven.reviewed"),
        ("error", "tables.oven.metrics.0"),
        ("error", "default"),
    ]


def test_what_does_not_hold_together_is_told_by_place(tmp_path: Path) -> None:
    file = a_reviewed_file()
    file["domains"]["room"]["scope"] = ["oven"]
    file["domains"]["oven"]["public"] = "brands"

    assert lint(tmp_path, file) == [
        "error: domains.room: domain room is told apart by itself, through its scope; wanted scopes without a circle",
        "error: domains.oven: domain oven names the vocabulary brands, which does not exist",
        "error: domains.oven: domain oven is told apart by itself, through its scope; wanted scopes without a circle",
    ]


@pytest.mark.parametrize("text", [None, "domains: [", "just words"])
def test_a_file_that_is_no_policy_is_told(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)

    found = lint_policy(path, [], CATALOGUE, today=TODAY)

    assert [(each.place, each.severity) for each in found] == [("the file", "error")]


def test_a_policy_is_checked_without_any_file() -> None:
    assert check_policy(Policy.model_validate(a_reviewed_file()), [a_table()], CATALOGUE, today=TODAY) == []
    assert str(LintFinding("domains.room", "is wrong.")) == "error: domains.room: is wrong."
