"""What a scenario made, and what of it is still there when its namespace is gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube, Object

MOCKS: Final = "the mock's"
KUBELETS: Final = "kubelet's"
"""Whose a loop device is."""

KUBELET_DEVICES: Final = "/kubernetes.io/csi/volumeDevices/"
"""In the path of the file that kubelet lays a loop device over, for each raw block volume."""

DISK_DIRECTORIES: Final = ("/disks/", "/var/lib/mockcloud/disks/")
"""Where the mock keeps files, as the kernel tells it outside and inside of the mock's pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The volumes of one namespace, by their names and ids.

    Other scenarios may run beside this one: what counts as this one's is bound by the namespace,
    which volumes name in their claim, and disks in a tag.
    """

    namespace: str
    volumes: frozenset[str]
    disks: frozenset[str]
    snapshots: frozenset[str]

    @classmethod
    def seen(cls, *, kube: Kube, cloud: MockCloud) -> Self:
        """What there is of a namespace at this moment."""
        volumes = [one for one in kube.list("pv") if _claimed_from(one) == kube.namespace]
        state = cloud.state()
        tagged = {str(disk["id"]) for disk in state["disks"] if _tagged(disk, kube.namespace)}
        disks = tagged | {one["spec"]["csi"]["volumeHandle"] for one in volumes}
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
        state = cloud.state()
        known = {str(disk["id"]) for disk in state["disks"]}
        found = {
            "volumes": {
                one["metadata"]["name"] for one in kube.list("pv") if self._has_volume(one)
            },
            "attachments": {
                one["metadata"]["name"]
                for one in kube.list("volumeattachment")
                if one["spec"]["source"].get("persistentVolumeName") in self.volumes
            },
            "snapshot contents": {
                one["metadata"]["name"]
                for one in kube.list("volumesnapshotcontent")
                if one["spec"]["volumeSnapshotRef"]["namespace"] == self.namespace
            },
            "disks": {
                str(disk["id"])
                for disk in state["disks"]
                if disk["id"] in self.disks or _tagged(disk, self.namespace)
            },
            "snapshots": {str(one["id"]) for one in state["snapshots"]} & self.snapshots,
            "loop devices": {
                f"{name} of {disk}"
                for name, disk in disk_devices(files).items()
                if disk in self.disks or disk not in known
            },
        }
        return "; ".join(
            f"{what}: {', '.join(sorted(names))}" for what, names in found.items() if names
        )

    def _has_volume(self, volume: Object) -> bool:
        return volume["metadata"]["name"] in self.volumes or _claimed_from(volume) == self.namespace


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
