"""Disks are of one zone: pods go where their disks are, and classes may say where that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from e2e.support.cloud import MockCloud
from e2e.support.data import SUM, WRITE, check_kept, disk_of
from e2e.support.disks import CloudDisks, in_use
from e2e.support.kube import Kube
from e2e.support.machines import Zones
from e2e.support.objects import ESSD, claim, pod, stateful_set, storage_class
from e2e.support.orders import Orders


@pytest.fixture
def class_of_zone(kube: Kube, zones: Zones) -> Iterator[str]:
    """A class that makes disks in the zone with one worker."""
    name = f"{kube.namespace}-class"
    kube.apply(storage_class(name, parameters={**ESSD, "zoneId": zones.one}, binding="Immediate"))
    yield name
    kube.delete("storageclass", name)


@pytest.fixture
def class_of_no_zone(kube: Kube) -> Iterator[str]:
    """A class that names a zone which no node is in."""
    name = f"{kube.namespace}-class"
    kube.apply(storage_class(name, parameters={**ESSD, "zoneId": "cn-hangzhou-x"}))
    yield name
    kube.delete("storageclass", name)


@pytest.mark.disruptive  # it closes a node
def test_a_moved_pod_finds_its_data_in_its_zone(
    kube: Kube, cloud_disk: CloudDisks, zones: Zones
) -> None:
    """Its node is closed, and the pod goes to the zone's other node, never to the other zone."""
    kube.apply(stateful_set("db", of="e2e-wait", zone=zones.two))
    first = kube.wait_running("db-0")["spec"]["nodeName"]
    wrote = kube.sh("db-0", WRITE)
    kube.run("cordon", first)
    try:
        kube.run("patch", "statefulset", "db", "--type=json",
                 '--patch=[{"op":"remove","path":"/spec/template/spec/nodeSelector"}]')  # fmt: skip
        kube.delete("pod", "db-0")
        second = kube.wait_running("db-0")["spec"]["nodeName"]
    finally:
        kube.run("uncordon", first)
    assert {first, second} == {zones.first, zones.second}
    assert kube.sh("db-0", SUM) == wrote
    assert cloud_disk("data-db-0") == in_use(second)


@pytest.mark.disruptive  # it closes a node
def test_with_its_zone_closed_a_pod_waits(kube: Kube, cloud_disk: CloudDisks, zones: Zones) -> None:
    """The other zone is never chosen for a pod whose disk is here."""
    kube.apply(claim("data", of="e2e-wait"), pod("here", claims={"data": "/data"}, zone=zones.one))
    kube.wait_running("here")
    wrote = kube.sh("here", WRITE)
    kube.delete("pod", "here")
    kube.run("cordon", zones.third)
    try:
        kube.apply(pod("again", claims={"data": "/data"}))
        kube.wait_event("pod", "again", "node affinity")
        assert kube.get("pod", "again")["status"]["phase"] == "Pending"
    finally:
        kube.run("uncordon", zones.third)
    assert kube.wait_running("again")["spec"]["nodeName"] == zones.third
    assert kube.sh("again", SUM) == wrote
    assert cloud_disk("data") == in_use(zones.third)


def test_a_class_with_a_zone_makes_its_disks_there(
    kube: Kube, cloud: MockCloud, cloud_disk: CloudDisks, zones: Zones, class_of_zone: str
) -> None:
    """`zoneId` decides where a disk is made, and each pod follows its data."""
    worker = pod("worker", claims={"data": "/data"})
    kube.apply(claim("data", of=class_of_zone), worker)
    kube.wait_running("worker")
    check_kept(kube, "worker", again=worker)
    assert kube.node_of("worker") == zones.third
    assert cloud_disk("data") == in_use(zones.third)
    assert cloud.disks()[disk_of(kube, "data")]["zone"] == zones.one


def test_a_zone_that_does_not_fit_is_told_on_the_claim(
    kube: Kube, orders: Callable[[], Orders], class_of_no_zone: str
) -> None:
    """The claim names the zone of its class, and no disk is made anywhere."""
    kube.apply(claim("data", of=class_of_no_zone), pod("worker", claims={"data": "/data"}))
    kube.wait_event("pvc", "data", "cn-hangzhou-x")
    assert orders().made() == []
