"""A claim becomes a disk, a device, a file: each way in which a pod may use it."""

from __future__ import annotations

from typing import Final

import pytest

from e2e.support.cloud import MockCloud
from e2e.support.data import SUM, SUM_DEVICE, WRITE, WRITE_DEVICE, disk_of, volume_of
from e2e.support.disks import CloudDisks, free, in_use
from e2e.support.kube import Kube, is_ready
from e2e.support.machines import Zones
from e2e.support.objects import DRIVER, claim, pod
from e2e.support.waiting import wait_for

FOR_ANOTHER_CLAIM: Final = '{"spec":{"claimRef":null}}'
TO_GO_WITH_ITS_CLAIM: Final = '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}'
"""Of a volume."""


@pytest.mark.parametrize("of", ["e2e-wait", "e2e-wait-xfs", "e2e-now", "e2e-now-xfs"])
def test_data_outlives_its_pod(kube: Kube, cloud_disk: CloudDisks, of: str) -> None:
    """What one pod writes the next one reads, on a disk of the class's filesystem."""
    kube.apply(claim("data", of=of), pod("writer", claims={"data": "/data"}))
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE)
    assert cloud_disk("data") == in_use(kube.node_of("writer"))
    kube.delete("pod", "writer")
    kube.apply(pod("reader", claims={"data": "/data"}))
    kube.wait_running("reader")
    assert kube.sh("reader", SUM) == wrote
    assert cloud_disk("data") == in_use(kube.node_of("reader"))
    filesystem = kube.sh("reader", "awk '$2 == \"/data\" {print $3}' /proc/mounts")
    assert filesystem == ("xfs" if of.endswith("xfs") else "ext4")


def test_an_immediate_claim_is_bound_before_any_pod(kube: Kube, cloud_disk: CloudDisks) -> None:
    """Its disk is made at once, and no node has it."""
    kube.apply(claim("data", of="e2e-now"))
    kube.wait("pvc", "data", lambda one: one["status"].get("phase") == "Bound", what="is bound")
    assert cloud_disk("data") == free()


def test_a_raw_block_volume_keeps_its_bytes(kube: Kube, cloud_disk: CloudDisks) -> None:
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
    assert cloud_disk("disk") == in_use(kube.node_of("reader"))


def test_a_read_only_mount_takes_no_write(kube: Kube, cloud_disk: CloudDisks) -> None:
    """The data is there, and a write is refused by the kernel."""
    kube.apply(claim("data", of="e2e-wait"), pod("writer", claims={"data": "/data"}))
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE)
    kube.delete("pod", "writer")
    kube.apply(pod("reader", claims={"data": "/data"}, read_only=True))
    kube.wait_running("reader")
    assert "Read-only file system" in kube.sh("reader", "touch /data/new 2>&1 || true")
    assert kube.sh("reader", SUM) == wrote
    assert cloud_disk("data") == in_use(kube.node_of("reader"))


def test_a_group_of_the_pod_may_write(kube: Kube, cloud_disk: CloudDisks) -> None:
    """`fsGroup` owns the volume's root, for a process that is not root, and what it writes stays."""
    context = {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000}
    kube.apply(
        claim("data", of="e2e-wait"),
        pod("writer", claims={"data": "/data"}, securityContext=context),
    )
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE)
    assert kube.sh("writer", "stat -c %g /data/file") == "2000"
    kube.delete("pod", "writer")
    kube.apply(
        pod("reader", claims={"data": "/data"}, securityContext={**context, "runAsUser": 1001})
    )
    kube.wait_running("reader")
    assert kube.sh("reader", SUM) == wrote
    assert cloud_disk("data") == in_use(kube.node_of("reader"))


def test_a_directory_of_the_volume_is_mounted_alone(kube: Kube, cloud_disk: CloudDisks) -> None:
    """With `subPath` the pod sees that directory and nothing beside it."""
    kube.apply(claim("data", of="e2e-wait"), pod("whole", claims={"data": "/data"}))
    kube.wait_running("whole")
    wrote = kube.sh("whole", f"{WRITE}; mkdir /data/part; mv /data/file /data/part; touch /data/no")
    node = kube.node_of("whole")
    part = pod("part", claims={"data": "/data"}, node=node)
    part["spec"]["containers"][0]["volumeMounts"][0]["subPath"] = "part"
    kube.apply(part)
    kube.wait_running("part")
    assert kube.sh("part", "ls /data") == "file"
    assert kube.sh("part", SUM) == wrote
    assert cloud_disk("data") == in_use(node)


