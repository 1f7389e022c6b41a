"""Controllers die, the API server is away, the cloud misbehaves: each volume is made once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

import pytest

from e2e.support import crowd
from e2e.support.cloud import MockCloud
from e2e.support.data import SUM, WRITE, disk_of
from e2e.support.disks import CloudDisks, in_use
from e2e.support.kube import Kube, Object, is_ready
from e2e.support.machines import Machines, Zones
from e2e.support.objects import DRIVER, claim, pod
from e2e.support.orders import Orders
from e2e.support.waiting import hold_for, wait_for

MEMBERS: Final = 8
"""Volumes at once: enough to be in all stages when something happens."""

AWAY_S: Final = 20
"""For which nobody can read or write an object."""

MANIFEST: Final = "/etc/kubernetes/manifests/kube-apiserver.yaml"
ASIDE: Final = "/kind/kube-apiserver.yaml"

ATTACHER_LEASE: Final = f"external-attacher-leader-{DRIVER.replace('.', '-')}"
LEASES: Final = (DRIVER.replace(".", "-"), ATTACHER_LEASE)
"""Of those that make volumes, and of those that attach them; the holder is the pod that leads."""

CONTROLLERS: Final = "app.kubernetes.io/name=diskcsi,app.kubernetes.io/component=controller"

KILLED: Final = 137
"""The exit code of what got SIGKILL; a driver that was asked to end drains, and ends with 0."""

SLOW_S: Final = 5
"""For each attach, so that something can happen amid them: each node has two or three, one by one."""

DETACHING_S: Final = 20
"""For which a disk stays Detaching: several polls and retries of everybody."""


@pytest.fixture
def driver(driver: Kube) -> Iterator[Kube]:
    """The namespace of the driver; both controllers are ready before and after."""
    whole = ("rollout", "status", "deployment/diskcsi-controller", "--timeout=180s")
    driver.run(*whole, timeout_s=200)
    yield driver
    driver.run(*whole, timeout_s=200)


def begin(kube: Kube) -> None:
    """Pods with a volume each, asked for and not waited for."""
    crowd.begin(kube, MEMBERS, of="e2e-wait", script=crowd.KEEPING)


def begin_amid(kube: Kube, cloud: MockCloud, orders: Callable[[], Orders]) -> None:
    """The same with slow attaches; return when one is done and others are on their way."""
    cloud.add_fault(action="AttachDisk", kind="delay", delay_s=SLOW_S, times=MEMBERS)
    begin(kube)
    wait_for(lambda: orders().attached(), what="the first disk is attached")


def assert_amid(orders: Orders, happened_s: float) -> None:
    """The cloud was asked for some of the attaches only after this moment."""
    attached = len(orders.begun_before(happened_s).attached())
    assert 0 < attached < MEMBERS, f"{attached} disks were ordered to a node before it happened"


def judge(kube: Kube, orders: Callable[[], Orders]) -> None:
    """Every pod runs, one disk was made for each claim, and each has the bytes of its own pod."""
    crowd.wait_running(kube, MEMBERS)
    made = orders().disks()
    assert made.keys() == {one["spec"]["volumeName"] for one in kube.list("pvc")}
    assert {name: len(disks) for name, disks in made.items()} == dict.fromkeys(made, 1)
    crowd.check_bytes(kube)


def leader(driver: Kube, lease: str) -> str:
    """The pod that holds a lease."""
    return str(driver.get("lease", lease)["spec"]["holderIdentity"])


def kill(driver: Kube, machines: Machines, *names: str) -> None:
    """End all processes of these pods at once: no sidecar gives up its lease, and nothing drains."""
    for one in [driver.get("pod", name) for name in names]:
        machines.kill_pod(one["spec"]["nodeName"], one["metadata"]["uid"])


def restarts(pod: Object) -> dict[str, int]:
    """How often each container was started again."""
    return {one["name"]: one["restartCount"] for one in pod["status"]["containerStatuses"]}


def is_restarted(pod: Object, *, before: Mapping[str, int]) -> bool:
    """Whether a pod is ready with containers that are all newer, and its driver was killed."""
    now = restarts(pod)
    (driver,) = [one for one in pod["status"]["containerStatuses"] if one["name"] == "diskcsi"]
    newer = is_ready(pod) and all(now[name] > times for name, times in before.items())
    return newer and driver["lastState"]["terminated"]["exitCode"] == KILLED


def test_the_death_of_the_leader_costs_no_volume(
    kube: Kube, cloud: MockCloud, orders: Callable[[], Orders], driver: Kube, machines: Machines
) -> None:
    """The other replica takes over the attaches of the leading one, when its lease has run out.

    Each sidecar elects by itself, so the one that dies is the pod whose attacher leads. Kubelet would
    start the dead containers again within a second: with their pod they are gone.
    """
    begin_amid(kube, cloud, orders)
    leading = leader(driver, ATTACHER_LEASE)
    led = [lease for lease in LEASES if leader(driver, lease) == leading]
    kill(driver, machines, leading)
    driver.run("delete", "pod", leading, "--force", "--grace-period=0")
    died_s = time.time()
    wait_for(
        lambda: leading not in {leader(driver, lease) for lease in led},
        what=f"another pod than {leading} leads",
    )
    judge(kube, orders)
    assert_amid(orders(), died_s)


def test_the_death_of_both_controllers_costs_no_volume(
    kube: Kube, cloud: MockCloud, orders: Callable[[], Orders], driver: Kube, machines: Machines
) -> None:
    """What they had begun is found again in the cloud, by the same pods with new processes."""
    begin_amid(kube, cloud, orders)
    before = {
        one["metadata"]["name"]: restarts(one)
        for one in driver.list("pods", selector=CONTROLLERS)
    }  # fmt: skip
    assert len(before) == 2
    kill(driver, machines, *before)
    died_s = time.time()
    for name, times in before.items():
        driver.wait(
            "pod", name, partial(is_restarted, before=times),
            what="has new containers only",
        )  # fmt: skip
    judge(kube, orders)
    assert_amid(orders(), died_s)


def test_an_api_server_that_is_away_costs_no_volume(
    kube: Kube, cloud: MockCloud, orders: Callable[[], Orders], machines: Machines,
    control_plane: str,
) -> None:  # fmt: skip
    """What was asked for before is done when objects can be read and written again."""

    def answers() -> bool:
        return kube.attempt("get", "--raw", "/readyz", "--request-timeout=2s").returncode == 0

    begin_amid(kube, cloud, orders)
    machines.run(control_plane, "mv", MANIFEST, ASIDE)
    try:
        wait_for(lambda: not answers(), what="the API server is away")
        away_s = time.time()
        hold_for(AWAY_S, lambda: not answers(), what="the API server stays away")
    finally:
        machines.run(control_plane, "mv", ASIDE, MANIFEST)
    wait_for(answers, what="the API server is back")
    judge(kube, orders)
    assert_amid(orders(), away_s)


def test_a_disk_that_is_long_detaching_is_waited_for(
    kube: Kube, cloud: MockCloud, machines: Machines, zones: Zones, cloud_disk: CloudDisks, *,
    orders: Callable[[], Orders],
) -> None:  # fmt: skip
    """Its node lets go late: the cloud says Detaching, the next pod waits, and finds its data."""
    kube.apply(
        claim("data", of="e2e-wait"), pod("writer", claims={"data": "/data"}, node=zones.first)
    )
    kube.wait_running("writer")
    wrote, disk = kube.sh("writer", WRITE), disk_of(kube, "data")
    (holder,) = cloud.disks()[disk]["attached_to"]
    link = f"/dev/disk/by-id/*{disk.removeprefix('d-')}"
    process = machines.hold_open(zones.first, link, at_most_s=300)
    kube.delete("pod", "writer")
    kube.apply(pod("next", claims={"data": "/data"}, node=zones.second))
    wait_for(lambda: cloud.disks()[disk]["status"] == "Detaching", what="the disk is detaching")
    hold_for(
        DETACHING_S,
        lambda: (
            cloud.disks()[disk]["status"] == "Detaching"
            and kube.get("pod", "next")["status"]["phase"] == "Pending"
        ),
        what="the disk stays Detaching and the next pod waits",
    )
    assert orders().given_to(disk) == [holder]
    machines.run(zones.first, "kill", process)
    kube.wait_running("next")
    assert kube.sh("next", SUM) == wrote
    assert cloud_disk("data") == in_use(zones.second)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([{"action": "*", "kind": "throttle", "times": 30}], id="api-throttled"),
        pytest.param(
            [
                {"action": "CreateDisk", "kind": "lose_reply", "times": 3},
                {"action": "AttachDisk", "kind": "lose_reply", "times": 3},
                {"action": "DetachDisk", "kind": "lose_reply", "times": 3},
                {"action": "DeleteDisk", "kind": "lose_reply", "times": 3},
            ],
            id="lost-replies",
        ),
        pytest.param(
            [{"action": "DetachDisk", "kind": "delay", "delay_s": 5, "times": 8}],
            id="slow-detach-calls",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [{"action": "*", "kind": "error", "times": 10}], id="api-5xx", marks=pytest.mark.slow
        ),
    ],
)
def test_a_cloud_that_misbehaves_costs_no_volume(
    kube: Kube, cloud: MockCloud, orders: Callable[[], Orders], faults: list[dict[str, object]]
) -> None:
    """Every claim ends bound and every pod running, on one disk each, and all of it goes again."""
    for fault in faults:
        cloud.add_fault(**fault)
    begin(kube)
    judge(kube, orders)
    crowd.wait_gone(kube)
    log = orders()
    assert not set(log.made()) & cloud.disks().keys()
    for fault in faults:
        struck = log.struck(action=str(fault["action"]), kind=str(fault["kind"]))
        assert struck == fault["times"], f"{fault} struck {struck} calls"
