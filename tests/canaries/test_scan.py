"""The scanner is the oracle of all canary tests, so it is proven by itself: it finds every form, and nothing else."""

import base64
import gzip
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.registry import latest_tables
from tests.canaries.planted import Aviary, plant_canaries
from tests.canaries.scan import Scanner

AVIARY = Aviary()
TEXT = AVIARY.add("label", "one", "{}-team")
OTHER = AVIARY.add("label", "another", "{}")
SCANNER = Scanner(AVIARY.canaries)


@pytest.mark.parametrize(
    "hide",
    [
        str.upper,
        lambda text: text[:8],
        lambda text: quote(text, safe=""),
        lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
        lambda text: text.encode().hex(),
        lambda text: text.upper().encode().hex().upper(),
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.urlsafe_b64encode(b"." + text.upper().encode()).decode(),
        lambda text: base64.b64encode(f"..{text}..".encode()).decode(),
        lambda text: f"ns_{text}_x",
        repr,
    ],
)
def test_a_canary_is_found_in_every_form(hide: Callable[[str], str]) -> None:
    found = SCANNER.find(f"KeyError: {hide(TEXT)} in data".encode())

    assert TEXT in [canary.text for canary in found]


def test_a_canary_is_found_in_what_files_hide(tmp_path: Path) -> None:
    """Parquet keeps dictionary entries that no row shows, and gzip hides everything."""
    column = pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array(["shown", TEXT]))
    pq.write_table(pa.table({"namespace": column}), tmp_path / "a.parquet")
    (tmp_path / "b.gz").write_bytes(gzip.compress(OTHER.encode()))
    (tmp_path / "c" / OTHER).mkdir(parents=True)

    found = SCANNER.search(tmp_path)

    assert {name.partition("/")[2]: [each.text for each in hits] for name, hits in found.items()} == {
        "a.parquet": [TEXT],
        "b.gz": [OTHER],
        f"c/{OTHER}": [OTHER],
    }


def test_nothing_else_is_a_canary() -> None:
    """Tokens, digests and numbers are what outputs are full of."""
    assert not SCANNER.find(b"ns_k4juij7gp4ndpjqo zq12 sha256:7a70303030 0189018901890189 zq00002")


def test_every_label_of_every_metric_has_a_canary_of_its_own() -> None:
    planted = plant_canaries([0, 60_000])

    texts = [canary.text for canary in planted.aviary.canaries if canary.where]
    metrics = {metric.name: metric for table in latest_tables().values() for metric in table.metrics}
    missing = metrics.keys() - {labels["__name__"] for labels, _ in planted.series}
    assert not missing
    assert len([text for text in texts if re.search("zq", text, re.IGNORECASE)]) > 1_000
    assert len(set(texts)) >= len(texts) - 40  # some metrics' own matchers leave no choice
    assert len({canary.head for canary in planted.aviary.canaries}) == len(planted.aviary.canaries)
