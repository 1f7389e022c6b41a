"""How much of everything there is in the cluster, in the cloud and on the machines."""

from __future__ import annotations

from collections.abc import Mapping

from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube
from e2e.support.leftovers import KUBELET_DEVICES, disk_devices
from e2e.support.machines import Machines

Counts = Mapping[str, int]


def counts(*, kube: Kube, cloud: MockCloud, machines: Machines, files: Mapping[str, str]) -> Counts:
    """All that volumes leave traces in, by what it is.

    Args:
        files: the file behind each loop device of the kernel.
    """
    state = cloud.state()
    nodes = [one["metadata"]["name"] for one in kube.list("nodes")]
    attachments = kube.list("volumeattachment")
    return {
        "disks": len(state["disks"]),
        "snapshots": len(state["snapshots"]),
        "volumes": len(kube.list("pv")),
        "attachments": len(attachments),
        "loop devices of disks": len(disk_devices(files)),
        "loop devices of kubelet": sum(KUBELET_DEVICES in file for file in files.values()),
        "mounts on nodes": sum(len(machines.mounts(node)) for node in nodes),
        "disks in the nodes' /dev": sum(len(machines.devices(node)) for node in nodes),
    }


def changed(before: Counts, after: Counts) -> str:
    """What is more or less than before, in words; empty: nothing."""
    return "; ".join(
        f"{what}: {before[what]} before, {after[what]} now"
        for what in before
        if after[what] != before[what]
    )
