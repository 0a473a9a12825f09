"""How to cite a release, and under which licence its data stand. Pure: text from facts."""

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml

from jobs.card.facts import ReleaseFacts

CFF_VERSION: Final = "1.2.0"
_BIBTEX_SPECIAL: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: rf"\{character}" for character in "&%$#_{}"},
}


@dataclass(frozen=True, slots=True)
class DataLicense:
    """A licence that data are published under."""

    spdx: str
    hugging_face: str
    """Its name among those that dataset cards know; ``other`` for the rest."""
    name: str | None = None
    url: str | None = None
    summary: str | None = None


_KNOWN: Final = (
    DataLicense(
        "CC-BY-4.0",
        "cc-by-4.0",
        "Creative Commons Attribution 4.0 International",
        "https://creativecommons.org/licenses/by/4.0/legalcode",
        "You may share and adapt the data for any purpose, provided that you give credit and say what you changed.",
    ),
    DataLicense(
        "CC0-1.0",
        "cc0-1.0",
        "Creative Commons Zero 1.0 Universal",
        "https://creativecommons.org/publicdomain/zero/1.0/legalcode",
        "The data are dedicated to the public domain: you may use them for any purpose. A citation is welcome.",
    ),
    DataLicense(
        "ODC-By-1.0",
        "odc-by",
        "Open Data Commons Attribution License 1.0",
        "https://opendatacommons.org/licenses/by/1-0/",
        "You may share, adapt and build upon the data, provided that you attribute the source.",
    ),
)
_BY_ID: Final = {each.spdx.lower(): each for each in _KNOWN}


def find_license(license_id: str) -> DataLicense:
    """Return what is known of a licence by its SPDX identifier, in whatever case it is written."""
    return _BY_ID.get(license_id.lower()) or DataLicense(license_id, "other")


def render_license(license_id: str) -> str:
    """Return the LICENSE file: a name and an address rather than the whole legal text."""
    found = find_license(license_id)
    lines = [f"SPDX-License-Identifier: {found.spdx}", ""]
    if found.name:
        lines += [f"The data of this release are licensed under: {found.name}.", f"{found.summary}", ""]
        lines += [f"The full text: {found.url}", ""]
    else:
        lines += [f"The data of this release are licensed under the licence that SPDX names {found.spdx}.", ""]
    lines += ["It applies to all files of this release: data, metadata and documentation."]
    return "\n".join(lines) + "\n"


def render_citation(facts: ReleaseFacts) -> str:
    """Return ``CITATION.cff`` in version 1.2.0 of its format."""
    info = facts.info
    content: dict[str, Any] = {
        "cff-version": CFF_VERSION,
        "message": "If you use these data, please cite them as below, and state the SHA-256 of manifest.json.",
        "type": "dataset",
        "title": info.title,
        "version": info.version,
        **({"date-released": facts.created.date()} if facts.time == "calendar" else {}),
        "license": find_license(info.license).spdx,
        "authors": [{"name": info.maintainer}],
        "keywords": ["aiops", "observability", "prometheus", "time series", f"{facts.provenance} data"],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def cite_as_text(facts: ReleaseFacts) -> str:
    """Return the citation as a line of text."""
    info = facts.info
    simulated = ", simulated" if facts.provenance == "simulated" else ""
    return f"{info.maintainer} ({_year(facts)}). {info.title} (version {info.version}) [Data set{simulated}]."


def cite_as_bibtex(facts: ReleaseFacts) -> str:
    """Return the citation as a BibTeX entry."""
    info = facts.info
    key = "opscommons_" + re.sub(r"[^A-Za-z0-9]+", "_", info.version)
    fields = {
        "title": "{" + _escape_bibtex(info.title) + "}",
        "author": "{" + _escape_bibtex(info.maintainer) + "}",
        "year": _year(facts),
        "version": _escape_bibtex(info.version),
        "note": f"{facts.provenance.capitalize()} data, pseudonymised; key {_escape_bibtex(facts.key_id)}",
    }
    return f"@misc{{{key},\n" + "".join(f"  {name} = {{{text}}},\n" for name, text in fields.items()) + "}"


def _year(facts: ReleaseFacts) -> str:
    """Return the year to cite: where a release does not tell it, the one that its operator put into the version."""
    return f"{facts.created:%Y}" if facts.time == "calendar" else facts.info.version.partition(".")[0]


def _escape_bibtex(text: str) -> str:
    return "".join(_BIBTEX_SPECIAL.get(character, character) for character in " ".join(text.split()))
