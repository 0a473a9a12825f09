"""Leaks in what a release consists of: files, names, rules, schemas and coverage."""

from __future__ import annotations

import os

from tests.audit.release import TOKEN, Broken
from tests.audit.seeding import RAW, leak


# -- files
@leak("files", "unlisted-file")
def file_that_nobody_listed(broken: Broken) -> None:
    (broken.folder / "notes.txt").write_text("Nothing to see here.\n")


@leak("files", "unlisted-file")
def hidden_file(broken: Broken) -> None:
    (broken.folder / "data/.part-0.parquet.swp").write_text("Nothing to see here.\n")


@leak("files", "unlisted-file", "not-a-plain-file")
def folder_with_the_name_of_a_team(broken: Broken) -> None:
    (broken.folder / RAW).mkdir()


@leak("files", "not-a-plain-file")
def link_to_a_private_file(broken: Broken) -> None:
    broken.path("license").unlink()
    broken.path("license").symlink_to("/etc/hostname")


@leak("files", "not-a-plain-file")
def second_name_of_a_private_file(broken: Broken) -> None:
    private = broken.folder.with_name(f"{broken.folder.name}.private")
    os.link(broken.path("license"), private)


@leak("files", "path-not-in-grammar")
def file_with_the_name_of_a_team(broken: Broken) -> None:
    broken.add(f"{RAW}.md", b"Nothing to see here.\n", "card")


@leak("files", "path-not-in-grammar")
def role_that_is_not_known(broken: Broken) -> None:
    broken.entry("license")["role"] = "notes"


@leak("files", "path-not-in-grammar")
def role_of_another_file(broken: Broken) -> None:
    broken.entry("license")["role"] = "card"


@leak("files", "changed-file", fits=False)
def bytes_changed_after_all(broken: Broken) -> None:
    content = broken.path("license").read_bytes()
    broken.path("license").write_bytes(content.replace(b"e", b"a", 1))


@leak("files", "missing-file", fits=False)
def file_that_is_gone(broken: Broken) -> None:
    broken.path("license").unlink()


@leak("files", "differs-from-manifest", fits=False)
def line_more_in_the_sums(broken: Broken) -> None:
    broken.write_sums(f"# {RAW}\n")


@leak("files", "sums-differ", fits=False)
def message_in_a_sum(broken: Broken) -> None:
    broken.manifest["totals"]["bytes"] += 1
    broken.write_manifest()
    broken.write_sums()


# -- rules
@leak("rules", "another-policy")
def release_of_another_policy(broken: Broken) -> None:
    broken.manifest["policy_digest"] = "sha256:" + "0" * 64


@leak("rules", "not-in-grammar")
def metric_that_no_schema_has(broken: Broken) -> None:
    broken.manifest["tables"][0]["metrics"].append("made_up_metric_of_a_team")


@leak("rules", "unknown-metric", "index-names-other-files", "not-in-grammar")
def file_of_a_metric_that_no_schema_has(broken: Broken) -> None:
    entry = broken.entry()
    old, new = entry["path"], entry["path"].replace(entry["metric"], "made_up_metric")
    (broken.folder / new).parent.mkdir(parents=True)
    (broken.folder / old).rename(broken.folder / new)
    (broken.folder / old).parent.rmdir()
    (broken.folder / old).parent.parent.rmdir()
    entry["path"], entry["metric"] = new, "made_up_metric"


@leak("rules", "not-in-grammar")
def name_of_the_source_in_clear(broken: Broken) -> None:
    broken.manifest["sources"].append("prometheus-of-team")


@leak("rules", "not-in-inputs")
def token_of_a_source_that_gave_nothing(broken: Broken) -> None:
    broken.manifest["sources"].append(f"src_{TOKEN}")


@leak("rules", "unknown-schema", "differs-from-registry", "unknown-table")
def schema_that_nobody_reviewed(broken: Broken) -> None:
    broken.manifest["tables"][0]["schema_digest"] = "sha256:" + "0" * 64


@leak("rules", "differs-from-registry")
def copy_of_the_schema_with_a_column_more(broken: Broken) -> None:
    name = broken.entry("schema")["path"]
    broken.text(name, lambda text: text.replace('"meaning": "', '"meaning": "Of the team. ', 1))


@leak("rules", "missing-schema")
def copy_of_the_schema_left_out(broken: Broken) -> None:
    entry = broken.entry("schema")
    (broken.folder / entry["path"]).unlink()
    (broken.folder / "schemas").rmdir()
    broken.manifest["files"].remove(entry)


@leak("rules", "not-in-grammar")
def free_text_as_a_reason_of_coverage(broken: Broken) -> None:
    broken.change("reason", lambda reasons: ["broke when the team moved", *reasons[1:]], "coverage")


@leak("rules", "not-in-grammar")
def source_in_clear_in_coverage(broken: Broken) -> None:
    broken.change("source", lambda sources: [RAW, *sources[1:]], "coverage")
