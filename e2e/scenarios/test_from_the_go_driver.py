"""Coming from the Go driver: what that driver wrote is served, with pods running."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from e2e.support.cloud import MockCloud
from e2e.support.data import SUM, WRITE, disk_of
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
    name: str, *, disk: str, namespace: str, claim_name: str, zone_key: str, zone: str
) -> Object:
    """A PersistentVolume with the attributes and the placement that the Go driver gave it."""
    attributes = {
        "type": "cloud_essd", "performanceLevel": "PL0", "fstype": "ext4",
        "regionId": "cn-hangzhou", "readOnly": "false", "csi.storage.k8s.io/pv/name": name,
        "csi.storage.k8s.io/pvc/name": claim_name, "csi.storage.k8s.io/pvc/namespace": namespace,
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
            "storageClassName": "e2e-wait", "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"namespace": namespace, "name": claim_name},
            "csi": {
                "driver": DRIVER, "volumeHandle": disk, "fsType": "ext4",
                "volumeAttributes": attributes,
            },
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }  # fmt: skip


@pytest.mark.parametrize("zone_key", [PRIVATE_ZONE, STANDARD_ZONE])
def test_its_volumes_are_served(
    kube: Kube, cloud: MockCloud, cloud_disk: CloudDisks, zones: Zones, zone_key: str
) -> None:
    """A volume of either generation of topology keys is attached, mounted, and deleted."""
    kube.apply(
        claim("first", of="e2e-retain"), pod("writer", claims={"first": "/data"}, zone=zones.two)
    )
    kube.wait_running("writer")
    wrote, disk = kube.sh("writer", WRITE), disk_of(kube, "first")
    old = kube.get("pvc", "first")["spec"]["volumeName"]
    kube.delete("pod", "writer")
    kube.delete("pvc", "first")
    kube.delete("pv", old)
    name = f"d-from-the-go-driver-{'private' if zone_key == PRIVATE_ZONE else 'standard'}"
    kube.apply(
        as_that_driver_wrote_it(
            name, disk=disk, namespace=kube.namespace, claim_name="data", zone_key=zone_key,
            zone=zones.two,
        ),
        claim("data", of="e2e-wait", volume=name),
        pod("reader", claims={"data": "/data"}),
    )  # fmt: skip
    node = kube.wait_running("reader")["spec"]["nodeName"]
    assert node in (zones.first, zones.second)
    assert kube.sh("reader", SUM) == wrote
    assert disk_of(kube, "data") == disk
    assert cloud_disk("data") == in_use(node)
    kube.delete("pod", "reader")
    kube.delete("pvc", "data")
    kube.wait_gone("pv", name)
    assert disk not in cloud.disks()


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


@pytest.fixture
def classes(kube: Kube, zones: Zones) -> Iterator[Mapping[str, Object]]:
    """A class of each generation of topology keys, by that key; they go with the scenario."""
    made = {
        PRIVATE_ZONE: as_its_users_wrote_it(
            f"{kube.namespace}-private", zone_key=PRIVATE_ZONE, zone=zones.one, binding="Immediate"
        ),
        STANDARD_ZONE: as_its_users_wrote_it(
            f"{kube.namespace}-standard", zone_key=STANDARD_ZONE, zone=zones.one,
            binding="WaitForFirstConsumer",
        ),
    }  # fmt: skip
    yield made
    kube.delete("storageclass", *(one["metadata"]["name"] for one in made.values()))


@pytest.mark.parametrize("zone_key", [PRIVATE_ZONE, STANDARD_ZONE])
def test_its_classes_are_served(
    kube: Kube, zones: Zones, orders: Callable[[], Orders], cloud_disk: CloudDisks, *,
    classes: Mapping[str, Object], zone_key: str,
) -> None:  # fmt: skip
    """Each parameter is understood, those that the cloud knows come to it, and the zone counts."""
    of = classes[zone_key]
    kube.apply(
        of, claim("data", of=of["metadata"]["name"]), pod("worker", claims={"data": "/data"})
    )
    assert kube.wait_running("worker")["spec"]["nodeName"] == zones.third
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


def as_its_attacher_left_it(*, volume: str, disk: str, node: str, instance: str) -> Object:
    """A VolumeAttachment that the Go driver's attacher has served; the status comes apart."""
    name = hashlib.sha256(f"{disk}{DRIVER}{node}".encode()).hexdigest()
    return {
        "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment",
        "metadata": {
            "name": f"csi-{name}",
            "annotations": {"csi.alpha.kubernetes.io/node-id": instance},
            "finalizers": [f"external-attacher/{DRIVER.replace('.', '-')}"],
        },
        "spec": {
            "attacher": DRIVER, "nodeName": node, "source": {"persistentVolumeName": volume},
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


@pytest.mark.disruptive
def test_pods_run_on_while_the_driver_is_swapped(
    kube: Kube, cloud: MockCloud, cloud_disk: CloudDisks, driver: Kube, zones: Zones, *,
    classes: Mapping[str, Object],
) -> None:  # fmt: skip
    """With no driver at all a pod writes on; the next one serves what the Go driver has left.

    By the attachment that was there before another pod gets the volume, and at last it is detached;
    and a claim of an old class, which waited, is bound.
    """
    kube.apply(
        claim("data", of="e2e-wait"),
        pod("writer", claims={"data": "/data"}, script=ticking("/data"), zone=zones.two),
    )
    node = kube.wait_running("writer")["spec"]["nodeName"]
    wrote, disk = kube.sh("writer", WRITE), disk_of(kube, "data")
    (instance,) = cloud.disks()[disk]["attached_to"]
    theirs = as_its_attacher_left_it(
        volume=kube.get("pvc", "data")["spec"]["volumeName"], disk=disk, node=node,
        instance=instance,
    )  # fmt: skip
    ours, class_ = theirs["metadata"]["name"], classes[PRIVATE_ZONE]
    with no_driver(driver):
        metadata = {"serialNumber": disk.removeprefix("d-")}
        found = replace_attachment(kube, theirs, metadata)
        kube.apply(
            class_, claim("new", of=class_["metadata"]["name"]), pod("new", claims={"new": "/data"})
        )
        lines = written(kube, "writer", "/data").lines
        wait_for(
            lambda: written(kube, "writer", "/data").lines > lines + 20, what="the writer goes on"
        )
    kube.wait_running("new")
    kube.apply(pod("beside", claims={"data": "/data"}, node=node))
    kube.wait_running("beside")
    assert written(kube, "writer", "/data").errors == ""
    attachment = kube.get("volumeattachment", ours)
    assert attachment["metadata"]["uid"] == found["metadata"]["uid"]
    assert attachment["status"] == {"attached": True, "attachmentMetadata": metadata}
    kube.delete("pod", "writer", "beside")
    kube.wait_gone("volumeattachment", ours)
    assert cloud.disks()[disk]["attached_to"] == []
    other = zones.second if node == zones.first else zones.first
    kube.apply(pod("next", claims={"data": "/data"}, node=other))
    kube.wait_running("next")
    assert kube.sh("next", SUM) == wrote
    assert cloud_disk("data") == in_use(other)
    assert cloud_disk("new") == in_use(kube.node_of("new"), size_gib=20)
    driver.run("rollout", "status", "daemonset/diskcsi-node", "--timeout=180s", timeout_s=200)
