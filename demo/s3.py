"""The quick start into a real S3 server: ``make demo-s3`` runs this, with Ceph RADOS Gateway on loopback meanwhile.

The simulated cluster goes into a private bucket and its release into a public one, whose policy lets everybody read
objects and do nothing else. Then it is looked at as a stranger would.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3

from demo.errors import DemoError
from demo.run import ROOT, Demo
from demo.source import BACKFILL_HOURS
from demo.source import main as bring_source
from tests.lab import LabUnavailable
from tests.lab.rgw import Gateway, install_ceph, start_rgw

STAGING: Final = "opscommons-staging"
PUBLIC: Final = "opscommons-public"
VERSION: Final = "2026.1.0"


def main(environment: Mapping[str, str], *, root: Path = ROOT, hours: int = BACKFILL_HOURS) -> int:
    """Run the demo and return the exit code; the gateway ends with it, the source stays."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            install_ceph(environ=environment)
            print("starting Ceph RADOS Gateway on loopback", flush=True)
            key, secret = "DEMOACCESSKEY", secrets.token_hex(20)
            with start_rgw(Path(folder, "rgw"), access_key=key, secret_key=secret) as gateway:
                run(environment, gateway, Path(folder), source=root / ".demo", hours=hours)
    except (DemoError, LabUnavailable) as error:
        print(f"demo-s3: {error}", file=sys.stderr)
        return 1
    return 0


def run(environment: Mapping[str, str], gateway: Gateway, folder: Path, *, source: Path, hours: int) -> None:
    """Collect, release, publish and look, with the gateway's buckets as stores."""
    make_buckets(gateway)
    arguments = ["up", "--folder", str(source), "--hours", str(hours)]
    if bring_source(arguments, environment=environment, now=time.time()):  # noqa: TID251 - an entry point
        raise DemoError("the source did not start; what it found stands above")
    state = json.loads((source / "state.json").read_text())
    (folder / "demo").mkdir()
    (folder / ".demo").mkdir()
    for name in ("sim.yaml", "attacks.json"):
        shutil.copy(ROOT / "demo" / name, folder / "demo" / name)
    given = {
        "OPSPUB_STAGING": f"s3://{STAGING}/sim",
        "OPSPUB_PUBLIC": f"s3://{PUBLIC}",
        "S3_ENDPOINT_URL": gateway.endpoint_url,
        "AWS_ACCESS_KEY_ID": gateway.access_key,
        "AWS_SECRET_ACCESS_KEY": gateway.secret_key,
        "AWS_DEFAULT_REGION": gateway.region,
    }
    demo = Demo(folder, {**environment, **given}, str(state["url"]))
    last = datetime.fromisoformat(state["backfill"]["end"]).replace(minute=0, second=0)
    demo.show("sim", "key", "new")
    demo.show("sim", "snapshot")
    demo.show("sim", "release", VERSION, "--start", state["backfill"]["start"], "--end", f"{last:%Y-%m-%dT%H:%M:%SZ}")
    demo.show("sim", "publish", VERSION)
    print(f"  {demo.show('sim', 'verify', VERSION)['proven']}")
    for what, status in look_as_stranger(gateway.endpoint_url).items():
        print(f"  without credentials, {what}: {status}")
    public = f"{gateway.endpoint_url}/{PUBLIC}"
    print(f"\n$ opscommons --url {public} info", flush=True)
    opscommons = Path(sys.executable).with_name("opscommons")
    subprocess.run([opscommons, "--url", public, "info"], env={"PATH": os.defpath, "HOME": str(folder)}, check=True)


def make_buckets(gateway: Gateway) -> None:
    """Make a private bucket, and one whose objects everybody may read; nobody may list, write or see the other."""
    client = boto3.client(
        "s3",
        endpoint_url=gateway.endpoint_url,
        region_name=gateway.region,
        aws_access_key_id=gateway.access_key,
        aws_secret_access_key=gateway.secret_key,
    )
    for bucket in (STAGING, PUBLIC):
        client.create_bucket(Bucket=bucket)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{PUBLIC}/*"],
    }
    client.put_bucket_policy(Bucket=PUBLIC, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    client.close()


def look_as_stranger(endpoint_url: str) -> dict[str, int]:
    """Return the statuses that somebody without credentials gets; raise ``DemoError`` unless only reading works."""
    wanted = {
        "reading the catalog": ("GET", f"{PUBLIC}/catalog.json", HTTPStatus.OK),
        "reading a manifest": ("GET", f"{PUBLIC}/releases/{VERSION}/manifest.json", HTTPStatus.OK),
        "listing the public bucket": ("GET", f"{PUBLIC}?list-type=2", HTTPStatus.FORBIDDEN),
        "writing to the public bucket": ("PUT", f"{PUBLIC}/x", HTTPStatus.FORBIDDEN),
        "removing from the public bucket": ("DELETE", f"{PUBLIC}/catalog.json", HTTPStatus.FORBIDDEN),
        "reading the staging bucket": ("GET", f"{STAGING}/sim/store.json", HTTPStatus.FORBIDDEN),
        "listing the staging bucket": ("GET", f"{STAGING}?list-type=2", HTTPStatus.FORBIDDEN),
    }
    found = {what: _ask(method, f"{endpoint_url}/{path}") for what, (method, path, _) in wanted.items()}
    for what, (_, _, status) in wanted.items():
        if found[what] != status:
            raise DemoError(f"{what} without credentials was answered {found[what]}, wanted {status.value}")
    return found


def _ask(method: str, url: str) -> int:
    body = b"" if method == "PUT" else None
    try:
        with urlopen(Request(url, data=body, method=method), timeout=10) as answer:  # noqa: S310 - loopback
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


if __name__ == "__main__":
    raise SystemExit(main(dict(os.environ)))  # noqa: TID251 - the entry point reads the environment once
