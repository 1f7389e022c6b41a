"""What is set wrong ends in a pod that is not ready and one sentence that tells what to do."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from e2e.cluster.place import ROOT, Place
from e2e.support.kube import Kube, is_ready
from e2e.support.waiting import wait_for

CHART: Final = ROOT / "k8s" / "chart" / "diskcsi"
VALUES: Final = ROOT / "e2e" / "cluster" / "values" / "diskcsi.yaml"
CONTROLLER: Final = "app.kubernetes.io/component=controller"
NODE: Final = "app.kubernetes.io/component=node"
SECRET: Final = "e2e-key"  # noqa: S105 - an object's name

FIRST_PORT: Final = 11300
PORTS: Final = 4000
"""Of the nodes' own network, for the node plug-ins of releases that may stand side by side."""


def beside(namespace: str) -> dict[str, Any]:
    """A release beside the cluster's own: another driver, another port on the nodes' network."""
    return {
        "driverName": f"{hashlib.sha256(namespace.encode()).hexdigest()[:12]}.diskcsi.e2e",
        "fullnameOverride": "second",
        "defaultClasses": False,
        "controller": {"replicas": 1},
        "node": {"httpPort": FIRST_PORT + zlib.crc32(namespace.encode()) % PORTS},
        "credentials": {"id": "", "secret": "", "existingSecret": SECRET},
    }


Install = Callable[[Mapping[str, Any]], subprocess.CompletedProcess[str]]


def merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """One set of values over another, as helm lays them."""
    found = dict(lower)
    for key, value in upper.items():
        below = found.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        found[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return found


@pytest.fixture
def install(kube: Kube, driver: Kube, place: Place, tmp_path: Path) -> Iterator[Install]:
    """Installs or upgrades the second release with values of its own."""
    served = driver.get("daemonset", "diskcsi-node")["spec"]["template"]["spec"]["containers"][0]
    image = {"image": {"tag": served["image"].rpartition(":")[2]}}

    def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(place.programs / "helm"), *arguments, "--namespace", kube.namespace],
            check=False, capture_output=True, text=True, env=place.environment(), timeout=200,
        )  # fmt: skip

    def call(values: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "values.json"
        own = yaml.safe_load(VALUES.read_text())
        without_classes = {key: own[key] for key in own if "torageClass" not in key}
        below = merged(without_classes, merged(image, beside(kube.namespace)))
        file.write_text(json.dumps(merged(below, values)))
        return helm("upgrade", "--install", "second", str(CHART), "--values", str(file))

    yield call
    helm("uninstall", "second", "--ignore-not-found", "--wait", "--timeout", "120s")


def secret(*, id_: str = "mockcloud-key-id", key: str = "mockcloud-key-secret") -> dict[str, Any]:
    """The Secret that the release names."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "stringData": {"id": id_, "secret": key},
    }


def the_pod(kube: Kube, selector: str) -> str:
    """The name of one pod of a part, as soon as there is one that is not going away."""
    found = wait_for(
        lambda: [
            one for one in kube.list("pods", selector=selector)
            if "deletionTimestamp" not in one["metadata"]
        ],
        what=f"a pod with {selector}",
    )  # fmt: skip
    return str(found[0]["metadata"]["name"])


def wait_told(kube: Kube, selector: str, *words: str) -> None:
    """Return when a pod that is not ready tells these words in its log."""

    def look() -> bool:
        pods = kube.list("pods", selector=selector)
        logs = "".join(
            kube.attempt("logs", one["metadata"]["name"], "--container=diskcsi").stdout
            + kube.attempt(
                "logs", one["metadata"]["name"], "--container=diskcsi", "--previous"
            ).stdout
            for one in pods
        )
        return not any(map(is_ready, pods)) and all(word in logs for word in words)

    wait_for(look, what=f"{selector} is not ready and tells {words}", timeout_s=90)


def wait_healed(kube: Kube, selector: str, pod: str) -> None:
    """Return when the same pod is ready, none of whose containers was started again."""
    found = kube.wait("pod", pod, is_ready, what="is ready", timeout_s=120)
    restarts = {
        one["name"]: one["restartCount"]
        for one in found["status"]["containerStatuses"]
        if one["name"] == "diskcsi"
    }
    assert restarts == {"diskcsi": 0}
    assert the_pod(kube, selector) == pod


def test_a_missing_secret_is_named(kube: Kube, install: Install) -> None:
    """The pod waits, tells the Secret's name, and is ready soon after it was made."""
    assert install({}).returncode == 0
    pod = the_pod(kube, CONTROLLER)
    wait_told(kube, CONTROLLER, SECRET)
    kube.apply(secret())
    wait_healed(kube, CONTROLLER, pod)


@pytest.mark.parametrize("wrong", [{"id_": "no-such-id"}, {"key": "no-such-secret"}])
def test_a_wrong_key_is_told(kube: Kube, install: Install, wrong: Mapping[str, str]) -> None:
    """The pod is not ready, tells what the cloud says of its key, and takes a corrected one."""
    kube.apply(secret(**wrong))
    assert install({}).returncode == 0
    pod = the_pod(kube, CONTROLLER)
    wait_told(kube, CONTROLLER, "AccessKey" if "id_" in wrong else "Signature")
    kube.apply(secret())
    wait_healed(kube, CONTROLLER, pod)


def test_a_wrong_endpoint_is_told(kube: Kube, install: Install) -> None:
    """The message names the endpoint that does not answer."""
    kube.apply(secret())
    values = {"provider": {"settings": {"ecs_endpoint": "nowhere.mockcloud:8090"}}}
    assert install(values).returncode == 0
    wait_told(kube, CONTROLLER, "nowhere.mockcloud:8090")
    assert install({}).returncode == 0
    wait_for(lambda: any(map(is_ready, kube.list("pods", selector=CONTROLLER))), what="healed")


def test_a_wrong_region_is_told(kube: Kube, install: Install) -> None:
    """The message names the region."""
    kube.apply(secret())
    assert install({"provider": {"settings": {"region": "cn-nowhere"}}}).returncode == 0
    wait_told(kube, CONTROLLER, "cn-nowhere")


def test_a_node_plugin_without_privileges_tells_so(kube: Kube, install: Install) -> None:
    """It can't mount for others to see: the log says what the pod lacks."""
    kube.apply(secret())
    values = {"node": {"securityContext": {"privileged": False, "runAsUser": 0, "runAsGroup": 0}}}
    done = install(values)
    if done.returncode == 0:
        wait_told(kube, NODE, "privileged")
    else:  # the API server's own validation refuses the mounts that it would need
        assert "privileged" in done.stderr


def test_a_chart_value_that_does_not_exist_is_refused(kube: Kube, install: Install) -> None:
    """Nothing is installed, and the message names the value."""
    done = install({"controler": {"replicas": 3}})
    assert done.returncode != 0
    assert "controler" in done.stderr
    assert not kube.list("deployment")
