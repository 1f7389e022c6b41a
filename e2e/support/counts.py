"""How much of everything there is in the cluster, in the cloud and on the machines."""

from __future__ import annotations

from collections.abc import Mapping

from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube
from e2e.support.leftovers import KUBELETS, MOCKS
from e2e.support.machines import Machines

Counts = Mapping[str, int]


def counts(
    *, kube: Kube, cloud: MockCloud, machines: Machines, owners: Mapping[str, str]
) -> Counts:
    """All that volumes leave traces in, by what it is.

    Args:
        owners: whose each loop device of this cluster is, by its name.
    """
    state = cloud.state()
    nodes = [one["metadata"]["name"] for one in kube.list("nodes")]
    attachments = kube.list("volumeattachment")
    return {
        "disks": len(state["disks"]),
        "snapshots": len(state["snapshots"]),
        "volumes": len(kube.list("pv")),
        "attachments": len(attachments),
        "loop devices of disks": sum(owner == MOCKS for owner in owners.values()),
        "loop devices of kubelet": sum(owner == KUBELETS for owner in owners.values()),
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
