"""Coming from the Go driver: what that driver wrote is served, with pods running."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest

from e2e.support.cloud import MockCloud
from e2e.support.data import SUM, WRITE, check_kept, disk_of
from e2e.support.disks import CloudDisks, in_use
from e2e.support.kube import Kube, Object
from e2e.support.load import ticking, written
from e2e.support.machines import Zones
from e2e.support.objects import DRIVER, claim, pod
from e2e.support.orders import Orders, tags_of
from e2e.support.waiting import wait_for

PARTS = "app.kubernetes.io/component in (controller, node)"
PRIVATE_ZONE = "topology.diskplugin.csi.alibabacloud.com/zone"
STANDARD_ZONE = "topology.kubernetes.io/zone"


def as_that_driver_wrote_it(
    name: str, *, disk: str, of: str, namespace: str, zone_key: str, zone: str
) -> Object:
    """A PersistentVolume with the attributes and the placement that the Go driver gave it.

    Args:
        of: the name of its class.
        namespace: of its claim, `data`.
    """
    attributes = {
        "type": "cloud_essd", "performanceLevel": "PL0", "fstype": "ext4",
        "regionId": "cn-hangzhou", "readOnly": "false", "csi.storage.k8s.io/pv/name": name,
        "csi.storage.k8s.io/pvc/name": "data", "csi.storage.k8s.io/pvc/namespace": namespace,
        "storage.kubernetes.io/csiProvisionerIdentity": f"1716000000000-1234-{DRIVER}",
        "volumeSizeAutoAvailable": "true", "something.that/only-it-knew": "1",
    }  # fmt: skip
    term: Mapping[str, Any] = {
        "matchExpressions": [{"key": zone_key, "operator": "In", "values": [zone]}]
    }
    return {
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": name,
            "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER},
            "finalizers": ["kubernetes.io/pv-protection"],
        },
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "storageClassName": of, "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"namespace": namespace, "name": "data"},
            "csi": {
                "driver": DRIVER, "volumeHandle": disk, "fsType": "ext4",
                "volumeAttributes": attributes,
            },
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A volume that the Go driver has left, which the claim `data` has now.

    Attributes:
        wrote: what a pod has written to it, by its checksum.
    """

    name: str
    disk: str
    wrote: str


def left_by_that_driver(kube: Kube, *, of: str, zone_key: str, zone: str) -> Left:
    """Let a disk with data be one that the Go driver made, and claim its volume."""
    kube.apply(
        claim("first", of="e2e-retain"), pod("writer", claims={"first": "/data"}, zone=zone)
    )  # fmt: skip
    kube.wait_running("writer")
    wrote, disk = kube.sh("writer", WRITE), disk_of(kube, "first")
    old = kube.get("pvc", "first")["spec"]["volumeName"]
    kube.delete("pod", "writer")
    kube.delete("pvc", "first")
    kube.delete("pv", old)
    name = f"d-from-the-go-driver-{disk.removeprefix('d-')}"
    volume = as_that_driver_wrote_it(
        name, disk=disk, of=of, namespace=kube.namespace, zone_key=zone_key, zone=zone
    )
    kube.apply(volume, claim("data", of=of, volume=name))
    return Left(name=name, disk=disk, wrote=wrote)


@pytest.mark.parametrize("zone_key", [PRIVATE_ZONE, STANDARD_ZONE])
def test_its_volumes_are_served(
    kube: Kube, cloud: MockCloud, cloud_disk: CloudDisks, zones: Zones, zone_key: str
) -> None:
    """A volume of either generation of topology keys is attached, mounted, and deleted."""
    left = left_by_that_driver(kube, of="e2e-wait", zone_key=zone_key, zone=zones.two)
    kube.apply(pod("reader", claims={"data": "/data"}))
    node = kube.wait_running("reader")["spec"]["nodeName"]
    assert node in (zones.first, zones.second)
    assert kube.sh("reader", SUM) == left.wrote
    assert disk_of(kube, "data") == left.disk
    assert cloud_disk("data") == in_use(node)
    kube.delete("pod", "reader")
    kube.delete("pvc", "data")
    kube.wait_gone("pv", left.name)
    assert left.disk not in cloud.disks()


