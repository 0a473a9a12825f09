"""The front page lists every release as the catalog has it, needs nothing else, and trusts no text."""

import re
from html.parser import HTMLParser

from jobs.publish.site import render_site
from tests.jobs.builders import a_catalog, a_catalog_entry

VOID = {"meta", "link", "wbr"}


class Page(HTMLParser):
    """The page's elements, which must be closed in the order in which they were opened."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(content.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_all_releases_are_listed_the_newest_first() -> None:
    versions = ["2026.9.0", "2026.10.0", "2026.11.0"]
    catalog = a_catalog(*map(a_catalog_entry, versions))

    page = render_site(catalog).decode()

    assert re.findall(r'<th scope="row">(.*?)</th>', page) == versions[::-1]


def test_a_release_is_linked_where_the_catalog_says() -> None:
    page = Page(render_site(a_catalog()))

    for name in ("README.md", "manifest.json", "SHA256SUMS"):
        assert f"./releases/2026.11.0/{name}" in page.addresses
    assert not page.open


def test_the_latest_release_stands_out_with_its_whole_digest() -> None:
    """The digest is what a citation pins; a prefix would not do."""
    page = render_site(a_catalog(a_catalog_entry("2026.10.0"), a_catalog_entry())).decode()

    assert '<h2 id="latest">2026.11.0 <span class="badge real">real data</span></h2>' in page
    assert "0123456789abcdef" * 4 in page.replace("<wbr>", "")
    assert "oc.open(&#34;https://bucket.example/&#34;, release=&#34;2026.11.0&#34;)" in page


def test_a_retracted_release_is_marked_and_its_files_are_not_linked() -> None:
    """They are gone; what remains is the notice."""
    gone = a_catalog_entry("2026.10.0", status="retracted", reason="A column was wrong.")

    content = render_site(a_catalog(gone, a_catalog_entry()))

    assert '<span class="badge retracted">retracted</span>' in content.decode()
    assert "A column was wrong." in content.decode()
    addresses = Page(content).addresses
    assert not [address for address in addresses if "releases/2026.10.0" in address]
    assert "./retractions/2026.10.0.json" in addresses


def test_text_from_the_catalog_is_never_markup() -> None:
    hostile = "</td><script>alert(1)</script>\"'&"
    gone = a_catalog_entry("2026.10.0", status="retracted", reason=hostile)
    strange = a_catalog_entry('1"><img src=x>', path='javascript:alert(1)//"><img src=x>')

    content = render_site(a_catalog(gone, strange, latest=strange.version))

    page = Page(content)
    assert not {"script", "img"} & set(page.tags)
    assert "&lt;script&gt;alert(1)" in content.decode()
    assert not [address for address in page.addresses if address.startswith("javascript:")]
    assert not page.open


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """It is read from a bucket, perhaps without a network, and must tell nobody who reads it."""
    page = Page(render_site(a_catalog()))

    assert "script" not in page.tags
    assert all(address.startswith(("./", "#", "data:,")) for address in page.addresses)


def test_simulated_data_wear_a_badge() -> None:
    page = render_site(a_catalog(a_catalog_entry(provenance="simulated"))).decode()

    assert '<span class="badge simulated">simulated data</span>' in page
    assert "real data" not in page


def test_an_empty_store_has_a_page_too() -> None:
    content = render_site(a_catalog().model_copy(update={"releases": (), "latest": None}))

    assert b"Nothing has been published yet." in content
    assert not Page(content).open


def test_the_page_claims_no_more_than_pseudonyms() -> None:
    page = " ".join(render_site(a_catalog()).decode().split())

    assert "pseudonymised, not anonymous" in page
    assert not re.search(r"(?<!not )anonymous|anonymi[sz]ed", page, re.IGNORECASE)


def test_the_same_catalog_gives_the_same_bytes() -> None:
    assert render_site(a_catalog()) == render_site(a_catalog())
