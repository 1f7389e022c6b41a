"""Snapshots: taken, restored to the same and to a larger size, and written by hand."""

from __future__ import annotations

from collections.abc import Callable

from e2e.support.data import GIB, SUM, SUM_DEVICE, WRITE, WRITE_DEVICE, room
from e2e.support.disks import CloudDisks, in_use
from e2e.support.kube import Kube, Object
from e2e.support.objects import DRIVER, claim, from_snapshot, pod, snapshot
from e2e.support.orders import Orders


def is_usable(one: Object) -> bool:
    """Whether a snapshot can be restored."""
    return bool(one.get("status", {}).get("readyToUse"))


def test_a_snapshot_restores_to_the_same_and_to_a_larger_size(
    kube: Kube, orders: Callable[[], Orders], cloud_disk: CloudDisks
) -> None:
    """Both have the data of the moment of the snapshot, and the larger one has its room."""
    kube.apply(claim("data", of="e2e-wait"), pod("writer", claims={"data": "/data"}))
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE)
    kube.apply(snapshot("kept", claim_name="data", of="e2e-snapshots"))
    kube.wait("volumesnapshot", "kept", is_usable, what="is ready")
    kube.sh("writer", "rm /data/file; sync")
    kube.apply(
        claim("same", of="e2e-wait", source=from_snapshot("kept")),
        claim("larger", of="e2e-wait", size="3Gi", source=from_snapshot("kept")),
        pod("same", claims={"same": "/data"}),
        pod("larger", claims={"larger": "/data"}),
    )
    kube.wait_running("same")
    kube.wait_running("larger")
    assert kube.sh("same", SUM) == wrote
    assert kube.sh("larger", SUM) == wrote
    assert room(kube, "larger") > 2 * GIB
    assert cloud_disk("same") == in_use(kube.node_of("same"))
    assert cloud_disk("larger") == in_use(kube.node_of("larger"), size_gib=3)
    assert (len(orders().made()), len(orders().snapshots())) == (3, 1)


def test_a_raw_block_volume_is_restored(
    kube: Kube, orders: Callable[[], Orders], cloud_disk: CloudDisks
) -> None:
    """A snapshot keeps the bytes of a device that has no filesystem."""
    kube.apply(
        claim("disk", of="e2e-wait", mode="Block"), pod("writer", devices={"disk": "/dev/disk0"})
    )
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE_DEVICE)
    kube.apply(snapshot("kept", claim_name="disk", of="e2e-snapshots"))
    kube.wait("volumesnapshot", "kept", is_usable, what="is ready")
    kube.apply(
        claim("copy", of="e2e-wait", mode="Block", source=from_snapshot("kept")),
        pod("reader", devices={"copy": "/dev/disk0"}),
    )
    kube.wait_running("reader")
    assert kube.sh("reader", SUM_DEVICE) == wrote
    assert cloud_disk("copy") == in_use(kube.node_of("reader"))
    assert (len(orders().made()), len(orders().snapshots())) == (2, 1)


def test_a_snapshot_content_written_by_hand_serves(
    kube: Kube, orders: Callable[[], Orders], cloud_disk: CloudDisks
) -> None:
    """A VolumeSnapshotContent with a snapshot's id makes an existing snapshot usable."""
    kube.apply(claim("data", of="e2e-wait"), pod("writer", claims={"data": "/data"}))
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE)
    kube.apply(snapshot("kept", claim_name="data", of="e2e-snapshots"))
    made = kube.wait("volumesnapshot", "kept", is_usable, what="is ready")
    handle = kube.get(
        "volumesnapshotcontent", made["status"]["boundVolumeSnapshotContentName"]
    )["status"]["snapshotHandle"]  # fmt: skip
    name = f"{kube.namespace}-by-hand"
    content = {
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
        "metadata": {"name": name},
        "spec": {
            "deletionPolicy": "Retain", "driver": DRIVER, "source": {"snapshotHandle": handle},
            "volumeSnapshotRef": {"namespace": kube.namespace, "name": "by-hand"},
        },
    }  # fmt: skip
    taken = {
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": "by-hand"},
        "spec": {"source": {"volumeSnapshotContentName": name}},
    }  # fmt: skip
    kube.apply(content, taken)
    kube.wait("volumesnapshot", "by-hand", is_usable, what="is ready")
    kube.apply(
        claim("copy", of="e2e-wait", source=from_snapshot("by-hand")),
        pod("reader", claims={"copy": "/data"}),
    )
    kube.wait_running("reader")
    assert kube.sh("reader", SUM) == wrote
    assert cloud_disk("copy") == in_use(kube.node_of("reader"))
    assert orders().snapshots() == [handle]
    kube.delete("volumesnapshot", "by-hand")
    kube.delete("volumesnapshotcontent", name)