def test_an_ephemeral_volume_lives_as_long_as_its_pod(
    kube: Kube, cloud: MockCloud, cloud_disk: CloudDisks
) -> None:
    """A generic ephemeral volume is made with the pod, outlives its container, and goes with it."""
    made = pod("worker")
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "scratch", "mountPath": "/data"}]
    template = {"spec": claim("unused", of="e2e-wait")["spec"]}
    made["spec"]["volumes"] = [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]
    kube.apply(made)
    kube.wait_running("worker")
    wrote = kube.sh("worker", WRITE)
    kube.attempt("exec", "worker", "--", "kill", "1")
    kube.wait(
        "pod", "worker",
        lambda one: one["status"]["containerStatuses"][0]["restartCount"] == 1 and is_ready(one),
        what="has another container",
    )  # fmt: skip
    assert kube.sh("worker", SUM) == wrote
    assert cloud_disk("worker-scratch") == in_use(kube.node_of("worker"))
    disk, volume = disk_of(kube, "worker-scratch"), volume_of(kube, "worker-scratch")
    kube.delete("pod", "worker")
    kube.wait_gone("pvc", "worker-scratch")
    kube.wait_gone("pv", volume)
    assert disk not in cloud.disks()


def test_two_pods_on_one_node_share_a_volume(kube: Kube, cloud_disk: CloudDisks) -> None:
    """ReadWriteOnce is once for a node: both see the same file, and the disk is attached once."""
    kube.apply(claim("data", of="e2e-wait"), pod("one", claims={"data": "/data"}))
    node = kube.wait_running("one")["spec"]["nodeName"]
    kube.apply(pod("two", claims={"data": "/data"}, node=node))
    kube.wait_running("two")
    wrote = kube.sh("one", WRITE)
    assert kube.sh("two", SUM) == wrote
    assert cloud_disk("data") == in_use(node)


def test_a_volume_written_by_hand_serves_an_existing_disk(
    kube: Kube, cloud_disk: CloudDisks, zones: Zones
) -> None:
    """A PersistentVolume with a disk's id is all that an existing disk needs."""
    kube.apply(
        claim("first", of="e2e-retain"), pod("writer", claims={"first": "/data"}, zone=zones.two),
    )  # fmt: skip
    kube.wait_running("writer")
    wrote, disk = kube.sh("writer", WRITE), disk_of(kube, "first")
    old = volume_of(kube, "first")
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
    assert disk_of(kube, "second") == disk
    assert cloud_disk("second") == in_use(kube.node_of("reader"))


def test_retained_disks_stay_when_their_claim_goes(
    kube: Kube, cloud: MockCloud, cloud_disk: CloudDisks
) -> None:
    """`Retain` keeps volume, disk and data for the next claim; without it they go with that one."""
    kube.apply(claim("data", of="e2e-retain"), pod("writer", claims={"data": "/data"}))
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE)
    disk, volume = disk_of(kube, "data"), volume_of(kube, "data")
    kube.delete("pod", "writer")
    kube.delete("pvc", "data")
    kube.wait("pv", volume, lambda one: one["status"]["phase"] == "Released", what="is released")
    wait_for(lambda: cloud.disks()[disk]["status"] == "Available", what="the disk is free")
    kube.run("patch", "pv", volume, f"--patch={FOR_ANOTHER_CLAIM}")
    kube.apply(
        claim("next", of="e2e-retain", volume=volume), pod("reader", claims={"next": "/data"})
    )
    kube.wait_running("reader")
    assert kube.sh("reader", SUM) == wrote
    assert cloud_disk("next") == in_use(kube.node_of("reader"))
    kube.run("patch", "pv", volume, f"--patch={TO_GO_WITH_ITS_CLAIM}")
    kube.delete("pod", "reader")
    kube.delete("pvc", "next")
    kube.wait_gone("pv", volume)
    assert disk not in cloud.disks()
