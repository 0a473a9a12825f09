"""The configuration: one file, checked whole, and no secret of it ever shown."""

import traceback
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.config import Settings, check_settings, merge_environment, read_settings
from schemas.errors import UsageError

SECRET = "made-up-secret-of-the-tests"
SOURCE = {"name": "lab", "url": "http://prometheus.example:9090"}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the person who runs the tests has set, and wherever they stand."""
    for variable in ("OPSPUB_CONFIG", "OPSPUB_SOURCE__URL", "S3_ENDPOINT_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def a_file(folder: Path, name: str = "opspub.yaml", **sections: object) -> Path:
    """Write a configuration; ``source`` is given unless it is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(yaml.safe_dump({"source": SOURCE} | sections))
    return path


def check(**sections: object) -> Settings:
    return check_settings({"source": SOURCE} | sections, "opspub.yaml")


def refusal(given: Mapping[str, Any]) -> str:
    """Return why a configuration is refused; no part of the error may hold the secret."""
    with pytest.raises(UsageError) as caught:
        check_settings(given, "opspub.yaml")
    assert caught.value.exit_code == 2
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_the_environment_overrides_the_file_and_the_file_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_file(tmp_path, collection={"step": "15s", "settle": "2m"})
    monkeypatch.setenv("OPSPUB_COLLECTION__SETTLE", "7m")
    monkeypatch.setenv("OPSPUB_PRIVACY__K_ANONYMITY", "9")

    settings = read_settings(path)

    assert settings.collection.settle == timedelta(minutes=7)
    assert settings.collection.step == timedelta(seconds=15)
    assert settings.collection.window == timedelta(hours=1)
    assert settings.privacy.k_anonymity == 9


def test_the_flag_names_the_file_before_the_variable_does_and_that_before_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_file(tmp_path, source=SOURCE | {"name": "here"})
    variable = a_file(tmp_path / "etc", source=SOURCE | {"name": "variable"})
    flag = a_file(tmp_path / "flag", source=SOURCE | {"name": "flag"})
    assert read_settings(None).source.name == "here"
    monkeypatch.setenv("OPSPUB_CONFIG", str(variable))

    assert read_settings(None).source.name == "variable"
    assert read_settings(flag).source.name == "flag"


def test_a_variable_makes_a_section_that_the_file_has_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSPUB_SOURCE__TLS__CA_FILE", "ca.pem")
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://s3.example:7480")

    settings = read_settings(a_file(tmp_path))

    assert settings.source.tls.ca_file == tmp_path / "ca.pem"
    assert settings.s3_endpoint_url == "http://s3.example:7480"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("007", "007"),
        ("1e3", "1e3"),
        ("2026-11-01", "2026-11-01"),
        ("2026-13-41", "2026-13-41"),
        ("true", "true"),
        ("a: b: c", "a: b: c"),
        ("@x", "@x"),
        ("http://h:9090", "http://h:9090"),
        ("", None),
        ("null", None),
        ("[node, gpu]", ["node", "gpu"]),
        ("{cluster: east-1}", {"cluster": "east-1"}),
    ],
)
def test_a_variable_is_the_text_that_it_is(text: str, value: object) -> None:
    """A tenant called 007 is not the number 7, nor a password that looks like a date a date."""
    given = {"source": {"name": "lab"}}

    assert merge_environment(given, {"OPSPUB_SOURCE__X": text}) == {"source": {"name": "lab", "x": value}}
    assert given == {"source": {"name": "lab"}}


def test_numbers_and_lists_may_come_from_variables() -> None:
    variables = {
        "OPSPUB_LIMITS__CONCURRENT_READS": "4",
        "OPSPUB_LIMITS__MEMORY": "1073741824",
        "OPSPUB_COLLECTION__TABLES": "[node]",
        "OPSPUB_SOURCE__HEADERS": "{X-Scope-OrgID: '007'}",
    }

    settings = check_settings(merge_environment({"source": SOURCE}, variables), "opspub.yaml")

    assert settings.limits.concurrent_reads == 4
    assert settings.limits.memory == 1 << 30
    assert settings.collection.tables == ("node",)
    assert settings.source.headers["X-Scope-OrgID"].get_secret_value() == "007"


