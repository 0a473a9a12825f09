"""Tokens: equal where they should join, different where they should not, and nothing that anybody could recompute."""

import base64
import hashlib
import hmac
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anonymize.keys import PseudonymKey
from anonymize.pseudonyms import Pseudonymizer, encode_parts
from schemas.errors import PrivacyError
from tests.anonymize.builders import OTHER_SECRET, SECRET, a_pseudonymizer

PARTS = st.lists(st.none() | st.text(st.characters(), max_size=6), max_size=5)
TOKEN = re.compile(r"ns_[a-z2-7]{16}")


def token_by_hand(secret: bytes, prefix: str, domain: str, parts: Sequence[str | None]) -> str:
    """Compute a token from the written design alone, sharing no code with the publisher."""
    subkey = hmac.new(secret, b"opscommons/v1/domain/" + domain.encode(), hashlib.sha256).digest()
    message = b""
    for part in parts:
        raw = None if part is None else part.encode("utf-8", "surrogatepass")
        message += b"\xff\xff\xff\xff" if raw is None else struct.pack(">I", len(raw)) + raw
    mac = hmac.new(subkey, message, hashlib.sha256).digest()
    return f"{prefix}_" + base64.b32encode(mac).decode().lower()[:16]


@given(first=PARTS, second=PARTS)
def test_two_sequences_of_parts_never_have_one_encoding(first: list[str | None], second: list[str | None]) -> None:
    """Else ("a", "bc") and ("ab", "c") would be one pod."""
    assert (encode_parts(first) == encode_parts(second)) == (first == second)


@given(parts=PARTS)
def test_an_encoding_can_be_read_back(parts: list[str | None]) -> None:
    """The strongest form of the same: nothing is lost."""
    encoded, read = encode_parts(parts), list[str | None]()
    while encoded:
        (length,) = struct.unpack(">I", encoded[:4])
        if length == 0xFFFFFFFF:
            read, encoded = [*read, None], encoded[4:]
        else:
            read.append(encoded[4 : 4 + length].decode("utf-8", "surrogatepass"))
            encoded = encoded[4 + length :]

    assert read == parts


@given(parts=PARTS)
def test_tokens_are_what_the_design_says(parts: list[str | None]) -> None:
    assert a_pseudonymizer().token("ns", "namespace", parts) == token_by_hand(SECRET, "ns", "namespace", parts)


@given(values=st.lists(PARTS, max_size=6), prefix=st.sampled_from(["s", "ns", "longest_p"]))
def test_many_tokens_at_once_are_the_tokens_of_each(values: list[list[str | None]], prefix: str) -> None:
    """Series are named by columns; a value must not get another name for being one of many."""
    at_once = a_pseudonymizer().tokens(prefix, "series", ["lab", "up"], [encode_parts(parts) for parts in values])

    assert at_once.to_pylist() == [token_by_hand(SECRET, prefix, "series", ["lab", "up", *parts]) for parts in values]


