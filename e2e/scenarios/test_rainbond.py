"""Rainbond's way: a class as its page has it, found by listing; a component as a StatefulSet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pytest

from e2e.support.cloud import MockCloud
from e2e.support.data import GIB, SUM, WRITE, check_kept, disk_of, room
from e2e.support.disks import CloudDisks, in_use
from e2e.support.kube import Kube, Object
from e2e.support.machines import Zones
from e2e.support.objects import DRIVER, stateful_set
from e2e.support.orders import Orders

VOLUME: Final = "manual17"
"""How the console names the storage of a component, by a number of its own."""

CLAIM: Final = f"{VOLUME}-component-0"

OWNED: Final = {"tenant_id": "a-team", "service_id": "a-service"}
"""Among the labels of all that the console makes."""


@pytest.fixture
def console_class(kube: Kube, zones: Zones) -> Iterator[str]:
    """The class of the page: an old provisioner's keys, edited for the user's place.

    Of the machines in its zone only the first takes `cloud_ssd`: pods are sent there.
    """
    name = f"{kube.namespace}-class"
    _make(kube, name, _of_the_page(zones))
    yield name
    kube.delete("storageclass", name)


@pytest.fixture
def forgiving_class(kube: Kube, zones: Zones) -> Iterator[str]:
    """The same for forms that ask for less than the smallest disk."""
    name = f"{kube.namespace}-class"
    _make(kube, name, {**_of_the_page(zones), "volumeSizeAutoAvailable": "true"})
    yield name
    kube.delete("storageclass", name)


def _of_the_page(zones: Zones) -> dict[str, str]:
    return {
        "type": "cloud_ssd", "regionId": "cn-hangzhou", "zoneId": zones.two, "fsType": "ext4",
        "readOnly": "false",
    }  # fmt: skip


def _make(cluster: Kube, name: str, parameters: Mapping[str, str]) -> None:
    cluster.apply(
        {
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
            "provisioner": DRIVER, "reclaimPolicy": "Delete", "parameters": dict(parameters),
        }
    )  # fmt: skip


def component(kube: Kube, of: str, *, size: str, node: str = "") -> Object:
    """A component as the console makes it, whose form offers each class that the cluster lists."""
    offered = {one["metadata"]["name"]: one for one in kube.list("storageclass")}
    chosen = offered[of]
    assert chosen["provisioner"] == DRIVER
    made = stateful_set("component", of=chosen["metadata"]["name"], size=size, node=node)
    spec = made["spec"]
    del spec["podManagementPolicy"]
    named = {"name": "component", **OWNED}
    spec["updateStrategy"] = {"type": "RollingUpdate"}
    spec["selector"] = {"matchLabels": named}
    spec["template"]["metadata"]["labels"] = {**named, "creator": "Rainbond", "version": "1"}
    spec["template"]["spec"]["containers"][0]["volumeMounts"][0]["name"] = VOLUME
    told = {"volume_name": "data", "version": "1", "reclaim_policy": chosen["reclaimPolicy"]}
    labels = {"creator": "Rainbond", **OWNED, **told}
    spec["volumeClaimTemplates"][0]["metadata"] = {"name": VOLUME, "labels": labels}
    return made


def test_a_stateful_component_gets_its_disk(
    kube: Kube, cloud: MockCloud, cloud_disk: CloudDisks, zones: Zones, console_class: str
) -> None:
    """Its class is one that the cluster lists, and the cloud shows a disk of that size in use."""
    kube.apply(component(kube, console_class, size="20Gi", node=zones.first))
    kube.wait_running("component-0")
    check_kept(kube, "component-0")
    assert cloud_disk(CLAIM) == in_use(zones.first, size_gib=20)
    assert cloud.disks()[disk_of(kube, CLAIM)]["category"] == "cloud_ssd"


def test_data_outlives_an_update_of_the_component(
    kube: Kube, cloud_disk: CloudDisks, zones: Zones, console_class: str
) -> None:
    """The StatefulSet is deleted and made again, and finds its claim."""
    made = component(kube, console_class, size="20Gi", node=zones.first)
    kube.apply(made)
    kube.wait_running("component-0")
    wrote = kube.sh("component-0", WRITE)
    kube.delete("statefulset", "component")
    kube.wait_gone("pod", "component-0")
    kube.apply(made)
    kube.wait_running("component-0")
    assert kube.sh("component-0", SUM) == wrote
    assert cloud_disk(CLAIM) == in_use(zones.first, size_gib=20)


def test_less_than_the_smallest_disk_is_explained_on_the_claim(
    kube: Kube, orders: Callable[[], Orders], console_class: str
) -> None:
    """The claim tells the minimum and the way out, and no disk is made."""
    kube.apply(component(kube, console_class, size="10Gi"))
    told = kube.wait_event("pvc", CLAIM, "20")
    assert "volumeSizeAutoAvailable" in told
    assert orders().made() == []


def test_a_class_may_round_up(
    kube: Kube, cloud_disk: CloudDisks, zones: Zones, forgiving_class: str
) -> None:
    """With `volumeSizeAutoAvailable` a form that asks for 10 gets 20."""
    kube.apply(component(kube, forgiving_class, size="10Gi", node=zones.first))
    kube.wait_running("component-0")
    assert cloud_disk(CLAIM) == in_use(zones.first, size_gib=20)
    assert room(kube, "component-0") > 18 * GIB
    check_kept(kube, "component-0")
