"""A small release that its publisher signs."""

from pathlib import Path

from jobs.config import Settings
from jobs.publish.run import run_publish
from jobs.publish.sign import SigningKey, make_signing_key, read_signing_key, signature_name
from tests.jobs.audited import VERSION, a_clock, publisher_settings, write_audited

ATTESTED = f"attestations/{VERSION}/"


def signer(folder: Path, name: str = "sign.pem") -> tuple[Settings, SigningKey]:
    """Return settings that sign, and the key they sign with."""
    path = folder / name
    key = read_signing_key(path) if path.exists() else make_signing_key(path)
    return publisher_settings(folder, publish={"signing_key_file": path}), key


def publish(settings: Settings, version: str = VERSION) -> str:
    """Publish a small release; return where its signature lies."""
    write_audited(settings, version)
    path = settings.publish.signing_key_file
    assert path
    assert run_publish(settings, version, clock=a_clock()).signed_by == read_signing_key(path).public.key_id
    return f"attestations/{version}/{signature_name(read_signing_key(path).public.key_id)}"
