"""What the scenarios conclude from the cloud's state and its call log."""

from __future__ import annotations

from dataclasses import replace

from e2e.support.disks import CloudDisk, free, in_use
from e2e.support.kube import Object
from e2e.support.orders import Orders
from tests.e2e.stand_ins import ListedKube, StatedCloud, call, disk, order, volume


def test_a_repeated_order_made_one_disk() -> None:
    """A refused one made none, and the one whose answer was lost the same as its repetition."""
    calls = [order("a"), order("a", "d-1"), order("a", "d-1"), order("b", "d-2")]
    orders = Orders(calls=calls, namespace="mine")
    assert (orders.made(), orders.more_than_once()) == (["d-1", "d-2"], "")


def test_a_volume_with_two_disks_is_told() -> None:
    """By its name and its disks' ids; another namespace's orders don't count."""
    calls = [order("a", "d-2"), order("a", "d-1"), order("a", "d-3", namespace="else")]
    assert Orders(calls=calls, namespace="mine").more_than_once() == "a: d-1, d-2"


def test_an_order_that_never_came_to_a_disk_is_told() -> None:
    """Who counts one disk for each volume sees that this one has none."""
    assert Orders(calls=[order("a")], namespace="mine").disks() == {"a": frozenset()}


def test_snapshots_are_those_of_the_namespace_s_disks() -> None:
    """Each counts once, however often it was ordered."""
    calls = [
        order("a", "d-1"),
        call("CreateSnapshot", DiskId="d-1"),
        call("CreateSnapshot", "s-1", DiskId="d-1"),
        call("CreateSnapshot", "s-1", DiskId="d-1"),
        call("CreateSnapshot", "s-2", DiskId="d-9"),
    ]
    assert Orders(calls=calls, namespace="mine").snapshots() == ["s-1"]


def bound(claim: str, to: str) -> Object:
    return {"metadata": {"name": claim}, "spec": {"volumeName": to}}


def held(name: str, *instances: str, size_gib: int = 1) -> Object:
    """A disk as the cloud's state has it."""
    status = "In_use" if instances else "Available"
    return {**disk(name), "status": status, "attached_to": instances, "size_gib": size_gib}


CLAIMED = ListedKube(pvc=[bound("data", "pv-1")], pv=[volume("pv-1", namespace="mine", disk="d-1")])


def test_a_claims_disk_is_told_by_state_and_orders() -> None:
    """Where it is, how large, and how often it was ordered; others' orders don't count."""
    machines = [{"id": "i-1", "name": "worker"}, {"id": "i-2", "name": "other"}]
    cloud = StatedCloud(disks=[held("d-1", "i-1", size_gib=3), held("d-2")], instances=machines)
    calls = [
        order("pv-1", "d-1"), order("pv-2", "d-2"), call("ResizeDisk", DiskId="d-1", status=403),
        call("ResizeDisk", DiskId="d-1"), call("ResizeDisk", DiskId="d-2"),
    ]  # fmt: skip
    orders = Orders(calls=calls, namespace="mine")
    found = CloudDisk.of_claim("data", kube=CLAIMED, cloud=cloud, orders=orders)
    assert found == in_use("worker", size_gib=3, grown=1)


def test_a_disk_that_was_ordered_twice_is_not_as_it_must_be() -> None:
    """Although there is one, and no node has it."""
    orders = Orders(calls=[order("pv-1", "d-1"), order("pv-1", "d-1")], namespace="mine")
    cloud = StatedCloud(disks=[held("d-1")])
    found = CloudDisk.of_claim("data", kube=CLAIMED, cloud=cloud, orders=orders)
    assert found != free()
    assert found == replace(free(), made=2)


def test_whom_a_disk_was_given_to_is_told_in_turn() -> None:
    """A machine that was refused it did not get it."""
    calls = [
        call("AttachDisk", DiskId="d-1", InstanceId="i-1"),
        call("AttachDisk", DiskId="d-1", InstanceId="i-2", status=403),
        call("AttachDisk", DiskId="d-9", InstanceId="i-3"),
        call("AttachDisk", DiskId="d-1", InstanceId="i-2"),
    ]
    assert Orders(calls=calls, namespace="mine").given_to("d-1") == ["i-1", "i-2"]


def test_what_was_asked_before_a_moment_is_told_by_when_it_came() -> None:
    """A call that was still being answered then had come; the log's own time is that of its end."""
    calls = [
        order("a", "d-1"), order("b", "d-2"), call("AttachDisk", DiskId="d-1", at=9, duration_s=3),
        call("AttachDisk", DiskId="d-2", at=9, duration_s=1),
    ]  # fmt: skip
    orders = Orders(calls=calls, namespace="mine")
    assert orders.begun_before(7).attached() == {"d-1"}


def test_a_fault_s_strikes_are_counted_by_action_and_kind() -> None:
    """Each fault of a scenario is counted for itself."""
    calls = [
        call("DetachDisk", fault="delay"), call("DeleteDisk", fault="lose_reply"),
        call("DetachDisk"), call("DetachDisk", fault="lose_reply"),
    ]  # fmt: skip
    orders = Orders(calls=calls, namespace="mine")
    assert orders.struck(action="DetachDisk", kind="lose_reply") == 1
    assert orders.struck(action="*", kind="lose_reply") == 2
