"""What the scenarios conclude from objects: permissions, leftovers, readiness."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from collections.abc import Sequence

import pytest

from e2e.support.counts import changed, counts
from e2e.support.kube import Object, is_ready
from e2e.support.leftovers import KUBELETS, MOCKS, Made, owners_of_devices
from e2e.support.machines import KILL, Machines
from e2e.support.permissions import Audit, granted, owners_of
from e2e.support.waiting import NotHeld, NotSeen, hold_for, wait_for
from tests.e2e.stand_ins import ListedKube, StatedCloud, disk, volume


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
        self.words: Sequence[str] = ()

    def mounts(self, node: str) -> Sequence[str]:
        """One for each pod and one below them."""
        return ["/stage", "/pod"]

    def devices(self, node: str) -> Sequence[str]:
        """One disk."""
        return ["virtio-abc"]

    def traces(self, node: str, *, words: Sequence[str]) -> Sequence[str]:
        """Of that disk, whatever is looked for."""
        self.words = words
        return self.devices(node)


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


def test_a_disk_whose_volume_is_gone_is_left_behind() -> None:
    """A disk counts by its tag, even if no volume names it any more."""
    kube, cloud = ListedKube(pv=[volume("pv-1", namespace="mine", disk="d-1")]), StatedCloud()
    made = Made.seen(kube=kube, cloud=cloud, ordered=())
    kube.objects = {}
    cloud.told = {"disks": [disk("d-2"), disk("d-3", namespace="else")], "snapshots": []}
    assert made.left(kube=kube, cloud=cloud, files={}) == "disks: d-2"


def test_an_attachment_of_a_volume_is_left_behind() -> None:
    """Kubernetes' own record of an attach must go as well."""
    kube = ListedKube(pv=[volume("pv-1", namespace="mine", disk="d-1")])
    made = Made.seen(kube=kube, cloud=StatedCloud(), ordered=())
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
    made = Made.seen(kube=kube, cloud=cloud, ordered=())
    assert made.left(kube=kube, cloud=cloud, files={"loop1": "/disks/1.img"}) == ""


def test_a_loop_device_of_a_disk_that_is_gone_is_left_behind() -> None:
    """The kernel holds a file that the cloud knows nothing of any more; others' are theirs."""
    made = Made.seen(kube=ListedKube(), cloud=StatedCloud(), ordered=["d-abc"])
    files = {
        "loop3": "/disks/abc.img (deleted)", "loop4": "/somebody/else.img",
        "loop5": "/disks/anothercloud.img",
    }  # fmt: skip
    assert made.left(kube=ListedKube(), cloud=StatedCloud(), files=files) == (
        "loop devices: loop3 over /disks/abc.img (deleted)"
    )


def test_a_class_of_a_scenario_s_own_is_left_behind() -> None:
    """It has the name of the namespace before its own; that of a longer namespace has not."""
    classes = [{"metadata": {"name": name}} for name in ("mine-class", "mineral-class", "e2e-wait")]
    made = Made.seen(kube=ListedKube(), cloud=StatedCloud(), ordered=())
    left = made.left(kube=ListedKube(storageclass=classes), cloud=StatedCloud(), files={})
    assert left == "classes: mine-class"


def test_what_a_node_has_of_a_volume_is_left_behind() -> None:
    """By the name of the volume, the serial of the disk, or the hash of its id, as kubelet has it."""
    kube = ListedKube(
        pv=[volume("pv-1", namespace="mine", disk="d-1")], nodes=[{"metadata": {"name": "a"}}]
    )
    machines = UsedMachines()
    made = Made.seen(kube=kube, cloud=StatedCloud(), ordered=["d-2"])
    assert made.left_on_nodes(kube=kube, machines=machines) == "a: virtio-abc"
    hashes = {hashlib.sha256(one).hexdigest() for one in (b"d-1", b"d-2")}
    assert set(machines.words) == {"pv-1", "1", "2", *hashes}