def test_two_of_many_values_with_one_token_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eighty bits are many, not endless: the same value twice is fine, another one under its token is not."""
    made = a_pseudonymizer()
    made.tokens("s", "series", ["lab"], [encode_parts(["a"]), encode_parts(["a"])])
    monkeypatch.setattr("anonymize.pseudonyms._TOKEN_BYTES", 0)  # every value has the same token now

    with pytest.raises(PrivacyError, match="two values of domain series have the same token"):
        made.tokens("s", "series", ["lab"], [encode_parts(["a"]), encode_parts(["b"])])


def test_known_answers() -> None:
    """Written down once: a change here would rename every entity of every release under a living key."""
    made = a_pseudonymizer()

    assert made.token("ns", "namespace", ["lab", "team-a"]) == "ns_tili2b3xyc2qmyn7"
    assert made.token("pod", "pod", ["lab", "team-a", "web-0"]) == "pod_dr3jjrsgn3pid4tf"
    assert made.token("pod", "pod", ["lab", None, "web-0"]) == "pod_oyvwqidrcu6h2tk7"
    assert made.token("s", "series", ["lab", "up", "job", "é"]) == "s_6k6br7h4dngjwb2e"


@given(parts=PARTS)
def test_equal_values_get_equal_tokens_from_every_process(parts: list[str | None]) -> None:
    assert a_pseudonymizer().token("ns", "namespace", parts) == a_pseudonymizer().token("ns", "namespace", parts)


def test_another_process_makes_the_same_tokens() -> None:
    """Nothing depends on Python's hash seed or on the order of what was seen."""
    program = (
        "from tests.anonymize.builders import a_pseudonymizer\n"
        "made = a_pseudonymizer()\n"
        "for value in reversed('abcdef'): print(made.token('ns', 'namespace', ['lab', value]))"
    )
    root = Path(__file__).parents[2]
    ran = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)

    made = a_pseudonymizer()
    assert ran.stdout.split() == [made.token("ns", "namespace", ["lab", value]) for value in "fedcba"]


@given(value=st.text(min_size=1, max_size=30))
def test_domains_are_apart(value: str) -> None:
    """A node and a namespace of one name must not be seen to be of one name."""
    made = a_pseudonymizer()
    domains = ["namespace", "pod", "node", "series", "source", "Namespace", "namespace ", "namespace/pod"]

    assert len({made.token("x", domain, ["lab", value]) for domain in domains}) == len(domains)


@given(value=st.text(max_size=20), one=st.none() | st.text(max_size=5), two=st.none() | st.text(max_size=5))
def test_scopes_are_apart(value: str, one: str | None, two: str | None) -> None:
    """web-0 of two teams is two pods, and so is that of a team and of none."""
    made = a_pseudonymizer()

    tokens = [made.token("pod", "pod", ["lab", scope, value]) for scope in (one, two)]

    assert (tokens[0] == tokens[1]) == (one == two)


@given(values=st.sets(st.text(max_size=10), min_size=1, max_size=30))
def test_another_key_makes_other_tokens(values: set[str]) -> None:
    """What is released under two keys cannot be joined."""
    ours, theirs = a_pseudonymizer(), a_pseudonymizer(OTHER_SECRET)

    tokens = [{made.token("ns", "namespace", ["lab", value]) for value in values} for made in (ours, theirs)]

    assert len(tokens[0]) == len(tokens[1]) == len(values)
    assert not tokens[0] & tokens[1]


@given(value=st.text(st.characters(), max_size=5000))
def test_a_token_has_one_shape_whatever_it_stands_for(value: str) -> None:
    """A token that were longer for longer names would tell their length."""
    assert TOKEN.fullmatch(a_pseudonymizer().token("ns", "namespace", [value]))


@pytest.mark.parametrize("digest", [hashlib.sha256, hashlib.sha1, hashlib.md5])
def test_no_unkeyed_digest_is_a_token(digest: type) -> None:
    """The mistake of a published trace: a dictionary of names then reads it all."""
    token = a_pseudonymizer().token("ns", "namespace", ["lab", "team-a"])

    for text in (b"team-a", b"labteam-a", encode_parts(["lab", "team-a"]), b"opscommons/v1/domain/namespace"):
        body = base64.b32encode(digest(text).digest()).decode().lower()[:16]
        assert token != f"ns_{body}"


def test_a_collision_stops_the_run_and_names_no_value() -> None:
    """Two entities under one token would be published as one."""
    made = a_pseudonymizer()
    token = made.token("ns", "namespace", ["lab", "team-a"])
    made._made[token] = b"the MAC of another value"  # what a real collision would have left

    with pytest.raises(PrivacyError, match=r"^two values of domain namespace have the same token; make a new key$"):
        made.token("ns", "namespace", ["lab", "team-a"])


def test_a_pseudonymizer_names_its_key() -> None:
    assert Pseudonymizer(PseudonymKey("k_7", SECRET)).key_id == "k_7"
