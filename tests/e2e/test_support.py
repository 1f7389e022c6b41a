"""What the scenarios conclude from objects: permissions, leftovers, readiness, timelines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from e2e.support.counts import changed, counts
from e2e.support.disks import CloudDisk, free, in_use
from e2e.support.kube import Object, is_ready
from e2e.support.leftovers import Made
from e2e.support.machines import Machines
from e2e.support.orders import Orders
from e2e.support.permissions import Audit, granted, owners_of
from e2e.support.waiting import NotHeld, NotSeen, hold_for, wait_for
from tests.e2e.stand_ins import ListedKube, StatedCloud, call, disk, order, volume


class LoggedMachines(Machines):
    """A machine whose audit log was given."""

    def __init__(self, entries: Sequence[Object]) -> None:
        super().__init__(environment={})
        self._text = "\n".join(map(json.dumps, entries))

    def run(self, node: str, *command: str, timeout_s: float = 60) -> str:
        """The log, whatever is asked."""
        return self._text


class UsedMachines(Machines):
    """Machines with the same mounts and devices each."""

    def __init__(self) -> None:
        super().__init__(environment={})

    def mounts(self, node: str) -> Sequence[str]:
        """One for each pod and one below them."""
        return ["/stage", "/pod"]

    def devices(self, node: str) -> Sequence[str]:
        """One disk."""
        return ["virtio-abc"]


def request(
    verb: str,
    resource: str,
    *,
    decision: str = "allow",
    pod: str = "now-1",
    account: str = "ours:it",
) -> Object:
    return {
        "verb": verb,
        "user": {
            "username": f"system:serviceaccount:{account}",
            "extra": {"authentication.kubernetes.io/pod-name": [pod]},
        },
        "objectRef": {"resource": resource, "apiGroup": "storage.k8s.io", "subresource": "status"},
        "annotations": {"authorization.k8s.io/decision": decision},
    }


BINDING = {
    "roleRef": {"kind": "ClusterRole", "name": "attach"},
    "subjects": [
        {"kind": "ServiceAccount", "namespace": "ours", "name": "controller"},
        {"kind": "ServiceAccount", "namespace": "others", "name": "controller"},
    ],
}
ROLE = {
    "metadata": {"name": "attach"},
    "rules": [{"apiGroups": [""], "resources": ["persistentvolumes"], "verbs": ["list", "patch"]}],
}


def test_permissions_are_those_of_the_roles_that_are_bound() -> None:
    """Each verb of each resource, and none of another namespace's account."""
    kube = ListedKube(clusterrole=[ROLE], clusterrolebinding=[BINDING])
    assert granted(kube, namespace="ours") == {
        "controller": {("", "persistentvolumes", "list"), ("", "persistentvolumes", "patch")}
    }


def test_what_was_given_and_what_was_refused_are_told_apart() -> None:
    """By the server's decision; of another namespace, or of a former release's pods, is neither."""
    entries = [
        request("patch", "a"),
        request("get", "b", decision="forbid"),
        request("get", "nodes", account="else:it"),
        request("get", "leases", pod="before-1"),
    ]
    audit = Audit(
        machines=LoggedMachines(entries), control_plane="node", namespace="ours", owners={"now"}
    )
    assert audit.used() == {("storage.k8s.io", "a/status", "patch")}
    assert audit.refused() == {("storage.k8s.io", "b/status", "get")}


def test_pods_of_the_present_images_are_those_that_count() -> None:
    """Whatever else a revision of the release had changed."""

    def owner(name: str, image: str) -> Object:
        containers = [{"image": image}]
        return {
            "metadata": {"name": name},
            "spec": {"template": {"spec": {"containers": containers}}},
        }

    sets = [owner("now", "it:2"), owner("debug", "it:2"), owner("before", "it:1")]
    kube = ListedKube(replicaset=sets, deployment=[owner("it", "it:2")])
    owners = owners_of(kube, deployment="it", daemon_set="it-node")
    assert owners == {"now", "debug", "it-node"}


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


def test_a_fault_s_strikes_are_counted_by_action_and_kind() -> None:
    """Each fault of a scenario is counted for itself."""
    calls = [
        call("DetachDisk", fault="delay"), call("DeleteDisk", fault="lose_reply"),
        call("DetachDisk"), call("DetachDisk", fault="lose_reply"),
    ]  # fmt: skip
    orders = Orders(calls=calls, namespace="mine")
    assert orders.struck(action="DetachDisk", kind="lose_reply") == 1
    assert orders.struck(action="*", kind="lose_reply") == 2


