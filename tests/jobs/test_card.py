"""The dataset card says all that a stranger must know, and nothing that the operator keeps."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from jobs.card.card import MOST_GAP_LINES, render_card
from jobs.card.citation import cite_as_bibtex, render_citation, render_license
from jobs.card.facts import ReleaseFacts
from jobs.card.formats import format_share
from jobs.card.gaps import merge_gaps
from jobs.card.snippets import SNIPPETS, fill_client_snippet
from jobs.layout import data_path
from tests.jobs.builders import (
    DAY,
    HOUR,
    a_gap,
    a_gpu_schema,
    a_metric_facts,
    a_node_schema,
    a_release_facts,
    a_table_facts,
)


def read_front_matter(card: str) -> dict[str, Any]:
    head = card.split("---\n")[1]
    found = yaml.safe_load(head)
    assert isinstance(found, dict)
    return found


def test_the_head_is_what_the_hugging_face_hub_reads() -> None:
    """A file whose head does not parse is taken for one without metadata, silently."""
    card = render_card(a_release_facts())

    head = read_front_matter(card)

    assert card.startswith("---\n")
    assert head["license"] == "cc-by-4.0"
    assert head["pretty_name"] == "Example cluster metrics"
    assert head["size_categories"] == ["1M<n<10M"]
    assert head["task_categories"] == ["time-series-forecasting"]
    assert {"timeseries", "aiops", "prometheus", "simulated-data"} <= set(head["tags"])
    assert head["configs"] == [
        {"config_name": "node", "data_files": "data/node/**/*.parquet"},
        {"config_name": "gpu", "data_files": "data/gpu/**/*.parquet"},
    ]


def test_a_title_full_of_yaml_stays_a_title() -> None:
    facts = a_release_facts()
    title = 'Metrics: "one"\n---\nlicense: #none'

    head = read_front_matter(render_card(replace(facts, info=facts.info.model_copy(update={"title": title}))))

    assert head["license"] == "cc-by-4.0"
    assert head["pretty_name"] == 'Metrics: "one" --- license: #none'


def test_a_licence_that_the_hub_does_not_know_is_named() -> None:
    facts = a_release_facts()
    facts = replace(facts, info=facts.info.model_copy(update={"license": "CDLA-Permissive-2.0"}))

    head = read_front_matter(render_card(facts))

    assert (head["license"], head["license_name"]) == ("other", "CDLA-Permissive-2.0")


def test_every_table_metric_and_column_is_described() -> None:
    """Data that do not match their documentation are the commonest complaint about published traces."""
    facts = a_release_facts()

    card = render_card(facts)

    for table in facts.tables:
        assert f"### Table `{table.schema.table}`" in card
        assert table.schema_digest in card
        for column in table.schema.labels:
            assert f"| `{column.name}` |" in card
            assert column.meaning.replace("|", "\\|") in card
        for metric in table.schema.metrics:
            assert f"| `{metric.name}` |" in card
            assert metric.meaning in card


def test_numbers_are_written_for_people() -> None:
    card = render_card(a_release_facts())

    assert "| rows (samples) | 8,640,000 |" in card
    assert "| data files | 16.3 MiB, 1.98 bytes/sample |" in card
    assert "| step | 30s |" in card
    assert "0.25 … 1,234,567" in card
    assert "48,211 over all\ntables and windows" in card


def test_simulated_data_say_so_in_bold_and_real_data_in_a_line() -> None:
    """Nobody may take generated numbers for evidence."""
    simulated, real = (render_card(a_release_facts(provenance=each)) for each in ("simulated", "real"))

    assert "\n> **SIMULATED DATA.**" in simulated
    assert "SIMULATED" not in real
    assert "\nProvenance: real." in real


@pytest.mark.parametrize("provenance", ["simulated", "real"])
def test_the_card_claims_no_more_than_pseudonyms(provenance: str) -> None:
    card = render_card(a_release_facts(provenance=provenance))

    assert "pseudonymised, not anonymous" in card
    assert not re.search(r"(?<!not )anonymous|anonymi[sz]ed", card, re.IGNORECASE)
    for residual in (
        "Small groups, where values tell",
        "New keys hide names, not behaviour",
        "do not try to re-identify",
    ):
        assert residual in card
    assert "`node.node_class`" in card


def test_nothing_that_the_operator_keeps_is_printed() -> None:
    """Names of undeclared labels and of those who reviewed the policy are the operator's own."""
    card = render_card(a_release_facts())

    assert "2 undeclared labels came with the series and were dropped." in card
    assert "customer_label" not in card
    assert "team-internal-name" not in card


def test_the_same_facts_give_the_same_bytes() -> None:
    """Order of dictionaries is not a fact."""
    first, second = (
        a_release_facts(tables=(a_table_facts(entities=dict(pairs), outside_vocabulary=dict(pairs)),))
        for pairs in ([("node", 3), ("device", 4)], [("device", 4), ("node", 3)])
    )

    assert render_card(first) == render_card(second)


