"""The policy on the command line: what is published, what is wrong, and what a change would publish, in words."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.servers import Server
from jobs.kept import keep_policy
from jobs.store import open_store
from schemas.digest import digest
from schemas.registry import POLICIES, latest_tables, read_policy
from tests.jobs.bench import Bench
from tests.jobs.test_cli_keys import SECOND, collect


def a_policy_file(bench: Bench, **changes: object) -> dict[str, Any]:
    """Write a copy of the shipped policy, configure it, and return what it holds."""
    file: dict[str, Any] = yaml.safe_load((POLICIES / "default.yaml").read_text("utf-8")) | {"policy": "mine"}
    write_policy(bench, file | changes)
    bench.set("privacy", policy="mine.yaml")
    return file


def write_policy(bench: Bench, file: dict[str, Any]) -> None:
    (bench.folder / "mine.yaml").write_text(yaml.safe_dump(file, sort_keys=False, allow_unicode=True))


def test_the_policy_is_shown_with_every_column_and_metric(bench: Bench) -> None:
    """Who asks what is published of a cluster is not told by a number of metrics."""
    shown = bench.run("policy", "show")
    machine = json.loads(bench.run("policy", "show", "--json").out)

    assert (shown.code, shown.err) == (0, "")
    policy = read_policy("default")
    for name, table in latest_tables().items():
        assert f"\n{name}: {policy.tables[name].why} (reviewed " in shown.out
        for column in table.labels:
            assert f"  column {column.name:16} from label {column.source_label:20} " in shown.out
        for metric in table.metrics:
            assert f"  metric {metric.name}: values " in shown.out
    assert {(each["table"], each["name"]) for each in machine["published"]} == {
        (name, metric) for name, rule in policy.tables.items() for metric in rule.metrics
    }
    assert machine["digest"] == digest(policy)


def test_one_table_of_the_policy_is_shown(bench: Bench) -> None:
    shown, unknown = bench.run("policy", "show", "gpu"), bench.run("policy", "show", "cpu")

    assert "\n  column gpu_family       from label modelName            vocabulary gpu_families\n" in shown.out
    assert "  metric DCGM_FI_DEV_GPU_UTIL: values exact, placeholders null; " in shown.out
    assert "\nnode: " not in shown.out
    assert unknown.code == 2
    assert unknown.line.startswith("the policy names no table 'cpu'; it names node, ")


def test_a_sound_policy_passes_the_lint(bench: Bench) -> None:
    found = bench.run("policy", "lint")

    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines()[-1].startswith("0 errors, ")


def test_a_policy_file_is_linted_without_any_configuration(bench: Bench, tmp_path: Path) -> None:
    file = a_policy_file(bench)
    file["domains"]["pod"]["keep"] = True
    file["tables"]["node"]["metrics"].append("node_.*")
    write_policy(bench, file)

    found = bench.run("policy", "lint", str(bench.folder / "mine.yaml"))
    machine = json.loads(bench.run("policy", "lint", str(bench.folder / "mine.yaml"), "--json").out)

    assert found.code == 5
    lines = found.out.splitlines()
    assert lines[0].startswith("error: domains.pod: found keep; there is no keep")
    assert lines[1].startswith("error: tables.node.metrics.")
    assert lines[2:] == ["2 errors, 0 warnings"]
    assert [finding["severity"] for finding in machine["findings"]] == ["error", "error"]
    assert found.line.startswith(f"policy {bench.folder}/mine.yaml has 2 errors, the first: domains.pod: ")


def test_a_table_that_the_configuration_wants_must_be_covered(bench: Bench) -> None:
    file = a_policy_file(bench)
    del file["tables"]["node"]
    write_policy(bench, file)
    bench.set("collection", tables=["node"])

    wanted = bench.run("policy", "lint")
    bench.set("collection", tables=["pod"])
    unwanted = bench.run("policy", "lint")

    assert wanted.code == 5
    assert "error: tables.node: collection.tables wants it, and the policy does not name it" in wanted.out
    assert unwanted.code == 0
    assert "warning: tables.node: is not named, so it cannot be collected" in unwanted.out


def test_two_policies_are_compared_in_words(bench: Bench) -> None:
    file = a_policy_file(bench)
    file["tables"]["node"]["metrics"].remove("node_load1")
    file["vocabularies"]["severities"]["members"].append("page")
    write_policy(bench, file)

    told = bench.run("policy", "diff", "default")
    machine = json.loads(bench.run("policy", "diff", "default", "mine.yaml", "--json").out)
    checked = bench.run("policy", "diff", "default", "--check")
    narrower = bench.run("policy", "diff", "mine.yaml", "mine.yaml", "--check")

    assert (told.code, told.err) == (0, "")
    assert told.out.splitlines()[1:] == [
        "no longer published: metric node_load1 of table node",
        "now published in clear: page of severities",
    ]
    assert [(each["place"], each["widens"]) for each in machine["changes"]] == [
        ("tables.node.node_load1", False),
        ("vocabularies.severities", True),
    ]
    assert checked.code == 5
    assert checked.line == "1 changes publish more than before, the first: now published in clear: page of severities"
    assert narrower.code == 0
    assert narrower.out.endswith("nothing else would be published, and nothing less\n")


def test_without_a_release_there_is_nothing_to_compare_with(bench: Bench) -> None:
    told = bench.run("policy", "diff")

    assert told.code == 2
    assert told.line.startswith("no release is published in file:")


def test_the_configured_policy_is_compared_with_the_last_release(bench: Bench, prometheus: Server) -> None:
    """The question before each release: what would be in it that was not in the last one?"""
    start, end = collect(bench, prometheus, seconds=3)
    span = ("--start", f"{start:%FT%TZ}", "--end", f"{end:%FT%TZ}")
    for version, stop in (("2026.9.0", start + SECOND), ("2026.11.0", end)):
        begun = start if version == "2026.9.0" else start + SECOND
        ran = bench.run("release", version, "--start", f"{begun:%FT%TZ}", "--end", f"{stop:%FT%TZ}")
        assert (ran.code, bench.run("publish", version).code) == (0, 0), ran.err
    same = bench.run("policy", "diff")
    folder = bench.run("policy", "diff", "public/releases/2026.9.0")
    file = a_policy_file(bench)
    file["tables"]["scrape"]["metrics"].remove("up")
    file["vocabularies"]["public_scrape_jobs"]["members"].append("zebra")
    write_policy(bench, file)
    shutil.rmtree(bench.folder / "staging/policies", ignore_errors=True)  # as if collected before policies were kept
    unknown = bench.run("policy", "diff", "2026.11.0")
    keep_policy(open_store(f"file:{bench.folder}/staging"), read_policy("default"))
    known = bench.run("policy", "diff")

    assert span[1] < span[3]
    assert same.code == folder.code == 0
    assert same.out.startswith("from release 2026.11.0 (policy default) to default version ")
    assert same.out.splitlines()[1:] == ["nothing else would be published, and nothing less"]
    assert folder.out.splitlines()[1:] == same.out.splitlines()[1:]
    lost = "no longer published: metric up of table scrape"
    assert lost in unknown.out
    assert unknown.out.endswith(
        "words and domains were not compared: the release's policy is not in the staging store\n"
    )
    assert known.out.splitlines()[1:] == [lost, "now published in clear: zebra of public_scrape_jobs"]


@pytest.mark.parametrize(
    ("older", "code", "told"),
    [
        ("lax", 5, "found no policy 'lax'; wanted the path of a policy file, or one of default"),
        ("2031.1.0", 2, "wanted a whole release, or a policy"),
        ("staging", 2, "found no staging/manifest.json; wanted a whole release, or a policy"),
    ],
)
def test_what_cannot_be_compared_is_told(bench: Bench, older: str, code: int, told: str) -> None:
    (bench.folder / "staging").mkdir()

    ran = bench.run("policy", "diff", older)

    assert ran.code == code
    assert told in ran.line
