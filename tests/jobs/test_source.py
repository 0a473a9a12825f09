"""From the configuration to how a source is reached: what cannot work is told before anything is sent."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.config import Settings, check_settings
from jobs.source import access_from
from schemas.errors import UsageError

PASSWORD = "sesame-of-the-cluster"
PROXY = f"http://reader:{PASSWORD}@proxy.example:3128"


def a_source(**changed: Any) -> Settings:  # noqa: ANN401 - any key
    return Settings.model_validate({"source": {"name": "lab", "url": "http://prometheus.example", **changed}})


def test_everything_that_is_configured_arrives(tmp_path: Path) -> None:
    for name in ("password", "ca", "cert", "key"):
        (tmp_path / name).write_text(f"{PASSWORD}-{name}\n")

    access = access_from(
        a_source(
            bearer_token_file=tmp_path / "token",
            basic_auth={"username": "reader", "password_file": tmp_path / "password"},
            tls={"ca_file": tmp_path / "ca", "cert_file": tmp_path / "cert", "key_file": tmp_path / "key"},
            headers={"X-Scope-OrgID": "007"},
            proxy_url=PROXY,
            timeout="5s",
            retries=7,
        )
    )

    assert access.url == "http://prometheus.example"
    assert access.bearer_token_file == tmp_path / "token"
    assert access.basic_auth == ("reader", f"{PASSWORD}-password")
    assert (access.ca_file, access.cert_file, access.key_file) == tuple(
        tmp_path / each for each in ("ca", "cert", "key")
    )
    assert access.headers == {"X-Scope-OrgID": "007"}
    assert access.proxy_url == PROXY
    assert (access.timeout_seconds, access.retries) == (5.0, 7)


def test_secrets_of_the_configuration_show_in_no_repr() -> None:
    settings = a_source(proxy_url=PROXY, headers={"X-Scope-OrgID": PASSWORD})

    assert PASSWORD not in f"{settings!r} {settings} {access_from(settings)!r} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "url", ["proxy.example:3128", f"reader:{PASSWORD}@proxy.example", "socks5://a", "http://", "ftp://a"]
)
def test_an_address_that_is_no_proxy_is_refused_untold(url: str) -> None:
    with pytest.raises(UsageError, match=r"source\.proxy_url: wanted the address of an HTTP proxy") as caught:
        check_settings({"source": {"name": "lab", "url": "http://prometheus.example", "proxy_url": url}}, "opspub.yaml")

    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("retries", [-1, 11, "many"])
def test_retries_are_a_small_number(retries: object) -> None:
    with pytest.raises(ValidationError, match="retries"):
        a_source(retries=retries)


@pytest.mark.parametrize("name", ["ca_file", "cert_file", "key_file"])
def test_a_certificate_that_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    """The library's own word for it would be that there is no connection."""
    given = {"cert_file": _file(tmp_path / "cert"), name: tmp_path / "none"}

    with pytest.raises(UsageError, match=rf"^source\.tls\.{name} cannot be read: No such file or directory$"):
        access_from(a_source(tls=given))


def test_a_key_with_a_passphrase_is_told(tmp_path: Path) -> None:
    """OpenSSL would ask for it on the terminal, and wait."""
    key = _file(tmp_path / "key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n")

    with pytest.raises(
        UsageError, match=r"^source\.tls\.key_file is locked with a passphrase; wanted a key without one$"
    ):
        access_from(a_source(tls={"cert_file": _file(tmp_path / "cert"), "key_file": key}))


def test_a_key_without_its_certificate_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"source\.tls\.key_file is set without source\.tls\.cert_file"):
        access_from(a_source(tls={"key_file": _file(tmp_path / "key")}))


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read: No such file or directory"), (b"\xff\xfe", "is not text")]
)
def test_a_password_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UsageError, match=rf"^source\.basic_auth\.password_file {message}$"):
        access_from(a_source(basic_auth={"username": "reader", "password_file": path}))


def _file(path: Path, content: str = "made up\n") -> Path:
    path.write_text(content)
    return path
