"""Nodes lose their power, hang, and come back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from e2e.support.cloud import NAMESPACE as MOCK_NAMESPACE
from e2e.support.cloud import MockCloud
from e2e.support.data import SUM, WRITE, disk_of
from e2e.support.disks import CloudDisks, in_use
from e2e.support.kube import Kube, Object
from e2e.support.leftovers import disk_devices
from e2e.support.machines import Machines, Zones, loop_devices
from e2e.support.objects import stateful_set
from e2e.support.orders import Orders
from e2e.support.waiting import hold_for, wait_for

TAINT = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
ELSEWHERE_S = 60
"""From the taint to the pod running on another node with its data."""

SERVER = "app.kubernetes.io/component=server"
"""Of the mock's namespace, the pod that is the cloud."""

HELD_S = 10
"""For which a frozen node is seen to keep its disk: several polls and retries of everybody."""


def is_node_ready(node: Object) -> bool:
    """Whether the control plane hears from the node."""
    return any(
        one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"]
    )


@pytest.fixture
def victim(kube: Kube, machines: Machines, zones: Zones) -> Iterator[str]:
    """The node that runs a StatefulSet's pod; it is up and without taints at the end."""
    kube.apply(stateful_set("db", of="e2e-wait", zone=zones.two))
    node = str(kube.wait_running("db-0")["spec"]["nodeName"])
    yield node
    machines.revive(node)
    kube.attempt("taint", "node", node, "node.kubernetes.io/out-of-service-")
    kube.wait("node", node, is_node_ready, what="is ready", timeout_s=180)


def test_a_stopped_node_s_pod_runs_elsewhere_with_its_data(
    kube: Kube, machines: Machines, cloud_disk: CloudDisks, victim: str
) -> None:
    """Within a minute of the taint; and the old node comes back clean."""
    wrote = kube.sh("db-0", WRITE)
    machines.stop(victim)
    kube.wait("node", victim, lambda one: not is_node_ready(one), what="is lost", timeout_s=180)
    kube.run("taint", "node", victim, TAINT)
    tainted_s = time.monotonic()
    moved = kube.wait(
        "pod", "db-0",
        lambda one: one["spec"].get("nodeName") not in (None, victim)
        and one["status"]["phase"] == "Running",
        what="runs elsewhere", timeout_s=ELSEWHERE_S * 2,
    )  # fmt: skip
    took_s = time.monotonic() - tainted_s
    assert kube.sh("db-0", SUM) == wrote
    assert took_s <= ELSEWHERE_S
    assert cloud_disk("data-db-0") == in_use(moved["spec"]["nodeName"])
    machines.start(victim)
    kube.run("taint", "node", victim, "node.kubernetes.io/out-of-service-")
    kube.wait("node", victim, is_node_ready, what="is ready", timeout_s=180)
    wait_for(lambda: not machines.mounts(victim), what=f"no mount is left on {victim}")
    wait_for(lambda: not machines.devices(victim), what=f"no device is left on {victim}")


def test_a_rebooted_node_s_pods_find_their_data(
    kube: Kube, machines: Machines, cloud_disk: CloudDisks, victim: str
) -> None:
    """Its device is there again, and kubelet mounts it again."""
    wrote = kube.sh("db-0", WRITE)
    before = kube.get("pod", "db-0")["status"]["containerStatuses"][0]["restartCount"]
    machines.stop(victim)
    machines.start(victim)
    kube.wait(
        "pod", "db-0",
        lambda one: one["status"]["containerStatuses"][0]["restartCount"] > before,
        what="was started again", timeout_s=180,
    )  # fmt: skip
    kube.wait_running("db-0")
    assert kube.sh("db-0", SUM) == wrote
    assert cloud_disk("data-db-0") == in_use(victim)


@pytest.fixture
def same_server(kube: Kube) -> Iterator[None]:
    """The cloud's server is the same process at the end, so that it forgot nothing meanwhile."""

    def run() -> list[tuple[str, int]]:
        pods = kube.within(MOCK_NAMESPACE).list("pods", selector=SERVER)
        return [
            (one["metadata"]["uid"], one["status"]["containerStatuses"][0]["restartCount"])
            for one in pods
        ]

    before = run()
    yield
    assert run() == before


@pytest.mark.slow  # the agent's own tests freeze one of two nodes with real devices
@pytest.mark.usefixtures("same_server")
@pytest.mark.parametrize(
    "let_go",
    [
        pytest.param(Machines.resume, id="thaws"),
        pytest.param(Machines.stop, id="loses-power"),
    ],
)
def test_a_frozen_node_keeps_its_disk_until_it_lets_go(
    kube: Kube, cloud: MockCloud, machines: Machines, victim: str, cloud_disk: CloudDisks, *,
    orders: Callable[[], Orders], let_go: Callable[[Machines, str], None],
) -> None:  # fmt: skip
    """A disk that a hung machine holds open is Detaching, and given to no other node before."""
    wrote, disk = kube.sh("db-0", WRITE), disk_of(kube, "data-db-0")
    (holder,) = cloud.disks()[disk]["attached_to"]
    machines.pause(victim)
    kube.wait("node", victim, lambda one: not is_node_ready(one), what="is lost", timeout_s=180)
    kube.run("taint", "node", victim, TAINT)
    wait_for(lambda: cloud.disks()[disk]["status"] == "Detaching", what="the disk is detaching")
    hold_for(
        HELD_S,
        lambda: (
            _place_of(cloud, disk) == ("Detaching", [holder])
            and disk in disk_devices(loop_devices()).values()
            and not _runs(kube, not_on=victim)
        ),
        what=f"the disk stays Detaching at {holder} with its device, and no other node runs db-0",
        instead=lambda: f"it is {_place_of(cloud, disk)}, db-0: {kube.told('pod', 'db-0')}",
    )
    assert orders().given_to(disk) == [holder]
    let_go(machines, victim)  # one that runs unmounts, a dead one holds nothing
    moved = kube.wait(
        "pod", "db-0",
        lambda one: one["spec"].get("nodeName") not in (None, victim)
        and one["status"]["phase"] == "Running",
        what="runs elsewhere", timeout_s=180,
    )  # fmt: skip
    assert kube.sh("db-0", SUM) == wrote
    assert cloud_disk("data-db-0") == in_use(moved["spec"]["nodeName"])
    assert len(orders().given_to(disk)) == 2


def _place_of(cloud: MockCloud, disk: str) -> tuple[str, list[str]]:
    found = cloud.disks()[disk]
    return found["status"], found["attached_to"]


def _runs(kube: Kube, *, not_on: str) -> bool:
    found = kube.find("pod", "db-0")
    return (
        found is not None
        and found["status"]["phase"] == "Running"
        and found["spec"].get("nodeName") != not_on
    )