EVERY_PARAMETER = {
    "type": "cloud_auto, cloud_essd", "performanceLevel": "PL0,PL1", "regionId": "cn-hangzhou",
    "fsType": "ext4", "readOnly": "false", "encrypted": "true", "kmsKeyId": "key-of-old",
    "multiAttach": "disabled", "provisionedIops": "300", "burstingEnabled": "true",
    "resourceGroupId": "rg-of-old", "storageClusterId": "dbsc-of-old",
    "diskTags": "team:storage,cost:low", "diskTags/tier": "gold", "restrictToHpnZone": "never",
    "volumeSizeAutoAvailable": "true", "volumeDeleteSnapshotRetentionDays": "7",
    "volumeExpandAutoSnapshot": "forced", "mkfsOptions": "-F -m1", "omitfsck": "false",
}  # fmt: skip
"""All that a class of that driver may say and this one serves; what it refuses has tests apart."""


def as_its_users_wrote_it(name: str, *, zone_key: str, zone: str, binding: str) -> Object:
    """A StorageClass with every parameter, and a zone in the words of one generation."""
    terms = [{"key": zone_key, "values": [zone]}]
    return {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": name, "labels": {"diskcsi-e2e": "true"}},
        "provisioner": DRIVER, "parameters": {**EVERY_PARAMETER, "zoneId": zone},
        "reclaimPolicy": "Delete", "allowVolumeExpansion": True, "volumeBindingMode": binding,
        "allowedTopologies": [{"matchLabelExpressions": terms}],
    }  # fmt: skip


Classes: TypeAlias = Mapping[tuple[str, str], Object]


@pytest.fixture
def classes(kube: Kube, zones: Zones) -> Iterator[Classes]:
    """A class by the topology key of its generation and by its zone; they go with the scenario."""
    made = {
        (key, zone): as_its_users_wrote_it(
            f"{kube.namespace}-{word}-{zone}", zone_key=key, zone=zone, binding=binding
        )
        for key, word, binding in (
            (PRIVATE_ZONE, "private", "Immediate"),
            (STANDARD_ZONE, "standard", "WaitForFirstConsumer"),
        )
        for zone in (zones.one, zones.two)
    }
    yield made
    kube.delete("storageclass", *(one["metadata"]["name"] for one in made.values()))


@pytest.mark.parametrize("zone_key", [PRIVATE_ZONE, STANDARD_ZONE])
def test_its_classes_are_served(
    kube: Kube, zones: Zones, orders: Callable[[], Orders], cloud_disk: CloudDisks, *,
    classes: Classes, zone_key: str,
) -> None:  # fmt: skip
    """Each parameter is understood, those that the cloud knows come to it, and the zone counts."""
    of = classes[zone_key, zones.one]
    worker = pod("worker", claims={"data": "/data"})
    kube.apply(of, claim("data", of=of["metadata"]["name"]), worker)
    kube.wait_running("worker")
    check_kept(kube, "worker", again=worker)
    assert kube.node_of("worker") == zones.third
    assert cloud_disk("data") == in_use(zones.third, size_gib=20)
    (order,) = orders().of_disk(disk_of(kube, "data"))
    asked = {key: order[key] for key in ("DiskCategory", "Size", "ZoneId", *SENT)}
    assert asked == {"DiskCategory": "cloud_auto", "Size": "20", "ZoneId": zones.one, **SENT}
    assert tags_of(order).items() >= TAGGED.items()


SENT = {
    "Encrypted": "true", "KMSKeyId": "key-of-old", "ProvisionedIops": "300",
    "BurstingEnabled": "true", "ResourceGroupId": "rg-of-old", "StorageClusterId": "dbsc-of-old",
}  # fmt: skip
TAGGED = {
    "team": "storage", "cost": "low", "tier": "gold",
    "csi.alibabacloud.com/volume-delete-autosnapshot-retentiondays": "7",
}  # fmt: skip
"""What the cloud is told of the class."""


def as_its_attacher_left_it(left: Left, *, node: str, instance: str) -> Object:
    """A VolumeAttachment that the Go driver's attacher has served; the status comes apart."""
    name = hashlib.sha256(f"{left.disk}{DRIVER}{node}".encode()).hexdigest()
    return {
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
        "metadata": {
            "name": f"csi-{name}",
            "annotations": {"csi.alpha.kubernetes.io/node-id": instance},
            "finalizers": [f"external-attacher/{DRIVER.replace('.', '-')}"],
        },
        "spec": {
            "attacher": DRIVER, "nodeName": node, "source": {"persistentVolumeName": left.name},
        },
    }  # fmt: skip


