"""What a policy may not say: it is what stands between the cluster and the public."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.errors import UsageError
from schemas.policy import OTHER
from schemas.registry import read_policy
from tests.schemas.builders import a_column, a_metric, a_policy, a_table

ROOM = {"prefix": "room", "meaning": "A room by its name."}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"domains": {"room": ROOM, "oven": ROOM}}, "two domains share a prefix"),
        ({"domains": {"room": ROOM | {"prefix": "s"}}}, "or one uses s or src"),
        ({"domains": {"room": ROOM | {"prefix": "Room"}}}, "String should match pattern"),
        ({"domains": {"room": ROOM | {"scope": ["house"]}}}, "names the domains ['house'], which do not exist"),
        ({"domains": {"room": ROOM | {"unmatched": "shed"}}}, "names the domains ['shed'], which do not exist"),
        ({"domains": {"room": ROOM | {"public": "rooms"}}}, "names the vocabulary rooms, which does not exist"),
        ({"domains": {"room": ROOM | {"keep": True}}}, "Extra inputs are not permitted"),
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


def test_a_vocabulary_publishes_what_it_maps_to_and_other() -> None:
    members = {"NVIDIA A100-SXM4-80GB": "A100", "A100-SXM4-40GB": "A100"}
    policy = a_policy(vocabularies={"modes": {"source": "a list", "members": members}})

    assert policy.vocabularies["modes"].published == {"A100", OTHER}


def test_a_second_domain_of_one_name_does_not_replace_the_first_unseen(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("policy: mine\nversion: 1\ndomains:\n  pod: {prefix: a}\n  pod: {prefix: b}\n")

    with pytest.raises(UsageError, match=r"^mine\.yaml is not YAML: found the key 'pod' twice"):
        read_policy(path)


def test_an_unknown_policy_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"found no policy 'lax'; wanted .*, or one of default"):
        read_policy("lax")
