"""Many at once."""

from __future__ import annotations

import os
from collections.abc import Callable

from e2e.support import crowd
from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube
from e2e.support.machines import Zones
from e2e.support.objects import claim, pod
from e2e.support.orders import Orders

PODS = int(os.environ.get("E2E_CROWD", "50"))
"""Beyond the disks that three small instances take, the scheduler has to wait."""


def test_a_crowd_comes_and_goes(kube: Kube, cloud: MockCloud, orders: Callable[[], Orders]) -> None:
    """Fifty pods with a volume each run on one disk each, and at the end nothing is left.

    The fixture's own check at the end is the second half of this scenario.
    """
    crowd.begin(kube, PODS, of="e2e-wait")
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
    kube.delete("pod", "--all")


def test_a_full_node_is_left_alone(kube: Kube, zones: Zones) -> None:
    """When a node has as many volumes as its instance takes, the scheduler goes elsewhere."""
    node = kube.get("csinode", zones.first)
    drivers = {one["name"]: one for one in node["spec"]["drivers"]}
    most = next(iter(drivers.values()))["allocatable"]["count"]
    names = [f"full-{number}" for number in range(most)]
    kube.apply(*(claim(name, of="e2e-wait") for name in names))
    kube.apply(*(pod(name, claims={name: "/data"}, node=zones.first) for name in names))
    crowd.wait_running(kube, most)
    kube.apply(claim("more", of="e2e-wait"), pod("more", claims={"more": "/data"}, zone=zones.two))
    assert kube.wait_running("more")["spec"]["nodeName"] == zones.second
    kube.delete("pod", "--all")