@pytest.mark.parametrize(
    ("sections", "unknown", "nearest"),
    [
        ({"colection": {}}, "colection", "collection"),
        ({"collection": {"windw": "1h"}}, "collection.windw", "collection.window"),
        ({"source": SOURCE | {"tls": {"cafile": "x"}}}, "source.tls.cafile", "source.tls.ca_file"),
        (
            {"source": SOURCE | {"basic_auth": {"username": "u", "password": SECRET}}},
            "source.basic_auth.password",
            "source.basic_auth.password_file",
        ),
        ({"source": SOURCE | {"bearer_token": SECRET}}, "source.bearer_token", "source.bearer_token_file"),
        ({"s3_endpoint": "http://x"}, "s3_endpoint", "s3_endpoint_url"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(sections: dict[str, Any], unknown: str, nearest: str) -> None:
    message = refusal({"source": SOURCE} | sections)

    assert message.startswith(f"opspub.yaml: unknown key {unknown}; the nearest known one is {nearest}")


def test_a_misspelt_key_is_named_before_what_it_leaves_missing() -> None:
    """``ulr`` makes ``url`` missing; the first says what to mend."""
    message = refusal({"source": {"name": "lab", "ulr": "http://x"}, "limits": {"memory": "x"}})

    assert message == ("opspub.yaml: unknown key source.ulr; the nearest known one is source.url (3 problems in all)")


@pytest.mark.parametrize(
    "source",
    [
        {"headers": {"Authorization": [SECRET]}},
        {"headers": {"Authorization": {"token": SECRET}}},
        {"headers": SECRET},
        {"headers": [SECRET]},
        {"basic_auth": SECRET},
        {"basic_auth": [SECRET]},
        {"basic_auth": {"username": {"u": SECRET}, "password_file": "x"}},
        {"basic_auth": {"username": "u", "password_file": [SECRET]}},
        {"bearer_token_file": {"token": SECRET}},
        {"url": f"user:{SECRET}@prometheus.example"},
        {"tls": {"key_file": [SECRET]}},
    ],
)
def test_a_secret_in_the_wrong_place_is_never_shown(source: dict[str, object]) -> None:
    """The log of a CronJob is read by more people than its Secret."""
    assert refusal({"source": SOURCE | source}).startswith("opspub.yaml: source.")


def test_a_file_that_is_not_yaml_shows_its_line_and_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "opspub.yaml"
    path.write_text(f"source:\n  headers: {{Authorization: [{SECRET}\n")

    with pytest.raises(UsageError, match=r"opspub\.yaml is not YAML at line 3$") as caught:
        read_settings(path)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"release: {title: 2026-13-41}"])
def test_a_file_that_yaml_chokes_on_is_no_traceback(tmp_path: Path, content: bytes) -> None:
    """Not UTF-8, and a date that no calendar has: PyYAML raises plain ValueErrors there."""
    (tmp_path / "opspub.yaml").write_bytes(content)

    with pytest.raises(UsageError, match=r"opspub\.yaml is not YAML"):
        read_settings(None)


@pytest.mark.parametrize("content", ["", "# nothing\n", "- a\n- b\n", "text"])
def test_a_file_that_is_no_mapping_says_where_an_example_is(tmp_path: Path, content: str) -> None:
    (tmp_path / "opspub.yaml").write_text(content)

    with pytest.raises(UsageError, match=r"is not a mapping; see docs/configuration\.md"):
        read_settings(None)


@pytest.mark.parametrize("name", ["gone.yaml", "."])
def test_a_file_that_cannot_be_read_says_how_to_name_another(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be read: .*; give --config FILE or set OPSPUB_CONFIG"):
        read_settings(tmp_path / name)


def test_relative_paths_are_seen_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CronJob, a person and a test start in different folders."""
    path = a_file(
        tmp_path / "etc" / "opspub",
        source=SOURCE
        | {
            "bearer_token_file": "token",
            "basic_auth": {"username": "u", "password_file": "/run/password"},
            "tls": {"ca_file": "../ca.pem"},
        },
        privacy={"key_file": "opspub.key", "policy": "policies/own.yaml"},
        staging="file:./staging",
        public="file:/srv/public",
    )
    monkeypatch.chdir("/")

    settings = read_settings(path)

    etc = tmp_path / "etc"
    assert settings.source.bearer_token_file == etc / "opspub/token"
    assert settings.source.basic_auth
    assert settings.source.basic_auth.password_file == Path("/run/password")
    assert settings.source.tls.ca_file == etc / "ca.pem"
    assert settings.source.tls.key_file is None
    assert settings.privacy.key_file == etc / "opspub/opspub.key"
    assert settings.privacy.policy == str(etc / "opspub/policies/own.yaml")
    assert settings.staging == f"file:{etc}/opspub/staging"
    assert settings.public == "file:/srv/public"
    assert settings.work_dir == etc / "opspub/.opspub"


def test_buckets_and_shipped_policies_are_no_paths(tmp_path: Path) -> None:
    settings = read_settings(a_file(tmp_path, staging="s3://bucket/prefix", privacy={"policy": "default"}))

    assert settings.staging == "s3://bucket/prefix"
    assert settings.privacy.policy == "default"


def test_a_relative_file_is_still_seen_from_itself(tmp_path: Path) -> None:
    a_file(tmp_path / "etc")

    assert read_settings(Path("etc/opspub.yaml")).privacy.key_file == tmp_path / "etc/opspub.key"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("0s", timedelta()),
        ("1h30m", timedelta(minutes=90)),
        ("1w2d", timedelta(days=9)),
    ],
)
def test_durations_are_written_as_in_prometheus(text: str, span: timedelta) -> None:
    assert check(collection={"settle": text}).collection.settle == span


@pytest.mark.parametrize("value", ["10", "", "1.5h", "30 s", "m", "-5m", "30m1h", "PT1H", "1h\n", 10, -10, 0.5, True])
def test_what_is_no_duration_is_refused_with_an_example(value: object) -> None:
    """A bare 10 would be seconds to one reader and minutes to the next."""
    message = refusal({"source": SOURCE, "collection": {"settle": value}})

    assert message.startswith("opspub.yaml: collection.settle: ")
    assert message.endswith("such as 30s, 5m, 1h30m or 7d")


@pytest.mark.parametrize("key", ["window", "step", "lookback", "max_catch_up"])
def test_a_span_of_nothing_is_refused(key: str) -> None:
    message = refusal({"source": SOURCE, "collection": {key: "0s"}})

    assert message == f"opspub.yaml: collection.{key}: must be longer than 0s"


@pytest.mark.parametrize(("window", "step"), [("1h", "7s"), ("1m", "2m"), ("1h", "1h1s"), ("10s", "1500ms")])
def test_a_window_is_made_of_whole_steps(window: str, step: str) -> None:
    message = refusal({"source": SOURCE, "collection": {"window": window, "step": step}})

    assert message.startswith(f"opspub.yaml: collection.window {window} is not made of whole steps of ")
    assert message.endswith("; choose a step that divides the window")


@pytest.mark.parametrize("window", ["7h", "2d", "11m", "25h", "1w"])
def test_a_window_divides_a_day(window: str) -> None:
    """Releases are made of whole days."""
    message = refusal({"source": SOURCE, "collection": {"window": window, "step": "1m"}})

    assert message.startswith("opspub.yaml: collection.window ")
    assert message.endswith(" does not divide a day; choose one such as 1m, 15m, 1h or 1d")


@pytest.mark.parametrize("window", ["1m", "15m", "1h", "8h", "1d"])
def test_windows_that_fit_are_taken(window: str) -> None:
    assert check(collection={"window": window}).collection.step == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("given", "size"), [("512MiB", 512 << 20), ("2GiB", 2 << 30), ("100 KiB", 102_400), ("7B", 7), ("7", 7), (7, 7)]
)
def test_sizes(given: object, size: int) -> None:
    assert check(limits={"memory": given}).limits.memory == size


@pytest.mark.parametrize("given", ["", "x", "1.5GiB", "-1MiB", "512MB", "0", 0, -1, None])
def test_what_is_no_size_is_refused(given: object) -> None:
    assert refusal({"source": SOURCE, "limits": {"memory": given}}).startswith("opspub.yaml: limits.memory: ")


@pytest.mark.parametrize("name", ["Lab", "a/b", "../x", "", "a_b", "-a", "a" * 64, "a\n"])
def test_a_source_has_a_name_that_may_stand_in_a_key(name: str) -> None:
    """It is part of every key of the staging store."""
    assert refusal({"source": SOURCE | {"name": name}}).startswith("opspub.yaml: source.name: ")


def test_settings_never_show_a_secret() -> None:
    settings = check(source=SOURCE | {"headers": {"Authorization": SECRET}})

    assert settings.source.headers["Authorization"].get_secret_value() == SECRET
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()
