"""The one door to the environment, and the configuration: a YAML file and OPSPUB_* variables, checked whole.

The order is flag, environment, file, default. Relative paths are relative to the file.
"""

import copy
import difflib
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from schemas.aggregate import Tier
from schemas.errors import UsageError
from schemas.timeline import TimeMode
from schemas.windows import format_duration, parse_duration

PREFIX: Final = "OPSPUB_"
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def _duration(value: object) -> object:
    if isinstance(value, int | float):  # seconds to one reader, minutes to the next
        raise ValueError("found a number; wanted a duration such as 30s, 5m, 1h30m or 7d")
    return parse_duration(value) if isinstance(value, str) else value


def _size(value: object) -> object:
    if isinstance(value, str) and not value.isdecimal():
        for unit, factor in sorted(_SIZES.items(), key=lambda pair: -len(pair[0])):
            number = value.removesuffix(unit)
            if number != value and number.strip().isdigit():
                return int(number) * factor
        raise ValueError(f"{value!r} is not a size; wanted one such as 512MiB")
    return value


def _positive(span: timedelta) -> timedelta:
    if span <= timedelta():
        raise ValueError("must be longer than 0s")
    return span


def _proxy_url(url: SecretStr | None) -> SecretStr | None:
    if url and not re.match(r"https?://[^\s/]", url.get_secret_value()):  # a pattern would be quoted with what it met
        raise ValueError("wanted the address of an HTTP proxy, such as http://user:password@proxy.example:3128")
    return url


Span = Annotated[timedelta, BeforeValidator(_duration)]
PositiveSpan = Annotated[Span, AfterValidator(_positive)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=1)]
_Value = TypeVar("_Value")
Hidden = Annotated[_Value, Field(repr=False)]
"""Values of labels, or a place that may name a password: never printed with the settings."""
Address = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Tls(_Section):
    """Certificates for the connection to the source."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class BasicAuth(_Section):
    """A user and the file of the password."""

    username: str
    password_file: Path


class Source(_Section):
    """Where the metrics come from."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    provenance: Literal["real", "simulated"] = "real"
    url: Hidden[Address]
    replicas: Hidden[tuple[Address, ...]] = ()
    read: Literal["auto", "remote-read", "http"] = "auto"
    identity: Literal["kubernetes", "none"] = "kubernetes"
    match: Hidden[dict[str, str]] = {}
    bearer_token_file: Path | None = None
    basic_auth: BasicAuth | None = None
    tls: Tls = Tls()
    headers: dict[str, SecretStr] = {}
    proxy_url: Annotated[SecretStr | None, AfterValidator(_proxy_url)] = None
    external_labels: Hidden[dict[str, str]] = {}
    replica_labels: tuple[str, ...] = ("prometheus_replica",)
    timeout: PositiveSpan = timedelta(seconds=60)
    retries: Annotated[int, Field(ge=0, le=10)] = 3


class Collection(_Section):
    """Which windows and tables are collected, and on which grid."""

    window: PositiveSpan = timedelta(hours=1)
    step: PositiveSpan = timedelta(seconds=30)
    timestamps: Literal["grid", "raw"] = "grid"
    lookback: PositiveSpan = timedelta(minutes=5)
    settle: Span = timedelta(minutes=10)
    max_catch_up: PositiveSpan = timedelta(days=7)
    tables: Literal["all"] | tuple[str, ...] = "all"
    schemas: Path | None = None


class Limits(_Section):
    """What a run may take from Prometheus and from its own machine."""

    concurrent_reads: Annotated[int, Field(ge=1, le=16)] = 2
    max_series_per_read: Annotated[int, Field(ge=1)] = 50_000
    memory: Size = 512 << 20
    deadline: PositiveSpan = timedelta(minutes=45)


class Privacy(_Section):
    """The policy, the key ring, and what releases tell."""

    policy: str = "default"
    key_file: Path = Path("opspub.key")
    k_anonymity: Annotated[int, Field(ge=2)] = 5
    attacks: Path | None = None
    time: TimeMode = "calendar"
    tier: Tier = "series"
    word_list: Path | None = None


class Release(_Section):
    """What is said of every release, and how old its data must be."""

    title: str = "Operations metrics"
    license: str = "CC-BY-4.0"
    maintainer: str = "unnamed"
    contact: str = "unnamed"
    hold_back: Span = timedelta()


