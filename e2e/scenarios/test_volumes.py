"""A claim becomes a disk, a device, a file: each way in which a pod may use it."""

from __future__ import annotations

import pytest

from e2e.support.cloud import MockCloud
from e2e.support.data import SUM, SUM_DEVICE, WRITE, WRITE_DEVICE, disk_of
from e2e.support.kube import Kube
from e2e.support.machines import Zones
from e2e.support.objects import DRIVER, claim, pod, storage_class
from e2e.support.waiting import wait_for


@pytest.mark.parametrize("of", ["e2e-wait", "e2e-wait-xfs", "e2e-now", "e2e-now-xfs"])
def test_data_outlives_its_pod(kube: Kube, cloud: MockCloud, of: str) -> None:
    """What one pod writes the next one reads, on a disk of the class's filesystem."""
    kube.apply(claim("data", of=of), pod("writer", claims={"data": "/data"}))
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE)
    assert cloud.disks()[disk_of(kube, "data")]["status"] == "In_use"
    kube.delete("pod", "writer")
    kube.apply(pod("reader", claims={"data": "/data"}))
    kube.wait_running("reader")
    assert kube.sh("reader", SUM) == wrote
    filesystem = kube.sh("reader", "awk '$2 == \"/data\" {print $3}' /proc/mounts")
    assert filesystem == ("xfs" if of.endswith("xfs") else "ext4")


def test_an_immediate_claim_is_bound_before_any_pod(kube: Kube) -> None:
    """Its disk is made at once."""
    kube.apply(claim("data", of="e2e-now"))
    kube.wait("pvc", "data", lambda one: one["status"].get("phase") == "Bound", what="is bound")


def test_a_raw_block_volume_keeps_its_bytes(kube: Kube) -> None:
    """A pod writes to the device itself, and the next pod finds the bytes."""
    kube.apply(
        claim("disk", of="e2e-wait", mode="Block"), pod("writer", devices={"disk": "/dev/disk0"})
    )
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE_DEVICE)
    kube.delete("pod", "writer")
    kube.apply(pod("reader", devices={"disk": "/dev/disk0"}))
    kube.wait_running("reader")
    assert kube.sh("reader", SUM_DEVICE) == wrote


def test_a_read_only_mount_takes_no_write(kube: Kube) -> None:
    """The data is there, and a write is refused by the kernel."""
    kube.apply(claim("data", of="e2e-wait"), pod("writer", claims={"data": "/data"}))
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE)
    kube.delete("pod", "writer")
    kube.apply(pod("reader", claims={"data": "/data"}, read_only=True))
    kube.wait_running("reader")
    assert kube.sh("reader", SUM) == wrote
    assert "Read-only file system" in kube.sh("reader", "touch /data/new 2>&1 || true")


def test_a_group_of_the_pod_may_write(kube: Kube) -> None:
    """`fsGroup` owns the volume's root, for a process that is not root."""
    context = {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000}
    kube.apply(
        claim("data", of="e2e-wait"),
        pod("writer", claims={"data": "/data"}, securityContext=context),
    )
    kube.wait_running("writer")
    assert kube.sh("writer", "touch /data/mine && stat -c %g /data/mine") == "2000"


def test_a_directory_of_the_volume_is_mounted_alone(kube: Kube) -> None:
    """With `subPath` the pod sees that directory and nothing beside it."""
    kube.apply(claim("data", of="e2e-wait"), pod("whole", claims={"data": "/data"}))
    kube.wait_running("whole")
    kube.sh(
        "whole", "mkdir /data/part; echo inside > /data/part/word; echo outside > /data/word; sync"
    )
    node = kube.get("pod", "whole")["spec"]["nodeName"]
    part = pod("part", claims={"data": "/data"}, node=node)
    part["spec"]["containers"][0]["volumeMounts"][0]["subPath"] = "part"
    kube.apply(part)
    kube.wait_running("part")
    assert kube.sh("part", "cat /data/*") == "inside"


def test_an_ephemeral_volume_lives_as_long_as_its_pod(kube: Kube, cloud: MockCloud) -> None:
    """A generic ephemeral volume is made with the pod and deleted with it."""
    made = pod("worker")
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
    template = {"spec": claim("unused", of="e2e-wait")["spec"]}
    made["spec"]["volumes"] = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
    kube.apply(made)
    kube.wait_running("worker")
    disk = disk_of(kube, "worker-scratch")
    assert disk in cloud.disks()
    kube.delete("pod", "worker")
    kube.wait_gone("pvc", "worker-scratch")


def test_two_pods_on_one_node_share_a_volume(kube: Kube, cloud: MockCloud) -> None:
    """ReadWriteOnce is once for a node: both see the same file, and the disk is attached once."""
    kube.apply(claim("data", of="e2e-wait"), pod("one", claims={"data": "/data"}))
    node = kube.wait_running("one")["spec"]["nodeName"]
    kube.apply(pod("two", claims={"data": "/data"}, node=node))
    kube.wait_running("two")
    wrote = kube.sh("one", WRITE)
    assert kube.sh("two", SUM) == wrote
    assert len(cloud.disks()[disk_of(kube, "data")]["attached_to"]) == 1


def test_a_volume_written_by_hand_serves_an_existing_disk(
    kube: Kube, cloud: MockCloud, zones: Zones
) -> None:
    """A PersistentVolume with a disk's id is all that an existing disk needs."""
    kube.apply(
        storage_class("e2e-by-hand", reclaim="Retain"),
        claim("first", of="e2e-by-hand"), pod("writer", claims={"first": "/data"}, zone=zones.two),
    )  # fmt: skip
    kube.wait_running("writer")
    wrote, disk = kube.sh("writer", WRITE), disk_of(kube, "first")
    old = kube.get("pvc", "first")["spec"]["volumeName"]
    kube.delete("pod", "writer")
    kube.delete("pvc", "first")
    kube.delete("pv", old)
    volume = {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "e2e-by-hand"},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "storageClassName": "", "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {"namespace": kube.namespace, "name": "second"},
            "csi": {"driver": DRIVER, "volumeHandle": disk, "fsType": "ext4"},
        },
    }  # fmt: skip
    kube.apply(
        volume, claim("second", of="", volume="e2e-by-hand"),
        pod("reader", claims={"second": "/data"}, zone=zones.two),
    )  # fmt: skip
    kube.wait_running("reader")
    assert kube.sh("reader", SUM) == wrote
    assert disk in cloud.disks()
    kube.delete("storageclass", "e2e-by-hand")


def test_retained_disks_stay_when_their_claim_goes(kube: Kube, cloud: MockCloud) -> None:
    """`Retain` keeps volume and disk; deleting both by hand ends it."""
    kube.apply(claim("data", of="e2e-retain"), pod("writer", claims={"data": "/data"}))
    kube.wait_running("writer")
    disk, volume = disk_of(kube, "data"), kube.get("pvc", "data")["spec"]["volumeName"]
    kube.delete("pod", "writer")
    kube.delete("pvc", "data")
    kube.wait("pv", volume, lambda one: one["status"]["phase"] == "Released", what="is released")
    wait_for(lambda: cloud.disks()[disk]["status"] == "Available", what="the disk is free")
    kube.run(
        "patch", "pv", volume, "--patch", '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}'
    )
    kube.wait_gone("pv", volume)
    assert disk not in cloud.disks()
