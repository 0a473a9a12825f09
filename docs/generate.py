"""Write the parts of the documentation that the code knows: ``python docs/generate.py``; a test holds them current.

Pure but for ``main``: the configuration reference from ``Settings``, the exit codes from ``schemas.errors``, and a
page for every table from the registry. The figures of scale.md come from what was measured, in scale.json, those of
privacy.md and the README from demo/attacks.json.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from benchmarks.scale_page import scale_lines
from jobs.card.attacked import say_attacks, say_briefly, say_where
from jobs.config import PREFIX, PositiveSpan, Settings, Size
from schemas import errors
from schemas.attacks import AttackReport
from schemas.errors import PublisherError
from schemas.policy import Policy
from schemas.registry import latest_tables, read_policy
from schemas.table import LabelColumn, TableSchema
from schemas.windows import format_duration

DOCS: Final = Path(__file__).parent
BEGIN: Final = "<!-- generated: python docs/generate.py -->"
END: Final = "<!-- end of what is generated -->"

MEANINGS: Final[Mapping[str, str]] = {
    "source.name": "The source's name: part of every key of the staging store; published as a token only.",
    "source.provenance": "Printed on the card, in the manifest and in the catalog. A release is one or the other.",
    "source.url": "Base URL of a Prometheus API, without `/api/v1`.",
    "source.replicas": "The other members of an HA pair: base URLs of servers that watch the same targets and let us "
    "in like the first. For each metric and window the one that has most samples serves, and the next best where it "
    "fails.",
    "source.read": "`auto` takes streamed remote read where the server has it, else the query API (`http`).",
    "source.identity": "`kubernetes` takes the nodes' names and addresses from `kube_node_info`, and fails tables that "
    "name hosts without it. `none`: no cluster to ask, every host is its own node.",
    "source.match": "Labels and their values that every series of the source has, such as `{cluster: east}`: added to "
    "every selector.",
    "source.bearer_token_file": "File with a bearer token, read again for every request, since Kubernetes rotates it.",
    "source.basic_auth.username": "User of HTTP basic authentication.",
    "source.basic_auth.password_file": "File with that user's password.",
    "source.tls.ca_file": "Certificate authority of the server; the system's own by default.",
    "source.tls.cert_file": "Client certificate.",
    "source.tls.key_file": "Key of the client certificate.",
    "source.headers": "HTTP headers for every request, such as `{X-Scope-OrgID: team}`; never printed.",
    "source.proxy_url": "HTTP proxy on the way to the source, such as `http://user:password@proxy.example:3128`; never "
    "printed. `http_proxy` and its like in the environment are not heeded.",
    "source.external_labels": "Labels that the server adds to what leaves it. They are no part of a series' identity; "
    "only the names count.",
    "source.replica_labels": "Labels that tell replicas of one server apart; no part of a series' identity either. "
    "Where a querier shows several replicas by them, the best covered serves.",
    "source.timeout": "How long a request may wait for the server's next bytes.",
    "source.retries": "How often a read is tried again that failed in passing (429, 5xx, no answer in time, a broken "
    "connection), after pauses that double and that honour `Retry-After`.",
    "collection.window": "Width of a window; divides a day. Fixed for the life of a staging store.",
    "collection.step": "Step of the grid; divides the window. Fixed for the life of a staging store.",
    "collection.timestamps": "`grid`, or `raw`: samples keep the times of their scrapes. Those identify targets, so "
    "raw snapshots are for private use: no release is made from them. Wants remote read. Fixed for the life of a "
    "staging store.",
    "collection.lookback": "The server's `query.lookback-delta`; a server that says otherwise is refused. Fixed for "
    "the life of a staging store.",
    "collection.settle": "How long after its end a window is left alone, since scrapes and remote write lag.",
    "collection.max_catch_up": "How far back missed windows are still collected, as far as the server has them.",
    "collection.tables": "`all`, or a list of [table names](tables/README.md).",
    "collection.schemas": "Folder of [tables of your own](own-tables.md).",
    "limits.concurrent_reads": "How many metrics are read at once. The collector slows down by itself when the "
    "server's answers take longer.",
    "limits.max_series_per_read": "Series are counted before they are read, and a metric with more is read in parts, "
    "divided by its labels.",
    "limits.memory": "What a run may take: 320 MiB for the process and 64 MiB for each read in flight, of which "
    "there are as many as have room.",
    "limits.deadline": "After this time a run ends, in the middle of a read if need be: exit code 8, and what was "
    "committed is kept.",
    "privacy.policy": "Name of a shipped policy, or the path of a policy file (`.yaml`).",
    "privacy.key_file": "The key ring. Mode 0600; a file that others may read or the group may write is refused.",
    "privacy.k_anonymity": "How many machines or workloads of a release must share a word that could point at one; "
    "else it is `other`: "
    "[policy.md](policy.md#small-groups).",
    "privacy.time": "In which time releases are told: `calendar`; `shifted` by random whole weeks, the same for all "
    "releases of a key; or `relative`, with 1970-01-01 as the first day. One mode for all releases of a key: "
    "[privacy.md](privacy.md#time).",
    "privacy.attacks": "A report of attacks, as `make attack` writes it; the card and `privacy.json` print its "
    "figures, and "
    "what they were measured on.",
    "privacy.tier": "What releases hold: `series`; or `aggregate`, sums over at least `k_anonymity` pods or machines "
    "for each namespace and kind of workload, and no series: [privacy.md](privacy.md#aggregates).",
    "privacy.word_list": "File of words that must be in no release, in any form: the organisation, its domains, its "
    "people. One a line, `#` begins a remark. Others must not be able to read it.",
    "staging": "Private store of the snapshots: `file:<folder>` or `s3://<bucket>/<prefix>`.",
    "public": "Public store of the releases, of the same two forms.",
    "work_dir": "Where windows are collected, in private folders that go away, and releases are built and kept.",
    "release.title": "Title on the card and in the manifest.",
    "release.license": "SPDX identifier of the data's licence.",
    "release.maintainer": "Who publishes; printed.",
    "release.contact": "Where findings and requests for removal go; printed.",
    "release.hold_back": "How old data must be before they are published. `release` leaves younger windows out, and "
    "refuses an `--end` among them with exit code 5; `publish` looks again.",
    "publish.url": "Address at which readers reach the public store, if it is not the store's own: `retract` asks "
    "there, without credentials, whether everything is gone.",
    "publish.approvals": "How many people must approve a built release (`opspub approve`) before `publish` takes it.",
    "publish.signing_key_file": "The Ed25519 key that signs releases when they are published, as `opspub signing new` "
    "makes it. Mode 0600; a file that others may read is refused: [signing.md](signing.md).",
    "s3_endpoint_url": "S3 server other than Amazon's, such as `https://s3.example.org`; "
    "`https://{bucket}.s3.example.org` where the bucket belongs in the host's name. `S3_ENDPOINT_URL` serves too.",
}


def main() -> None:
    """Write everything."""
    for path, text in render_all().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


def render_all() -> dict[Path, str]:
    """Return every file that is generated, or has a generated part, with what it should hold."""
    measured = json.loads((DOCS / "scale.json").read_text("utf-8"))
    parts = {
        "configuration.md": configuration_lines(),
        "errors.md": error_lines(),
        "scale.md": scale_lines(measured),
    }
    files = {DOCS / name: fill((DOCS / name).read_text("utf-8"), lines) for name, lines in parts.items()}
    attacked = AttackReport.model_validate_json((DOCS.parent / "demo/attacks.json").read_bytes())
    files[DOCS / "privacy.md"] = fill((DOCS / "privacy.md").read_text("utf-8"), attack_lines(attacked))
    readme = DOCS.parent / "README.md"
    files[readme] = fill(readme.read_text("utf-8"), brief_lines(attacked))
    policy = read_policy("default")
    for name, table in latest_tables().items():
        files[DOCS / "tables" / f"{name}.md"] = "\n".join(table_lines(table, policy)) + "\n"
    files[DOCS / "tables" / "README.md"] = "\n".join(index_lines()) + "\n"
    return files


def fill(text: str, lines: Iterator[str]) -> str:
    """Return a page with new lines between its two markers."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.split(END)[1]}"


