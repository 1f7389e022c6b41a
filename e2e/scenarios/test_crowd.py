"""Many at once."""

from __future__ import annotations

import os
from collections.abc import Callable

from e2e.support import crowd
from e2e.support.cloud import MockCloud
from e2e.support.disks import CloudDisks, in_use
from e2e.support.kube import Kube
from e2e.support.machines import Zones
from e2e.support.objects import DRIVER, claim, pod
from e2e.support.orders import Orders

PODS = int(os.environ.get("E2E_CROWD", "50"))
"""Beyond the disks that three small instances take, the scheduler has to wait."""


def test_a_crowd_comes_and_goes(kube: Kube, cloud: MockCloud, orders: Callable[[], Orders]) -> None:
    """Fifty pods have a disk and bytes of their own each, and at the end nothing is left.

    The fixture's own check at the end is the second half of this scenario.
    """
    crowd.begin(kube, PODS, of="e2e-wait", script=crowd.KEEPING)
    crowd.wait_running(kube, PODS)
    handles = {
        volume["spec"]["csi"]["volumeHandle"]
        for volume in kube.list("pv")
        if volume["spec"].get("claimRef", {}).get("namespace") == kube.namespace
    }
    assert len(handles) == PODS
    assert orders().made() == sorted(handles)
    disks = cloud.disks()
    assert {disks[handle]["status"] for handle in handles} == {"In_use"}
    crowd.check_bytes(kube)
    kube.delete("pod", "--all")


def test_a_full_node_is_left_alone(
    kube: Kube, zones: Zones, orders: Callable[[], Orders], cloud_disk: CloudDisks
) -> None:
    """A pod that must run there waits, the cloud is asked nothing, and one that need not goes on.

    Those that were there before have their disks and their bytes.
    """
    (registered,) = (
        one for one in kube.get("csinode", zones.first)["spec"]["drivers"] if one["name"] == DRIVER
    )
    most, instance = registered["allocatable"]["count"], registered["nodeID"]
    names = [f"full-{number}" for number in range(most)]
    kube.apply(*(claim(name, of="e2e-wait") for name in names))
    kube.apply(
        *(
            pod(name, claims={name: "/data"}, node=zones.first, script=crowd.KEEPING)
            for name in names
        )
    )
    crowd.wait_running(kube, most)
    full = orders().attached_to(instance)
    kube.apply(
        claim("more", of="e2e-wait"), pod("bound", claims={"more": "/data"}, node=zones.first)
    )
    kube.wait_event("pod", "bound", "exceed max volume count")
    kube.delete("pod", "bound")
    kube.apply(pod("free", claims={"more": "/data"}, zone=zones.two, script=crowd.KEEPING))
    assert kube.wait_running("free")["spec"]["nodeName"] == zones.second
    assert orders().attached_to(instance) == full
    assert len(full) == most
    assert cloud_disk("more") == in_use(zones.second)
    assert {cloud_disk(name).nodes for name in names} == {frozenset({zones.first})}
    crowd.check_bytes(kube)
    kube.delete("pod", "--all")
