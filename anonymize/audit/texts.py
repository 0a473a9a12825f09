"""The texts of a release: card, JSON, sums and names. No shapes of secrets, nothing that an eye does not see."""

import json
import re
import unicodedata
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import Any, Final

from anonymize.audit.findings import Finding
from anonymize.audit.grammar import TOKEN_IN_TEXT
from anonymize.audit.shapes import SHAPES, find_shapes
from anonymize.audit.subject import MANIFEST, SUMS, Subject

_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
"""Unicode's categories of what controls, formats, or stands for nothing."""
_KEY_ID: Final = re.compile(r"k_[0-9a-f]{16}")
_WORD: Final = re.compile(r"[^\W\d_]+")
_SCRIPTS: Final = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "FULLWIDTH", "MATHEMATICAL")
_LOOK_ALIKE: Final = frozenset({"FULLWIDTH", "MATHEMATICAL"})


def check_texts(subject: Subject) -> Iterator[Finding]:
    """Yield what no text of a release may hold, and keep each text for the search for words."""
    for path in sorted(subject.folder.rglob("*")):
        place = path.relative_to(subject.folder).as_posix()
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix == ".parquet" and place in subject.listed:
            continue
        # a file that nobody listed is searched as well, but never named: its name may be what leaks
        yield from _check_text(subject, place if place in {*subject.listed, MANIFEST, SUMS} else "unlisted file", path)
    names = "\n".join(path.relative_to(subject.folder).as_posix() for path in subject.folder.rglob("*"))
    yield from (Finding("names of files", code, count) for code, count in find_shapes(names).items())
    yield from _check_tokens(subject, "names of files", names)
    subject.loose["names of files"] = names


def _check_text(subject: Subject, place: str, path: Path) -> Iterator[Finding]:
    info = subject.manifest.release
    said = (info.contact, info.maintainer)
    text = yield from check_content(place, path.read_bytes(), said=said, is_json=path.suffix == ".json")
    yield from _check_tokens(subject, place, text)
    subject.loose[place] = f"{subject.loose.get(place, '')}\n{text}"


def check_content(
    place: str, content: bytes, *, said: Collection[str], is_json: bool = False
) -> Generator[Finding, None, str]:
    """Yield what no public text may hold but for what a publisher has ``said``; return the text, decoded."""
    text = content.decode("utf-8", "replace")
    if content != text.encode():
        yield Finding(place, "not-utf-8")
    # formats escape what stands around an address, never the address itself
    allowed = [word for given in said for word in (given, *SHAPES["e-mail-address"].findall(given))]
    yield from (Finding(place, code, count) for code, count in find_shapes(text, allowed=allowed).items())
    if unseen := sum(1 for sign in text if sign not in "\n\t" and unicodedata.category(sign) in _UNSEEN):
        yield Finding(place, "unseen-character", unseen)
    if mixed := sum(map(_is_mixed, _WORD.findall(text))):
        yield Finding(place, "look-alike-character", mixed)
    if is_json:
        text = yield from _check_json(place, text)
    return text


def _check_tokens(subject: Subject, place: str, text: str) -> Iterator[Finding]:
    """No text but the manifest, which names sources, has reason to hold a token; those of the inputs are data."""
    # of a hundred key ids one is spelt like a token
    known = {subject.manifest.key_id} if _KEY_ID.fullmatch(subject.manifest.key_id) else set()
    tokens = [found[0] for found in TOKEN_IN_TEXT.finditer(text) if found[0] not in known]
    if subject.inputs is not None and (unknown := subject.inputs.count_strangers(tokens)):
        yield Finding(place, "not-in-inputs", unknown)


def _is_mixed(word: str) -> bool:
    """Return whether letters of several scripts stand in one word, as in a name that only looks like another."""
    if word.isascii():
        return False
    scripts = {unicodedata.name(sign, "").split(" ")[0] for sign in word}
    found = scripts & set(_SCRIPTS)
    return len(found) > 1 or bool(found & _LOOK_ALIKE)


def _check_json(place: str, text: str) -> Generator[Finding, None, str]:
    """Yield a finding for keys that stand twice: readers see one of them. Return the text, decoded."""
    twice = 0

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        twice += len(pairs) - len(dict(pairs))
        return dict(pairs)

    try:
        decoded = json.loads(text, object_pairs_hook=note)
    except ValueError:
        yield Finding(place, "not-json")
        return text
    if twice:
        yield Finding(place, "key-twice", twice)
    return f"{text}\n{json.dumps(decoded, ensure_ascii=False)}" if "\\u" in text else text
