"""Leaks in what a release says: the card, documents, and words that the operator listed."""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import quote

from tests.audit.release import SECRET, TOKEN, VALUE, Broken
from tests.audit.seeding import LEAKS, MD5, RAW, SHA, Leak, leak


# -- texts
def card(name: str, text: str, *codes: str, path: str = "README.md", kind: str = "texts") -> None:
    """Register a leak that adds a text to the card, or to another file."""

    def make(broken: Broken) -> None:
        if path.endswith(".json"):
            add = json.dumps(text)
            broken.text(path, lambda old: old.rstrip().removesuffix("}") + f', "note": {add}}}\n')
        else:
            broken.text(path, lambda old: f"{old}\n{text}\n")

    LEAKS.append(Leak(name, kind, frozenset(codes), make))


card("IPv4 address in the card", "Scraped from 10.0.0.7 every day.", "ipv4-address")
card("IPv6 address in the card", "Scraped from fd00:1:2:3:4:5:6:7 every day.", "ipv6-address")
card("MAC address in the card", "The card aa:bb:cc:dd:ee:ff was replaced.", "mac-address", "ipv6-address")
card("UUID in the card", "Cluster 1b4e28ba-2fa1-41d2-883f-0016d3cca427.", "uuid")
card("e-mail address in the card", "Ask somebody@team.example about it.", "e-mail-address")
card("JWT in the card", "Use eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtYWRlLXVwIn0.c2lnbmF0dXJl to look.", "jwt")
card("token of OpenShift in the card", f"Log in with sha256~{'aB3_' * 8}.", "openshift-token")
card("PEM block in the card", "-----BEGIN PRIVATE KEY-----", "pem-block")
card("bearer token in the card", "Authorization: Bearer abcdef0123456789abcdef", "bearer-token")
card("key of AWS in the card", "AKIAABCDEFGHIJKLMNOP", "aws-key-id")
card("ARN in the card", "arn:aws:iam::123456789012:role/reader", "aws-arn")
card(
    "password in a URL in the card", "http://reader:made-up@prometheus.example/", "url-with-password", "e-mail-address"
)
card("GPU's UUID in the card", "GPU-1b4e28ba- was replaced.", "gpu-uuid")
card("e-mail address in privacy.json", "somebody@team.example", "e-mail-address", path="privacy.json")
card("address in the citation", "# 10.0.0.7", "ipv4-address", path="CITATION.cff")
card("token of another epoch in the card", f"Look at ns_{TOKEN} first.", "not-in-inputs")
card("characters that nobody sees", "The data\u200b\u2062\u200b are good.", "unseen-character")
card("letters that look like others", "Ask the t\u0435am about it.", "look-alike-character")


@leak("texts", "not-utf-8", "unseen-character")
def bytes_that_are_no_text(broken: Broken) -> None:
    with broken.path("card").open("ab") as file:
        file.write(RAW.encode("utf-16"))


@leak("texts", "key-twice")
def json_with_a_key_twice(broken: Broken) -> None:
    broken.text("privacy.json", lambda text: text.replace("{", '{"format_version": "made up", ', 1))


@leak("texts", "not-json")
def json_with_something_behind(broken: Broken) -> None:
    broken.text("quality.json", lambda text: f"{text}{RAW}\n")


# -- words
def hidden(name: str, text: str, *codes: str, path: str = "README.md") -> None:
    card(name, f"Thanks to {text} for it.", *codes, path=path, kind="words")


BLAKE = hashlib.blake2b(SECRET.encode()).digest()
hidden("listed word in the card", SECRET, "listed-word")
hidden("listed word in upper case", SECRET.upper(), "listed-word")
hidden("listed word with other separators", SECRET.replace("-", "_"), "listed-word")
hidden("listed word cut to eight characters", SECRET[:8], "listed-word")
hidden("listed word turned round", SECRET[::-1], "listed-word")
hidden("listed word in hexadecimal", SECRET.encode().hex(), "listed-word")
hidden("listed word URL-encoded", quote(SECRET.replace("-", "%2D"), safe="%"), "listed-word")
hidden("listed word in base64", base64.b64encode(f"x{SECRET}y".encode()).decode(), "listed-word")
hidden("SHA-256 of a listed word in quality.json", SHA.hexdigest(), "listed-word", path="quality.json")
hidden("first twelve characters of its SHA-256", SHA.hexdigest()[:12], "listed-word")
hidden("first eight characters of its MD5", MD5.hexdigest()[:8], "listed-word")
hidden("BLAKE2 of a listed word in base64", base64.b64encode(BLAKE).decode(), "listed-word")
hidden("listed word in privacy.json", SECRET, "listed-word", path="privacy.json")
hidden("label value of the source in the card", VALUE, "label-value")
hidden("label value of the source in hexadecimal", VALUE.encode().hex(), "label-value")
hidden("SHA-256 of a label value of the source", hashlib.sha256(VALUE.encode()).hexdigest(), "label-value")


@leak("words", "listed-word", "unlisted-file")
def listed_word_in_the_name_of_a_file(broken: Broken) -> None:
    (broken.folder / f"{SECRET}.txt").write_text("Nothing to see here.\n")


@leak("words", "listed-word")
def listed_word_escaped_in_json(broken: Broken) -> None:
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in SECRET)
    broken.text("privacy.json", lambda old: old.rstrip().removesuffix("}") + f', "note": "{escaped}"}}\n')