def test_a_disk_whose_volume_is_gone_is_left_behind() -> None:
    """A disk counts by its tag, even if no volume names it any more."""
    kube, cloud = ListedKube(pv=[volume("pv-1", namespace="mine", disk="d-1")]), StatedCloud()
    made = Made.seen(kube=kube, cloud=cloud)
    kube.objects = {}
    cloud.told = {"disks": [disk("d-2"), disk("d-3", namespace="else")], "snapshots": []}
    assert made.left(kube=kube, cloud=cloud, files={}) == "disks: d-2"


def test_an_attachment_of_a_volume_is_left_behind() -> None:
    """Kubernetes' own record of an attach must go as well."""
    kube = ListedKube(pv=[volume("pv-1", namespace="mine", disk="d-1")])
    made = Made.seen(kube=kube, cloud=StatedCloud())
    kube.objects = {
        "volumeattachment": [
            {"metadata": {"name": "a"}, "spec": {"source": {"persistentVolumeName": "pv-1"}}},
            {"metadata": {"name": "b"}, "spec": {"source": {"persistentVolumeName": "pv-9"}}},
        ]
    }
    assert made.left(kube=kube, cloud=StatedCloud(), files={}) == "attachments: a"


def test_nothing_left_is_told_by_silence() -> None:
    """Others' volumes and disks are not this scenario's."""
    kube = ListedKube(pv=[volume("pv-1", namespace="else", disk="d-1")])
    cloud = StatedCloud(disks=[disk("d-1", namespace="else")])
    made = Made.seen(kube=kube, cloud=cloud)
    assert made.left(kube=kube, cloud=cloud, files={"loop1": "/disks/1.img"}) == ""


def test_a_loop_device_of_no_disk_is_left_behind() -> None:
    """The kernel holds a file that the cloud knows nothing of any more."""
    made = Made.seen(kube=ListedKube(), cloud=StatedCloud())
    files = {"loop3": "/disks/abc.img (deleted)", "loop4": "/somebody/else.img"}
    assert made.left(kube=ListedKube(), cloud=StatedCloud(), files=files) == (
        "loop devices: loop3 of d-abc"
    )


def test_everything_that_a_volume_leaves_traces_in_is_counted() -> None:
    """In the cloud, in Kubernetes, on every node and in the kernel, where others' files don't count."""
    kube = ListedKube(
        nodes=[{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}],
        pv=[volume("pv-1", namespace="mine", disk="d-1")],
    )
    files = {
        "loop1": "/disks/abc.img",
        "loop2": "/var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices/x",
        "loop3": "/somebody/else.img",
    }
    cloud = StatedCloud(disks=[disk("d-1"), disk("d-2")], snapshots=[{"id": "s-1"}])
    assert counts(kube=kube, cloud=cloud, machines=UsedMachines(), files=files) == {
        "disks": 2, "snapshots": 1, "volumes": 1, "attachments": 0, "loop devices of disks": 1,
        "loop devices of kubelet": 1, "mounts on nodes": 4, "disks in the nodes' /dev": 2,
    }  # fmt: skip


def test_a_count_that_changed_is_told_with_what_it_was() -> None:
    """And nothing is told of the others."""
    assert changed({"disks": 1, "mounts": 2}, {"disks": 1, "mounts": 3}) == (
        "mounts: 2 before, 3 now"
    )


def test_a_pod_that_goes_away_is_not_ready() -> None:
    """Although its condition still says so."""
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert is_ready({"metadata": {}, "status": ready})
    assert not is_ready({"metadata": {"deletionTimestamp": "now"}, "status": ready})


def test_what_did_not_come_is_told_with_what_was_there() -> None:
    """The condition, the limit, and the state at the end of it."""
    with pytest.raises(NotSeen, match=r"not seen in 0 s: the moon\. It is day"):
        wait_for(lambda: None, what="the moon", timeout_s=0, instead=lambda: "It is day")


def test_what_ends_while_it_is_watched_is_told() -> None:
    """At the look that no longer finds it so."""
    looks = iter([True, True, False])
    with pytest.raises(NotHeld, match=r"the moon\. It is day"):
        hold_for(60, lambda: next(looks), what="the moon", instead=lambda: "It is day")


def test_what_stays_is_looked_at_once_at_least() -> None:
    """However short the time is."""
    assert hold_for(0, lambda: True, what="the moon") == 1
