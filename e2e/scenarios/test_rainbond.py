"""Rainbond's way: a class as its page has it, found by listing; a component as a StatefulSet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from e2e.support.cloud import MockCloud
from e2e.support.data import SUM, WRITE, disk_of
from e2e.support.kube import Kube
from e2e.support.machines import Zones
from e2e.support.objects import DRIVER, stateful_set

pytestmark = pytest.mark.xdist_group("rainbond")  # they share names in the cluster

CLASS = "alicloud-disk-of-the-console"
"""Of the category `cloud_ssd`, which only the zone's first machine takes: pods are sent there."""


@pytest.fixture
def console_class(cluster: Kube, zones: Zones) -> Iterator[Mapping[str, str]]:
    """The class of the page: an old provisioner's keys, edited for the user's place."""
    parameters = {
        "type": "cloud_ssd", "regionId": "cn-hangzhou", "zoneId": zones.two, "fsType": "ext4",
        "readOnly": "false",
    }  # fmt: skip
    _make(cluster, CLASS, parameters)
    yield parameters
    cluster.delete("storageclass", CLASS)


@pytest.fixture
def forgiving_class(cluster: Kube, console_class: Mapping[str, str]) -> Iterator[str]:
    """The same for forms that ask for less than the smallest disk."""
    name = f"{CLASS}-from-20"
    _make(cluster, name, {**console_class, "volumeSizeAutoAvailable": "true"})
    yield name
    cluster.delete("storageclass", name)


def _make(cluster: Kube, name: str, parameters: Mapping[str, str]) -> None:
    cluster.apply(
        {
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
            "provisioner": DRIVER, "reclaimPolicy": "Delete", "parameters": dict(parameters),
        }
    )  # fmt: skip


@pytest.mark.usefixtures("console_class")
def test_a_stateful_component_gets_its_disk(kube: Kube, cloud: MockCloud, zones: Zones) -> None:
    """The class is found by listing classes, and the cloud shows a disk of that size in use."""
    found = [one["metadata"]["name"] for one in kube.list("storageclass")]
    assert CLASS in found
    kube.apply(stateful_set("component", of=CLASS, size="20Gi", node=zones.first))
    kube.wait_running("component-0")
    disk = cloud.disks()[disk_of(kube, "data-component-0")]
    assert (disk["size_gib"], disk["status"], disk["category"]) == (20, "In_use", "cloud_ssd")


@pytest.mark.usefixtures("console_class")
def test_data_outlives_an_update_of_the_component(kube: Kube, zones: Zones) -> None:
    """The StatefulSet is deleted and made again, and finds its claim."""
    component = stateful_set("component", of=CLASS, size="20Gi", node=zones.first)
    kube.apply(component)
    kube.wait_running("component-0")
    wrote = kube.sh("component-0", WRITE)
    kube.delete("statefulset", "component")
    kube.wait_gone("pod", "component-0")
    kube.apply(component)
    kube.wait_running("component-0")
    assert kube.sh("component-0", SUM) == wrote


@pytest.mark.usefixtures("console_class")
def test_less_than_the_smallest_disk_is_explained_on_the_claim(
    kube: Kube, cloud: MockCloud
) -> None:
    """The claim tells the minimum and the way out, and no disk is made."""
    before = set(cloud.disks())
    kube.apply(stateful_set("component", of=CLASS, size="10Gi"))
    told = kube.wait_event("pvc", "data-component-0", "20")
    assert "volumeSizeAutoAvailable" in told
    assert set(cloud.disks()) == before


def test_a_class_may_round_up(
    kube: Kube, cloud: MockCloud, zones: Zones, forgiving_class: str
) -> None:
    """With `volumeSizeAutoAvailable` a form that asks for 10 gets 20."""
    kube.apply(stateful_set("component", of=forgiving_class, size="10Gi", node=zones.first))
    kube.wait_running("component-0")
    assert cloud.disks()[disk_of(kube, "data-component-0")]["size_gib"] == 20