def test_a_node_is_not_asked_about_nothing() -> None:
    """A search for no word would find every line."""
    made = Made.seen(kube=ListedKube(), cloud=StatedCloud(), ordered=())
    kube = ListedKube(nodes=[{"metadata": {"name": "a"}}])
    assert made.left_on_nodes(kube=kube, machines=UsedMachines()) == ""


class ChangedKube(ListedKube):
    """A cluster that remembers how it was changed."""

    def __init__(self, **objects: Sequence[Object]) -> None:
        super().__init__(**objects)
        self.changes: list[str] = []
        self.applied: list[Object] = []

    def attempt(
        self, *arguments: str, text: str | None = None, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Of a command, all but what it changes."""
        self.changes.append(" ".join(arguments[:3]))
        return subprocess.CompletedProcess(arguments, 0, "", "")

    def apply(self, *objects: Object) -> None:
        """Remember them."""
        self.applied += objects


def test_what_is_left_is_taken_away() -> None:
    """A volume is let go with its disk, and a disk that has none is given one to go with."""
    content = {"metadata": {"name": "c-1"}, "spec": {"volumeSnapshotRef": {"namespace": "mine"}}}
    kube = ChangedKube(
        pv=[
            volume("pv-1", namespace="mine", disk="d-1"),
            volume("x", namespace="else", disk="d-x"),
        ],
        volumesnapshotcontent=[content],
        storageclass=[{"metadata": {"name": "mine-class"}}],
    )
    cloud = StatedCloud(disks=[disk("d-1"), disk("d-2"), disk("d-x", namespace="else")])
    Made.seen(kube=kube, cloud=cloud, ordered=()).take_away(kube=kube, cloud=cloud)
    assert kube.changes == [
        "patch pv pv-1", "delete volumesnapshotcontent c-1", "delete storageclass mine-class",
    ]  # fmt: skip
    (made,) = kube.applied
    assert made["spec"]["csi"]["volumeHandle"] == "d-2"
    assert made["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
    assert made["spec"]["claimRef"]["namespace"] == "mine"


def test_a_cluster_s_loop_devices_are_known_by_their_owners() -> None:
    """Those of another cluster, of another program, and of disks that are unknown are nobody's here."""
    kubelet = "/var/lib/kubelet/plugins/kubernetes.io/csi/volumeDevices"
    files = {
        "loop1": "/disks/abc.img",
        "loop2": f"{kubelet}/pvc-1/dev/uid",
        "loop3": "/disks/else.img",
        "loop4": f"{kubelet}/pvc-9/dev/uid",
        "loop5": "/somebody/else.img",
    }
    found = owners_of_devices(files, disks=["d-abc"], volumes=["pvc-1"])
    assert found == {"loop1": MOCKS, "loop2": KUBELETS}


def test_everything_that_a_volume_leaves_traces_in_is_counted() -> None:
    """In the cloud, in Kubernetes, on every node and in the kernel."""
    kube = ListedKube(
        nodes=[{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}],
        pv=[volume("pv-1", namespace="mine", disk="d-1")],
    )
    owners = {"loop1": MOCKS, "loop2": KUBELETS}
    cloud = StatedCloud(disks=[disk("d-1"), disk("d-2")], snapshots=[{"id": "s-1"}])
    assert counts(kube=kube, cloud=cloud, machines=UsedMachines(), owners=owners) == {
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


def test_a_process_that_has_ended_is_no_failure_of_a_kill() -> None:
    """A container's processes end with its first one, which may be before their turn."""
    with (
        subprocess.Popen(["/bin/sleep", "60"]) as gone,
        subprocess.Popen(["/bin/sleep", "60"]) as running,
    ):
        gone.kill()
        gone.wait()
        subprocess.run(["/bin/sh", "-c", KILL, "sh", str(gone.pid), str(running.pid)], check=True)
        assert running.wait() == -signal.SIGKILL


def test_a_process_that_cannot_be_killed_is_a_failure_of_a_kill() -> None:
    """A word that kill refuses and /proc has stands for it."""
    assert subprocess.run(["/bin/sh", "-c", KILL, "sh", "self"], check=False).returncode == 1
