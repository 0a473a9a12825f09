"""What a live server offers against the tables: a real Prometheus that scrapes itself."""

import json

import pytest
import yaml

from collector.client import QueryApi
from collector.connection import Access, Connection
from demo.servers import Server
from schemas.offer import render_proposal
from schemas.table import TableSchema
from tests.jobs.bench import Bench


@pytest.fixture
def ready(bench: Bench, prometheus: Server) -> Bench:
    bench.config["source"]["url"] = prometheus.url
    bench.set("collection", tables="all")
    return bench


def test_types_are_those_of_the_servers_metadata(prometheus: Server) -> None:
    types = QueryApi(Connection(Access(url=prometheus.url))).metric_types()

    assert types["prometheus_http_requests_total"] == {"counter"}
    assert types["prometheus_http_request_duration_seconds"] == {"histogram"}


def test_each_table_tells_what_the_server_has_of_it(ready: Bench) -> None:
    told = json.loads(ready.run("schema", "coverage", "--json").out)

    tables = {table["table"]: table for table in told["tables"]}
    up = {each["metric"]: each for each in tables["scrape"]["present"]}["up"]
    assert (up["type_check"], up["new_labels"]) == ("unknown", [])  # made by the scrape itself: nobody says its type
    assert tables["gpu"]["present"] == []
    assert "DCGM_FI_DEV_GPU_UTIL" in tables["gpu"]["absent"]
    assert "prometheus_build_info" in told["undeclared"]


def test_a_proposal_names_metrics_and_labels_and_is_refused_as_it_is(ready: Bench) -> None:
    """A person must set what becomes of each label: a proposal that could publish by itself would publish unseen."""
    said = ready.run("schema", "coverage", "--propose", "prometheus_http_requests")

    proposed = yaml.safe_load(said.out)
    assert proposed["unreviewed"] is True
    (metric,) = proposed["metrics"]
    assert (metric["name"], metric["type"]) == ("prometheus_http_requests_total", "counter")
    assert {"handler", "code", "instance", "job"} <= set(metric["labels"])
    assert "/api/v1" not in said.out  # values of labels are nobody's business
    with pytest.raises(ValueError, match="marked unreviewed"):
        TableSchema.model_validate(proposed)
    del proposed["unreviewed"]
    with pytest.raises(ValueError, match="wanted exactly one"):
        TableSchema.model_validate(proposed)


def test_a_proposal_becomes_a_table_when_it_is_reviewed() -> None:
    text = render_proposal("acme", ["acme_total"], {"acme_total": {"counter"}}, {"acme_total": {"namespace", "User"}})
    content = yaml.safe_load(text)

    del content["unreviewed"]
    (user, namespace), (metric,) = content["labels"], content["metrics"]
    content["labels"] = [namespace | {"identity": "namespace"}]
    metric["labels"] = ["namespace"]

    assert (user["name"], user["label"]) == ("user", "User")
    assert TableSchema.model_validate(content).metric("acme_total").type == "counter"