def replace_attachment(kube: Kube, wanted: Object, metadata: Mapping[str, str]) -> Object:
    """Put that attachment in the place of the one that is there; gives it as it now stands."""
    name = wanted["metadata"]["name"]
    kube.run("patch", "volumeattachment", name, '--patch={"metadata":{"finalizers":null}}')
    kube.delete("volumeattachment", name)
    kube.apply(wanted)
    status = json.dumps({"status": {"attached": True, "attachmentMetadata": metadata}})
    kube.run(
        "patch", "volumeattachment", name, "--subresource=status", "--type=merge",
        f"--patch={status}",
    )  # fmt: skip
    return kube.get("volumeattachment", name)


@contextmanager
def no_driver(driver: Kube) -> Iterator[None]:
    """No pod of any driver runs in the cluster while the block does."""
    gone = '{"spec":{"template":{"spec":{"nodeSelector":{"e2e":"nowhere"}}}}}'
    back = '[{"op":"remove","path":"/spec/template/spec/nodeSelector/e2e"}]'
    driver.run("patch", "daemonset", "diskcsi-node", f"--patch={gone}")
    driver.run("scale", "deployment/diskcsi-controller", "--replicas=0")
    try:
        wait_for(
            lambda: not driver.list("pods", selector=PARTS), what="no pod of the driver is left"
        )
        yield
    finally:
        driver.run("patch", "daemonset", "diskcsi-node", "--type=json", f"--patch={back}")
        driver.run("scale", "deployment/diskcsi-controller", "--replicas=2")


def wait_written(kube: Kube, name: str) -> None:
    """Return when a pod that writes without end has gone on; no write has ever failed."""
    lines = written(kube, name, "/data").lines
    wait_for(lambda: written(kube, name, "/data").lines > lines + 20, what=f"{name} goes on")
    assert written(kube, name, "/data").errors == ""


@pytest.mark.disruptive
def test_pods_run_on_while_the_driver_is_swapped(
    kube: Kube, cloud: MockCloud, cloud_disk: CloudDisks, driver: Kube, zones: Zones, *,
    classes: Classes,
) -> None:  # fmt: skip
    """With no driver at all a pod writes on, whose class, volume and attachment are the Go driver's.

    By the attachment that was there before another pod gets the volume, and at last it is detached;
    and a claim of an old class, which waited, is bound.
    """
    old, class_ = classes[PRIVATE_ZONE, zones.two], classes[PRIVATE_ZONE, zones.one]
    kube.apply(old)
    left = left_by_that_driver(
        kube, of=old["metadata"]["name"], zone_key=PRIVATE_ZONE, zone=zones.two
    )
    kube.apply(pod("writer", claims={"data": "/data"}, script=ticking("/data"), zone=zones.two))
    node = kube.wait_running("writer")["spec"]["nodeName"]
    (instance,) = cloud.disks()[left.disk]["attached_to"]
    metadata = {"serialNumber": left.disk.removeprefix("d-")}
    with no_driver(driver):
        wanted = as_its_attacher_left_it(left, node=node, instance=instance)
        theirs = replace_attachment(kube, wanted, metadata)
        kube.apply(
            class_, claim("new", of=class_["metadata"]["name"]), pod("new", claims={"new": "/data"})
        )
        wait_written(kube, "writer")
    kube.wait_running("new")
    kube.apply(pod("beside", claims={"data": "/data"}, node=node))
    kube.wait_running("beside")
    wait_written(kube, "writer")
    served = kube.get("volumeattachment", theirs["metadata"]["name"])
    assert served["metadata"]["uid"] == theirs["metadata"]["uid"]
    assert served["status"] == {"attached": True, "attachmentMetadata": metadata}
    kube.delete("pod", "writer", "beside")
    kube.wait_gone("volumeattachment", theirs["metadata"]["name"])
    assert cloud.disks()[left.disk]["attached_to"] == []
    other = zones.second if node == zones.first else zones.first
    kube.apply(pod("next", claims={"data": "/data"}, node=other))
    kube.wait_running("next")
    assert kube.sh("next", SUM) == left.wrote
    assert cloud_disk("data") == in_use(other)
    assert cloud_disk("new") == in_use(kube.node_of("new"), size_gib=20)
    driver.run("rollout", "status", "daemonset/diskcsi-node", "--timeout=180s", timeout_s=200)
