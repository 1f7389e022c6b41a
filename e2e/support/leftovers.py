"""What a scenario made, and what of it is still there when it is over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube, Object
from e2e.support.machines import Machines
from e2e.support.objects import DRIVER

MOCKS: Final = "the mock's"
KUBELETS: Final = "kubelet's"
"""Whose a loop device is."""

KUBELET_DEVICES: Final = "/kubernetes.io/csi/volumeDevices/"
"""In the path of the file that kubelet lays a loop device over, for each raw block volume."""

DISK_DIRECTORIES: Final = ("/disks/", "/var/lib/mockcloud/disks/")
"""Where the mock keeps files, as the kernel tells it outside and inside of the mock's pod."""

OF_NOBODY: Final[Object] = {
    "metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": DRIVER}},
    "spec": {"persistentVolumeReclaimPolicy": "Delete", "claimRef": {"uid": "gone"}},
}
"""Of a volume whose claim is gone: the driver deletes it with its disk, whatever it was before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The volumes of one namespace, by their names and ids.

    Other scenarios may run beside this one, and other clusters on the machine: what counts as this
    one's is bound by the namespace, which volumes name in their claim, disks in a tag, and classes
    at the beginning of their names.
    """

    namespace: str
    volumes: frozenset[str]
    disks: frozenset[str]
    snapshots: frozenset[str]

    @classmethod
    def seen(cls, *, kube: Kube, cloud: MockCloud, ordered: Iterable[str]) -> Self:
        """What there is of a namespace at this moment.

        Args:
            ordered: every disk that was made for it; those that are gone may have left a device.
        """
        volumes = [one for one in kube.list("pv") if _claimed_from(one) == kube.namespace]
        state = cloud.state()
        tagged = {str(disk["id"]) for disk in state["disks"] if _tagged(disk, kube.namespace)}
        disks = tagged | {one["spec"]["csi"]["volumeHandle"] for one in volumes} | {*ordered}
        return cls(
            namespace=kube.namespace,
            volumes=frozenset(one["metadata"]["name"] for one in volumes),
            disks=frozenset(disks),
            snapshots=frozenset(
                str(one["id"]) for one in state["snapshots"] if one["disk_id"] in disks
            ),
        )

    def left(self, *, kube: Kube, cloud: MockCloud, files: Mapping[str, str]) -> str:
        """What is there of it still, in the cluster, the cloud and the kernel; empty: nothing.

        Args:
            files: the file behind each loop device of the kernel.
        """
        found = {
            **self._objects(kube),
            **self._in_cloud(cloud),
            "attachments": {
                one["metadata"]["name"]
                for one in kube.list("volumeattachment")
                if one["spec"]["source"].get("persistentVolumeName") in self.volumes
            },
            "loop devices": {
                f"{name} over {files[name]}"
                for name in owners_of_devices(files, disks=self.disks, volumes=self.volumes)
            },
        }
        return _told(found)

    def left_on_nodes(self, *, kube: Kube, machines: Machines) -> str:
        """Mounts and links to devices that nodes still have of it; empty: none."""
        staged = {hashlib.sha256(disk.encode()).hexdigest() for disk in self.disks}
        words = sorted({*self.volumes, *(disk.removeprefix("d-") for disk in self.disks), *staged})
        nodes = [one["metadata"]["name"] for one in kube.list("nodes")] if words else []
        return _told({node: {*machines.traces(node, words=words)} for node in nodes})

    def take_away(self, *, kube: Kube, cloud: MockCloud) -> None:
        """Let the cluster delete what is left of it, which would fail each later run.

        It returns at once. A disk that no volume names gets one, by which it is deleted.
        """
        objects = self._objects(kube)
        for name in objects["volumes"]:
            kube.attempt("patch", "pv", name, f"--patch={json.dumps(OF_NOBODY)}")
        named = {one["spec"].get("csi", {}).get("volumeHandle") for one in kube.list("pv")}
        if nameless := self._in_cloud(cloud)["disks"] - named:
            kube.apply(*(_of_nobody(disk, namespace=self.namespace) for disk in nameless))
        for kind, names in (
            ("volumesnapshotcontent", objects["snapshot contents"]),
            ("storageclass", objects["classes"]),
        ):
            if names:
                kube.delete(kind, *names, wait=False)

    def _objects(self, kube: Kube) -> dict[str, set[str]]:
        return {
            "volumes": {
                one["metadata"]["name"] for one in kube.list("pv") if self._has_volume(one)
            },
            "snapshot contents": {
                one["metadata"]["name"]
                for one in kube.list("volumesnapshotcontent")
                if one["spec"]["volumeSnapshotRef"]["namespace"] == self.namespace
            },
            "classes": {
                one["metadata"]["name"]
                for one in kube.list("storageclass")
                if one["metadata"]["name"].startswith(f"{self.namespace}-")
            },
        }

    def _in_cloud(self, cloud: MockCloud) -> dict[str, set[str]]:
        state = cloud.state()
        return {
            "disks": {
                str(disk["id"])
                for disk in state["disks"]
                if disk["id"] in self.disks or _tagged(disk, self.namespace)
            },
            "snapshots": {str(one["id"]) for one in state["snapshots"]} & self.snapshots,
        }

    def _has_volume(self, volume: Object) -> bool:
        return volume["metadata"]["name"] in self.volumes or _claimed_from(volume) == self.namespace


def _told(found: Mapping[str, Collection[str]]) -> str:
    return "; ".join(
        f"{what}: {', '.join(sorted(names))}" for what, names in found.items() if names
    )


def _of_nobody(disk: str, *, namespace: str) -> Object:
    """A volume over a disk, whose claim is gone."""
    claim = {"namespace": namespace, "name": "gone", **OF_NOBODY["spec"]["claimRef"]}
    return {
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": f"{disk}-of-nobody", **OF_NOBODY["metadata"]},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": DRIVER, "volumeHandle": disk},
            **OF_NOBODY["spec"], "claimRef": claim,
        },
    }  # fmt: skip


def _claimed_from(volume: Object) -> str:
    return str(volume["spec"].get("claimRef", {}).get("namespace", ""))


def _tagged(disk: Object, namespace: str) -> bool:
    return namespace in disk["tags"].values()


def owners_of_devices(
    files: Mapping[str, str], *, disks: Collection[str], volumes: Collection[str]
) -> dict[str, str]:
    """Whose each loop device of a cluster is, by its name.

    Args:
        files: the file behind each loop device of the kernel.
        disks: the mock's, by id: each that is attached has a device.
        volumes: by name; kubelet lays a device of its own over each that is used as one.
    """
    mocks = {name for name, disk in disk_devices(files).items() if disk in disks}
    kubelets = {
        name
        for name, file in files.items()
        if KUBELET_DEVICES in file and any(volume in file for volume in volumes)
    }
    return {**dict.fromkeys(mocks, MOCKS), **dict.fromkeys(kubelets, KUBELETS)}


def disk_devices(files: Mapping[str, str]) -> dict[str, str]:
    """Each loop device of the mock's, and the disk whose file is behind it."""
    return {
        name: f"d-{Path(file.removesuffix(' (deleted)')).stem}"
        for name, file in files.items()
        if file.startswith(DISK_DIRECTORIES)
    }