def setting_keys(model: type[BaseModel] = Settings, place: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key of the configuration by its full name, with its field."""
    for name, field in model.model_fields.items():
        section = _section(field.annotation)
        if section:
            yield from setting_keys(section, f"{place}{name}.")
        else:
            yield f"{place}{name}", field


def configuration_lines() -> Iterator[str]:
    """Yield the reference of the configuration."""
    yield "| key | type | default | meaning | in the environment |"
    yield "|---|---|---|---|---|"
    for key, field in setting_keys():
        variable = PREFIX + key.upper().replace(".", "__")
        yield f"| `{key}` | {describe_type(field)} | {describe_default(field)} | {MEANINGS[key]} | `{variable}` |"


def describe_type(field: FieldInfo) -> str:
    """Return the type of a key in words."""
    if field.annotation is timedelta:
        return "duration over 0s" if _checks(PositiveSpan) <= _checks(field) else "duration"
    return "size" if _is_size(field) else _words(field.annotation)


def describe_default(field: FieldInfo) -> str:
    """Return the default of a key as a configuration file would spell it."""
    if field.is_required():
        return "required"
    default = field.default
    if default is None:
        return "none"
    if isinstance(default, timedelta):
        return f"`{format_duration(default)}`"
    if _is_size(field):
        return f"`{default >> 20}MiB`"
    if isinstance(default, tuple):
        return f"`[{', '.join(default)}]`"
    return f"`{default}`"


def error_lines() -> Iterator[str]:
    """Yield the exit codes."""
    yield "| code | error | when |"
    yield "|--:|---|---|"
    yield "| 0 | | Done; nothing due is done too. |"
    yield "| 1 | | Anything unexpected; the traceback follows. |"
    for error in error_classes():
        yield f"| {error.exit_code} | `{error.__name__}` | {(error.__doc__ or '').strip()} |"


def error_classes() -> list[type[PublisherError]]:
    """Return every error that a command may end with, by exit code."""
    found = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, PublisherError)]
    return sorted((each for each in found if each is not PublisherError), key=lambda error: error.exit_code)


def attack_lines(report: AttackReport) -> Iterator[str]:
    """Yield what the demo's report of attacks says."""
    yield f"Measured on {say_where(report)}."
    yield ""
    for title, said in say_attacks(report):
        yield f"- **{title}** {said}"


def brief_lines(report: AttackReport) -> Iterator[str]:
    """Yield the README's line of measured privacy."""
    yield f"Attacked by `make attack`, on simulated data: {say_briefly(report)}."


def index_lines() -> Iterator[str]:
    """Yield the list of tables."""
    yield "# Tables"
    yield ""
    yield "Generated from `schemas/tables/` by `python docs/generate.py`. `opspub schema show TABLE` prints the same."
    yield ""
    yield "| table | version | family | metrics | what it holds |"
    yield "|---|---|---|--:|---|"
    for name, table in latest_tables().items():
        yield (
            f"| [`{name}`]({name}.md) | {table.version} | {table.family} | {len(table.metrics)} | {table.description} |"
        )


def table_lines(table: TableSchema, policy: Policy) -> Iterator[str]:
    """Yield the page of one table."""
    yield f"# Table `{table.table}`"
    yield ""
    yield f"{table.description} Version {table.version}, family `{table.family}`. [All tables](README.md)."
    yield ""
    yield "## Columns"
    yield ""
    yield "Beside these, every row has `timestamp`, `series_id` and `value`. Rows are sorted by"
    yield f"{', '.join(f'`{name}`' for name in table.sort_key)}, then series and time."
    yield ""
    yield "| column | made from the label | published as | meaning |"
    yield "|---|---|---|---|"
    for column in table.labels:
        labels = ", else ".join(f"`{label}`" for label in column.source_labels)
        yield f"| `{column.name}` | {labels} | {_kind(column, policy)} | {column.meaning} |"
    yield ""
    yield "## Metrics"
    yield ""
    yield "| metric | type | unit | value | meaning |"
    yield "|---|---|---|---|---|"
    for metric in table.metrics:
        only = f" Only series with {', '.join(f'`{matcher}`' for matcher in metric.match)}." if metric.match else ""
        yield f"| `{metric.name}` | {metric.type} | {metric.unit} | {metric.value} | {metric.meaning}{only} |"


def _kind(column: LabelColumn, policy: Policy) -> str:
    if column.number:
        return "number" if column.number == "int32" else "number as text"
    if column.vocabulary:
        return f"word of the list `{column.vocabulary}`"
    domain = policy.domains[column.identity or ""]
    public = f", or a name of the list `{domain.public}`" if domain.public else ""
    return f"pseudonym `{domain.prefix}_…`{public}"


def _checks(annotated: Any) -> set[str]:  # noqa: ANN401 - an annotated type, or the field that has it
    """Return the names of the functions that check a value."""
    metadata = annotated.metadata if isinstance(annotated, FieldInfo) else get_args(annotated)[1:]
    return {each.func.__name__ for each in metadata if hasattr(each, "func")}


def _is_size(field: FieldInfo) -> bool:
    return field.annotation is int and _checks(Size) <= _checks(field)


def _section(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - a type as pydantic keeps it
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
    return None


def _words(annotation: Any) -> str:  # noqa: ANN401 - a type as pydantic keeps it
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_words(each) for each in arguments if each is not type(None))
    if origin is tuple:
        return "list of text"
    if origin is dict:
        return "mapping of text"
    return {str: "text", SecretStr: "text", int: "number", Path: "path"}[annotation]


if __name__ == "__main__":
    main()
