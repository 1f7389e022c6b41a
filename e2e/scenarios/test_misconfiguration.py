"""What is set wrong ends in a pod that is not ready and one sentence that tells what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from e2e.cluster.charts import MOCK_NAMESPACE
from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube, is_ready
from e2e.support.machines import Zones
from e2e.support.objects import DRIVER
from e2e.support.release import SECRET, Install, driver_name, merged
from e2e.support.waiting import wait_for

CONTROLLER: Final = "app.kubernetes.io/component=controller"
NODE: Final = "app.kubernetes.io/component=node"
METADATA: Final = "metadata"
CLOUD: Final = "mockcloud.mockcloud.svc.cluster.local"


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


def wait_replaced(kube: Kube, selector: str, old: str) -> None:
    """Return when a pod is ready that took the place of this one, which an upgrade has ended."""
    wait_for(
        lambda: [
            one for one in kube.list("pods", selector=selector)
            if is_ready(one) and one["metadata"]["name"] != old
        ] and kube.find("pod", old) is None,
        what=f"a new pod with {selector} is ready in place of {old}", timeout_s=180,
    )  # fmt: skip


def test_an_endpoint_that_comes_later_heals(kube: Kube, install: Install) -> None:
    """The message names the endpoint that doesn't answer; once its name leads there, all is well."""
    kube.apply(secret())
    endpoint = f"late.{kube.namespace}.svc:8090"
    assert install({"provider": {"settings": {"ecs_endpoint": endpoint}}}).returncode == 0
    pod = the_pod(kube, CONTROLLER)
    wait_told(kube, CONTROLLER, endpoint)
    kube.apply(
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "late"},
            "spec": {"type": "ExternalName", "externalName": CLOUD},
        }
    )  # fmt: skip
    wait_healed(kube, CONTROLLER, pod)


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [("ecs_endpoint", "nowhere.mockcloud:8090"), ("region", "cn-nowhere")],
)
def test_a_wrong_setting_is_told(kube: Kube, install: Install, setting: str, wrong: str) -> None:
    """The message names it. Settings are read at the start: corrected ones come with a new pod."""
    kube.apply(secret())
    assert install({"provider": {"settings": {setting: wrong}}}).returncode == 0
    pod = the_pod(kube, CONTROLLER)
    wait_told(kube, CONTROLLER, wrong)
    assert install({}).returncode == 0
    wait_replaced(kube, CONTROLLER, pod)


@pytest.fixture
def metadata(kube: Kube) -> str:
    """An address of a metadata service that nothing answers at as yet."""
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": METADATA},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    }  # fmt: skip
    kube.apply(service)
    return str(kube.get("service", METADATA)["spec"]["clusterIP"])


def answer_metadata(kube: Kube) -> None:
    """Let the cloud answer at that address."""
    (server,) = [
        one for one in kube.within(MOCK_NAMESPACE).list("endpointslice")
        if one["metadata"]["labels"].get("kubernetes.io/service-name") == "mockcloud"
    ]  # fmt: skip
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": METADATA, "labels": {"kubernetes.io/service-name": METADATA}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": server["ports"][0]["port"]}],
        "endpoints": [{"addresses": server["endpoints"][0]["addresses"]}],
    }  # fmt: skip
    kube.apply(slice_)


def on_one_node(zones: Zones, **settings: str) -> dict[str, Any]:
    """Values for a release whose node part is on one node, with settings of the provider."""
    return {
        "provider": {"settings": settings},
        "node": {"nodeSelector": {"kubernetes.io/hostname": zones.first}},
    }


def test_without_a_metadata_service_a_node_waits_for_it(
    kube: Kube, cloud: MockCloud, install: Install, zones: Zones, metadata: str
) -> None:
    """It isn't ready, tells what doesn't answer and what else would do, and goes on when it does."""
    kube.apply(secret())
    (instance,) = [
        id_ for id_, one in cloud.instances().items() if one["name"] == zones.first
    ]  # fmt: skip
    url = f"http://{metadata}/_imds/{instance}"
    assert install(on_one_node(zones, metadata_url=url)).returncode == 0
    pod = the_pod(kube, NODE)
    wait_told(kube, NODE, "metadata service", url, "set REGION_ID, ZONE_ID and --nodeid")
    answer_metadata(kube)
    wait_healed(kube, NODE, pod)
    assert instance in kube.run("logs", pod, "--container=diskcsi")


def test_without_a_metadata_service_a_node_takes_its_labels_where_it_may(
    kube: Kube, driver: Kube, install: Install, zones: Zones, metadata: str
) -> None:
    """With `node.nodeLabels` it registers as the instance that its Node object tells."""
    kube.apply(secret())
    values = on_one_node(zones, metadata_url=f"http://{metadata}")
    assert install(merged(values, {"node": {"nodeLabels": True}})).returncode == 0
    pod = the_pod(kube, NODE)
    kube.wait_running(pod)
    own = {one["name"]: one for one in driver.get("csinode", zones.first)["spec"]["drivers"]}
    assert own[driver_name(kube.namespace)]["nodeID"] == own[DRIVER]["nodeID"]
    log = kube.run("logs", pod, "--container=diskcsi")
    assert '"by": "Node object"' in log
    assert f"http://{metadata}/latest/api/token doesn't answer" in log


def test_a_node_plugin_without_privileges_is_refused(kube: Kube, install: Install) -> None:
    """By the API server, with a word on what the pod lacks: it could not mount for others to see."""
    kube.apply(secret())
    values = {"node": {"securityContext": {"privileged": False, "runAsUser": 0, "runAsGroup": 0}}}
    done = install(values)
    assert done.returncode != 0
    assert (
        "Bidirectional mount propagation is available only to privileged containers" in done.stderr
    )
    assert not kube.list("daemonset")


def test_a_chart_value_that_does_not_exist_is_refused(kube: Kube, install: Install) -> None:
    """Nothing is installed, and the message names the value."""
    done = install({"controler": {"replicas": 3}})
    assert done.returncode != 0
    assert "controler" in done.stderr
    assert not kube.list("deployment")
