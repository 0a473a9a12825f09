"""The Kubernetes manifests fit each other, the configuration they carry, and the restricted pod security level."""

import stat
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from anonymize.keys import add_key, read_ring
from jobs.clock import read_clock
from jobs.config import Settings, check_settings
from schemas.errors import PrivacyError
from schemas.windows import parse_duration
from tests.docs.pages import ROOT, check_command

FOLDER = ROOT / "deploy/kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
DOCUMENTS = [(path.name, document) for path in FILES for document in yaml.safe_load_all(path.read_text("utf-8"))]


def the(kind: str, name: str | None = None) -> dict[str, Any]:
    (found,) = [
        document
        for _, document in DOCUMENTS
        if document["kind"] == kind and (name is None or document["metadata"]["name"] == name)
    ]
    assert isinstance(found, dict)
    return found


CRON = the("CronJob")["spec"]
CRON_JOB = CRON["jobTemplate"]["spec"]
PODS = {"snapshot": CRON_JOB["template"]["spec"], "release": the("Job", None)["spec"]["template"]["spec"]}
each_pod = pytest.mark.parametrize("pod", PODS.values(), ids=PODS)


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def settings() -> Settings:
    return check_settings(yaml.safe_load(the("ConfigMap")["data"]["opspub.yaml"]), "configmap.yaml")


@pytest.mark.parametrize(("name", "document"), DOCUMENTS, ids=[f"{n}-{d['kind']}" for n, d in DOCUMENTS])
def test_every_document_is_an_object(name: str, document: dict[str, Any]) -> None:
    assert document["apiVersion"]
    assert (
        document["kind"] == "Kustomization"
        or document["metadata"].get("name")
        or "generateName" in document["metadata"]
    )


def test_the_kustomization_names_files_that_exist_and_no_example() -> None:
    resources = the("Kustomization")["resources"]

    assert all((FOLDER / name).is_file() for name in resources)
    assert not [name for name in resources if "example" in name or "openshift" in name]


@each_pod
def test_pods_fit_the_restricted_level(pod: dict[str, Any]) -> None:
    """As the Pod Security Standards' restricted profile words it, and a read-only root beside."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert {kind for volume in pod["volumes"] for kind in volume} <= {"name", "configMap", "secret", "emptyDir"}
    for container in containers(pod):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"requests", "limits"} <= set(container["resources"])


@each_pod
def test_pods_hold_no_token_and_no_service_variables(pod: dict[str, Any]) -> None:
    """A Service named opspub would give pods OPSPUB_PORT and the like, which are configuration to the publisher."""
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["serviceAccountName"] == the("ServiceAccount")["metadata"]["name"]


@each_pod
def test_commands_are_ones_that_the_program_takes(pod: dict[str, Any]) -> None:
    for container in containers(pod):
        assert check_command("opspub", container["args"]) is None


@each_pod
def test_everything_mounted_exists_and_what_must_be_writable_is(pod: dict[str, Any]) -> None:
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for container in containers(pod):
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}

        assert {mount["name"] for mount in mounts.values()} <= set(volumes)
        for path in ("/tmp", str(settings().work_dir)):
            assert "emptyDir" in volumes[mounts[path]["name"]]
            assert not mounts[path].get("readOnly")
        config = container["args"][container["args"].index("--config") + 1]
        assert mounts[config]["subPath"] == PurePosixPath(config).name
        assert mounts[config]["subPath"] in the("ConfigMap")["data"]


def test_the_key_is_where_the_configuration_looks_for_it() -> None:
    (container,) = PODS["snapshot"]["containers"]
    volumes = {volume["name"]: volume for volume in PODS["snapshot"]["volumes"]}
    key_file = settings().privacy.key_file
    (mount,) = [mount for mount in container["volumeMounts"] if mount["mountPath"] == str(key_file.parent)]
    secret = volumes[mount["name"]]["secret"]

    assert mount["readOnly"] is True
    assert key_file.name in the("Secret", secret["secretName"])["stringData"]
    assert not secret["defaultMode"] & (stat.S_IRWXG | stat.S_IRWXO)


def test_the_publisher_takes_a_key_as_kubernetes_mounts_it(tmp_path: Path) -> None:
    """With fsGroup, 0400 becomes 0440; a world-readable one must stay refused."""
    key_file = tmp_path / "opspub.key"
    add_key(key_file, now=read_clock(), valid_from=None)

    key_file.chmod(0o440)
    assert read_ring(key_file).keys
    key_file.chmod(0o444)
    with pytest.raises(PrivacyError, match="wanted 0600"):
        read_ring(key_file)


def test_the_example_key_is_refused(tmp_path: Path) -> None:
    """Else somebody publishes under a key that everyone knows."""
    key_file = tmp_path / "opspub.key"
    key_file.write_text(the("Secret", "opspub-key")["stringData"]["opspub.key"])
    key_file.chmod(0o600)

    with pytest.raises(PrivacyError, match="not base64"):
        read_ring(key_file)


@each_pod
def test_credentials_come_from_the_secret_of_the_example(pod: dict[str, Any]) -> None:
    for container in containers(pod):
        (source,) = container["envFrom"]
        assert "AWS_ACCESS_KEY_ID" in the("Secret", source["secretRef"]["name"])["stringData"]
        assert "env" not in container


def test_the_release_job_holds_no_key() -> None:
    """Nothing after the snapshot needs it."""
    assert not [volume for volume in PODS["release"]["volumes"] if "secret" in volume]


def test_runs_never_overlap_and_end_by_themselves() -> None:
    deadline = settings().limits.deadline.total_seconds()

    assert CRON["concurrencyPolicy"] == "Forbid"
    assert CRON["startingDeadlineSeconds"] < 3600
    assert deadline < CRON_JOB["activeDeadlineSeconds"] < 3600
    assert CRON_JOB["backoffLimit"] <= 1
    assert PODS["snapshot"]["restartPolicy"] == "Never"


def test_the_schedule_is_hourly_and_waits_until_windows_have_settled() -> None:
    minute, *rest = CRON["schedule"].split()

    assert rest == ["*"] * 4
    assert settings().collection.window == parse_duration("1h")
    assert parse_duration(f"{minute}m") > settings().collection.settle


def test_names_are_made_up() -> None:
    """An example address of somebody's would receive somebody's data."""
    text = "".join(path.read_text("utf-8") for path in FILES)

    assert settings().release.contact.endswith("@example.org")
    assert settings().staging.startswith("s3://example-")
    assert settings().public.startswith("s3://example-")
    assert "AKIA" not in text
