"""What a policy may not say: it is what stands between the cluster and the public."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.digest import digest
from schemas.errors import PrivacyError
from schemas.policy import OTHER
from schemas.registry import read_policy
from tests.schemas.builders import a_column, a_metric, a_policy, a_policy_file, a_table

ROOM: dict[str, object] = {"prefix": "room", "meaning": "A room by its name."}
RULE: dict[str, object] = {"owner": "me", "why": "Bakers want to know.", "reviewed": "2026-11-23", "metrics": []}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"domains": {"room": ROOM, "oven": ROOM}}, "two domains share a prefix"),
        ({"domains": {"room": ROOM | {"prefix": "s"}}}, "or one uses s or src"),
        ({"domains": {"room": ROOM | {"prefix": "Room"}}}, "String should match pattern"),
        ({"domains": {"room": ROOM | {"scope": ["house"]}}}, "names the domains ['house'], which do not exist"),
        ({"domains": {"room": ROOM | {"unmatched": "shed"}}}, "names the domains ['shed'], which do not exist"),
        ({"domains": {"room": ROOM | {"public": "rooms"}}}, "names the vocabulary rooms, which does not exist"),
        ({"domains": {"room": ROOM | {"keep": True}}}, "found keep; there is no keep: a label leaves as a pseudonym"),
        ({"vocabularies": {"modes": {"members": ["a"], "source": "x", "do": "keep"}}}, "found do; there is no keep"),
        ({"keep": ["room"]}, "found keep; there is no keep"),
        ({"domains": {"room": ROOM | {"regex": "r.*"}}}, "Extra inputs are not permitted"),
        ({"domains": {"room": ROOM | {"scope": ["room"]}}}, "is told apart by itself, through its scope"),
        (
            {"domains": {"room": ROOM | {"scope": ["oven"]}, "oven": ROOM | {"prefix": "o", "scope": ["room"]}}},
            "domain oven is told apart by itself",
        ),
        ({"domains": {"room": ROOM | {"unmatched": "oven"}, "oven": ROOM | {"prefix": "o"}}}, "which is for hosts"),
        (
            {"domains": {"room": ROOM | {"canonical": "host", "unmatched": "room"}}},
            "passes what it does not know to room, which passes it on",
        ),
        ({"tables": {"oven": RULE | {"metrics": ["oven_a", "oven_a"]}}}, "table oven names oven_a twice"),
        ({"tables": {"oven": RULE | {"owner": ""}}}, "should have at least 1 character"),
        ({"vocabularies": {"modes": {"source": "the manual", "members": []}}}, "should have at least 1 item"),
        ({"vocabularies": {"modes": {"source": "the manual", "members": [True, "no"]}}}, "found the member True"),
        ({"vocabularies": {"modes": {"members": ["bake"]}}}, "Field required"),
        ({"default": "keep"}, "Extra inputs are not permitted"),
    ],
)
def test_a_policy_that_does_not_hold_together_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        a_policy(**changes)

    assert told in str(refusal.value)


@pytest.mark.parametrize("name", ["oven_.*", "oven_*", "oven_(heat|mode)", "^oven_heat$", "oven_[a-z]+", "oven_\\w"])
def test_a_pattern_over_names_is_refused(name: str) -> None:
    """A pattern publishes the metric that an exporter brings next year, unseen."""
    told = f"found the pattern {name!r}; a policy names each thing exactly"

    with pytest.raises(ValidationError, match=re.escape(told)):
        a_policy(tables={"oven": RULE | {"metrics": [name]}})
    with pytest.raises(ValidationError, match=re.escape(told)):
        a_policy(tables={name: RULE})
    with pytest.raises(ValidationError, match=re.escape(told)):
        a_policy(domains={"room": ROOM | {"public": name}})


@pytest.mark.parametrize("member", ["openshift-*", "openshift-.*", "^kube-.*$", "team-?", "a.+", "\\d"])
def test_a_pattern_over_words_is_refused(member: str) -> None:
    """Anybody may call a namespace openshift-something."""
    for members in ([member], {member: "some"}):
        with pytest.raises(ValidationError, match="a pattern; wanted the exact words"):
            a_policy(vocabularies={"modes": {"source": "the manual", "members": members}})


@pytest.mark.parametrize("member", ["*", "/var/lib/x", "A100 (80 GB)", "fuse.sshfs", "+Inf", "C++", "a|b", "[none]"])
def test_words_that_only_look_like_a_pattern_are_words(member: str) -> None:
    assert a_policy(vocabularies={"modes": {"source": "the manual", "members": [member]}})


def test_all_that_does_not_hold_together_is_told_at_once() -> None:
    """Whoever mends a policy should not have to come back for each line."""
    domains = {
        "room": ROOM | {"scope": ["house"]},
        "oven": ROOM | {"public": "brands"},
    }

    with pytest.raises(ValidationError) as refusal:
        a_policy(domains=domains)

    (problem,) = refusal.value.errors()
    assert problem["ctx"]["error"].problems == [
        ("domains.room", "domain room names the domains ['house'], which do not exist"),
        ("domains.oven", "two domains share a prefix, or one uses s or src: oven"),
        ("domains.oven", "domain oven names the vocabulary brands, which does not exist"),
    ]


def test_fields_that_say_nothing_leave_the_digest_as_it_was() -> None:
    """A release names its policy by digest: a new program must know the policy of an old release."""
    assert digest(a_policy()) == digest(a_policy(review_days=365, owner=None, reviewed=None))
    assert digest(a_policy()) == "sha256:2018d1fa7d695c31d3899aef52de687c14667e8b2206d2458178d01d05b584d7"


def test_a_metric_that_the_policy_does_not_name_stays_private() -> None:
    """A new schema version alone publishes nothing: somebody has to review the policy too."""
    metrics = [a_metric("oven_heat_celsius", labels=["room", "oven", "mode"]), a_metric("oven_smoke")]

    assert a_policy().check_table(a_table()) == []
    assert a_policy().check_table(a_table(metrics=metrics)) == [
        "the policy does not name metric oven_smoke of table oven"
    ]
    assert a_policy().check_table(a_table(table="stove")) == ["the policy does not name table stove"]


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (
            a_column("mode", vocabulary="moods"),
            "column mode of table oven: vocabulary moods does not exist in the policy",
        ),
        (
            a_column("mode", identity="house"),
            "column mode of table oven: identity domain house does not exist in the policy",
        ),
        (a_column("mode", identity="oven"), "column mode of table oven: its scope needs a column of domain room"),
    ],
)
def test_a_column_needs_its_domain_its_scope_or_its_vocabulary(column: dict[str, Any], told: str) -> None:
    """A token without its scope would be one for all ovens of that name."""
    table = a_table(labels=[column], sort_key=[], metrics=[a_metric("oven_mode", labels=["mode"])])

    assert a_policy().check_table(table) == [told]


GROUPS = {"modes": {"of": ["oven"], "contributor": "room", "why": "One room may bake so."}}


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        (
            {},
            "column mode of table oven can point at somebody; the policy's small_groups need a rule for its vocabulary",
        ),
        (
            {"modes": {"of": ["chef"], "why": "Few chefs bake so."}},
            "column mode of table oven: its groups are counted in chef, of which the table has no column",
        ),
        (GROUPS, None),
    ],
)
def test_a_quasi_identifier_needs_a_rule_that_says_who_is_counted(groups: dict[str, Any], told: str | None) -> None:
    """Without one a rare word would be shown, and nobody would have decided that."""
    labels = [*a_table().model_dump()["labels"][:2], a_column("mode", vocabulary="modes", quasi_identifier=True)]
    domains = a_policy_file()["domains"] | {"chef": {"prefix": "chef", "meaning": "A chef by name."}}

    found = a_policy(small_groups=groups, domains=domains).check_table(a_table(labels=labels))

    assert found == ([told] if told else [])


def test_rules_for_small_groups_name_what_there_is() -> None:
    groups = {"moods": {"of": ["chef"], "contributor": "guest", "why": "Few chefs bake so."}}

    with pytest.raises(ValidationError) as refused:
        a_policy(small_groups=groups)
    (problem,) = refused.value.errors()
    assert problem["ctx"]["error"].problems == [
        ("small_groups.moods", "there is no vocabulary moods; small groups are told by the words of one"),
        ("small_groups.moods", "the groups of moods name the domains ['chef', 'guest'], which do not exist"),
    ]


def test_a_vocabulary_publishes_what_it_maps_to_and_other() -> None:
    members = {"NVIDIA A100-SXM4-80GB": "A100", "A100-SXM4-40GB": "A100"}
    policy = a_policy(vocabularies={"modes": {"source": "a list", "members": members}})

    assert policy.vocabularies["modes"].published == {"A100", OTHER}


def test_a_second_domain_of_one_name_does_not_replace_the_first_unseen(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("policy: mine\nversion: 1\ndomains:\n  pod: {prefix: a}\n  pod: {prefix: b}\n")

    with pytest.raises(PrivacyError, match=r"^mine\.yaml is not YAML: found the key 'pod' twice"):
        read_policy(path)


def test_an_unknown_policy_is_answered_with_the_known_ones() -> None:
    with pytest.raises(PrivacyError, match=r"found no policy 'lax'; wanted .*, or one of default"):
        read_policy("lax")