class Publish(_Section):
    """How releases become public."""

    url: Annotated[str | None, Field(pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$")] = None
    approvals: Annotated[int, Field(ge=0, le=10)] = 0
    signing_key_file: Path | None = None


class Settings(_Section):
    """The whole configuration."""

    source: Source
    collection: Collection = Collection()
    limits: Limits = Limits()
    privacy: Privacy = Privacy()
    staging: str = "file:staging"
    public: str = "file:public"
    work_dir: Path = Path(".opspub")
    release: Release = Release()
    publish: Publish = Publish()
    s3_endpoint_url: str | None = None


def read_settings(path: Path | None) -> Settings:
    """Read the configuration; raise ``UsageError`` that names the first thing wrong and how to mend it."""
    environment = dict(os.environ)  # noqa: TID251 - this is the door
    found = find_config(path)
    try:
        given = yaml.safe_load(found.read_text("utf-8"))
    except OSError as error:
        raise UsageError(
            f"configuration {found} cannot be read: {error.strerror}; give --config FILE or set {PREFIX}CONFIG"
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date that no calendar has
        place = getattr(error, "problem_mark", None)
        line = f" at line {place.line + 1}" if place else ""
        raise UsageError(f"configuration {found} is not YAML{line}") from None
    if not isinstance(given, dict):
        raise UsageError(f"configuration {found} is not a mapping; see docs/configuration.md for an example")
    merged = merge_environment(given, environment)
    return resolve_paths(check_settings(merged, str(found)), found.absolute().parent)


def find_config(path: Path | None) -> Path:
    """Return where the configuration lies: as given, else as the environment says, else here."""
    return path or Path(os.environ.get(f"{PREFIX}CONFIG", "opspub.yaml"))  # noqa: TID251 - this is the door


def merge_environment(given: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the file's mapping with ``OPSPUB_SECTION__KEY`` variables over it.

    A value is the text that it is; only a list, a mapping and ``null`` are read as YAML.

    >>> merge_environment({"source": {"url": "http://a"}}, {"OPSPUB_SOURCE__URL": "http://b"})
    {'source': {'url': 'http://b'}}
    """
    merged = copy.deepcopy(dict(given))
    for variable in sorted(environment):
        if variable.startswith(PREFIX) and variable != f"{PREFIX}CONFIG":
            *sections, key = variable.removeprefix(PREFIX).lower().split("__")
            place = merged
            for section in sections:
                if not isinstance(place.get(section), dict):
                    place[section] = {}
                place = place[section]
            place[key] = _read_variable(environment[variable])
    if "s3_endpoint_url" not in merged and environment.get("S3_ENDPOINT_URL"):
        merged["s3_endpoint_url"] = environment["S3_ENDPOINT_URL"]
    return merged


def _read_variable(text: str) -> object:
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
    return value if value is None or isinstance(value, dict | list) else text  # a tenant 007 is no number


def check_settings(given: Mapping[str, Any], place: str) -> Settings:
    """Return checked settings; raise ``UsageError`` for the first problem."""
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        problems.sort(key=lambda problem: problem["type"] != "extra_forbidden")  # a misspelt key explains the rest
        more = f" ({len(problems)} problems in all)" if len(problems) > 1 else ""
        raise UsageError(f"{place}: {_explain(problems[0])}{more}") from None
    collection = settings.collection
    if collection.window % collection.step:
        raise UsageError(
            f"{place}: collection.window {format_duration(collection.window)} is not made of whole steps of "
            f"{format_duration(collection.step)}; choose a step that divides the window"
        )
    if timedelta(days=1) % collection.window:
        raise UsageError(
            f"{place}: collection.window {format_duration(collection.window)} does not divide a day; "
            "choose one such as 1m, 15m, 1h or 1d"
        )
    return settings


def resolve_paths(settings: Settings, folder: Path) -> Settings:
    """Return the settings with every relative path made absolute, as seen from the file's folder."""

    def absolute(path: Path | None) -> Path | None:
        return Path(os.path.normpath(folder / path)) if path else None

    def store(url: str) -> str:
        scheme, _, rest = url.partition(":")
        return f"file:{os.path.normpath(folder / rest.removeprefix('//'))}" if scheme == "file" else url

    source = settings.source
    tls = source.tls.model_copy(update={name: absolute(getattr(source.tls, name)) for name in Tls.model_fields})
    auth = source.basic_auth
    if auth:
        auth = auth.model_copy(update={"password_file": absolute(auth.password_file)})
    policy = settings.privacy.policy
    if policy.endswith((".yaml", ".yml")):
        policy = str(folder / policy)
    return settings.model_copy(
        update={
            "source": source.model_copy(
                update={"bearer_token_file": absolute(source.bearer_token_file), "tls": tls, "basic_auth": auth}
            ),
            "collection": settings.collection.model_copy(update={"schemas": absolute(settings.collection.schemas)}),
            "privacy": settings.privacy.model_copy(
                update={
                    "key_file": absolute(settings.privacy.key_file),
                    "policy": policy,
                    "attacks": absolute(settings.privacy.attacks),
                    "word_list": absolute(settings.privacy.word_list),
                }
            ),
            "staging": store(settings.staging),
            "public": store(settings.public),
            "work_dir": absolute(settings.work_dir),
            "publish": settings.publish.model_copy(
                update={"signing_key_file": absolute(settings.publish.signing_key_file)}
            ),
        }
    )


def _explain(problem: ErrorDetails) -> str:
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] != "extra_forbidden":
        return f"{place}: {problem['msg'].removeprefix('Value error, ')}"
    known = _known_keys(Settings, problem["loc"][:-1])
    nearest = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.0)
    return f"unknown key {place}; the nearest known one is {'.'.join((*map(str, problem['loc'][:-1]), *nearest))}"


def _known_keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    for step in place:
        annotation = model.model_fields[str(step)].annotation if str(step) in model.model_fields else None
        for choice in (annotation, *get_args(annotation)):  # a section may be optional
            if isinstance(choice, type) and issubclass(choice, BaseModel):
                model = choice
    return list(model.model_fields)