def test_tables_stay_tables_whatever_a_reason_says() -> None:
    facts = a_release_facts(gaps=(a_gap(reason="a | b\n<script>"),))

    card = render_card(facts)

    assert r"a \| b &lt;script>" in card
    for block in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block


def test_gaps_are_merged_over_time_and_metrics() -> None:
    """A source that was down for hours is one line, not one per metric and window."""
    both = ("node_load1", "node_boot_time_seconds")
    facts = a_release_facts(gaps=(*(a_gap(metric, hour=hour) for metric in both for hour in (3, 2)), a_gap(hour=9)))

    lines = merge_gaps(facts)

    assert [(line.start, line.end, line.what) for line in lines] == [
        (DAY + 2 * HOUR, DAY + 4 * HOUR, "all of `node`"),
        (DAY + 9 * HOUR, DAY + 10 * HOUR, "`node`: `node_load1`"),
    ]


def test_a_gap_of_everything_is_named_so() -> None:
    gaps = tuple(
        a_gap(metric.name, table=schema.table)
        for schema in (a_node_schema(), a_gpu_schema())
        for metric in schema.metrics
    )

    assert [line.what for line in merge_gaps(a_release_facts(gaps=gaps))] == ["every table"]


def test_a_long_list_of_gaps_is_cut_and_says_so() -> None:
    facts = a_release_facts(gaps=tuple(a_gap(hour=2 * number) for number in range(MOST_GAP_LINES + 3)))

    card = render_card(facts)

    assert card.count("| source down |") == MOST_GAP_LINES
    assert "and 3 more in `coverage.parquet`" in card


def test_what_is_not_complete_never_reads_as_complete() -> None:
    metric = a_metric_facts(expected=1_000_000, received=999_999, missing=1, reasons=("target absent",))

    card = render_card(a_release_facts(tables=(a_table_facts(metrics=(metric,)),)))

    assert format_share(0.999999) == "99.99 %"
    assert "| `node` | `node_load1` | 99.99 % | 1 | target absent |" in card
    assert "None: every metric" not in card


@pytest.mark.parametrize(
    "facts",
    [
        a_release_facts(tables=()),
        a_release_facts(tables=(a_table_facts(rows=0, data_bytes=0, metrics=()),), server_versions=(), read_paths=()),
        a_release_facts(),
    ],
    ids=["no tables", "nothing known", "complete"],
)
def test_a_card_can_always_be_written(facts: ReleaseFacts) -> None:
    """What is not known is said to be unknown; it does not vanish, and nothing divides by zero."""
    card = render_card(facts)

    for heading in ("At a glance", "Load it", "Gaps", "Licence", "Citation", "Contact", "What this does not protect"):
        assert f"# {heading}\n" in card
    assert "None: every metric of every window is complete." in card
    assert ("unknown" in card) == (facts.coverage is None)


@pytest.mark.parametrize("reader", sorted(SNIPPETS))
def test_what_the_card_tells_to_run_runs(reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card's own text is taken, in a folder laid out as a release is."""
    for day in (1, 2):
        path = tmp_path / data_path("node", "node_load1", date(2026, 11, day), 0)
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"series_id": ["s_a", "s_b"], "value": [1.0, 2.0]}), path)
    code = SNIPPETS[reader].format(path="data/node")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}

    exec(compile(code, reader, "exec"), names)  # noqa: S102 - the documented snippet is what is under test

    assert f"```python\n{code}```" in render_card(a_release_facts())
    result = names["result"]
    columns = getattr(result, "column_names", None) or list(result.columns)
    assert {"series_id", "value", "metric", "date"} <= set(columns)
    assert result.shape == (4, 4)


def test_the_client_is_shown_with_a_metric_of_the_release() -> None:
    code = fill_client_snippet(store=".", metric="node_load1")

    compile(code, "client", "exec")
    assert f"```python\n{code}```" in render_card(a_release_facts())


def test_the_citation_file_is_version_1_2_0() -> None:
    citation = yaml.safe_load(render_citation(a_release_facts()))

    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "dataset"
    assert citation["version"] == "2026.11.0"
    assert citation["date-released"] == date(2026, 11, 2)
    assert citation["license"] == "CC-BY-4.0"
    assert citation["authors"] == [{"name": "Example Lab"}]
    assert citation["message"]


def test_bibtex_survives_the_characters_that_it_reserves() -> None:
    facts = a_release_facts()
    facts = replace(facts, info=facts.info.model_copy(update={"title": "R&D {50 %}"}))

    assert r"title = {{R\&D \{50 \%\}}}" in cite_as_bibtex(facts)


@pytest.mark.parametrize(
    ("license_id", "address"),
    [
        ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/"),
        ("cc0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("ODC-By-1.0", "https://opendatacommons.org/licenses/by/1-0/"),
        ("CDLA-Permissive-2.0", "SPDX-License-Identifier: CDLA-Permissive-2.0"),
    ],
)
def test_the_licence_names_itself_and_where_it_stands(license_id: str, address: str) -> None:
    text = render_license(license_id)

    assert address in text
    assert "The data of this release" in text
    assert text.endswith("\n")
