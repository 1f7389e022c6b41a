"""Controllers die, the API server is away, the cloud misbehaves: each volume is made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from e2e.support import crowd
from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube
from e2e.support.machines import Machines
from e2e.support.objects import DRIVER
from e2e.support.orders import Orders
from e2e.support.waiting import hold_for, wait_for

MEMBERS: Final = 8
"""Volumes at once: enough to be in all stages when something happens."""

AWAY_S: Final = 20
"""For which nobody can read or write an object."""

MANIFEST: Final = "/etc/kubernetes/manifests/kube-apiserver.yaml"
ASIDE: Final = "/kind/kube-apiserver.yaml"

PROVISIONERS: Final = DRIVER.replace(".", "-")
"""The name of the lease of those that make volumes; its holder is the pod that leads."""

CONTROLLERS: Final = "app.kubernetes.io/name=diskcsi,app.kubernetes.io/component=controller"


def begin(kube: Kube) -> None:
    """Pods with a volume each, asked for and not waited for."""
    crowd.begin(kube, MEMBERS, of="e2e-wait", script=crowd.KEEPING)


def wait_begun(orders: Callable[[], Orders]) -> None:
    """Return when the first disk is ordered."""
    wait_for(lambda: orders().disks(), what="the first disk is ordered")


def assert_amid(orders: Orders) -> None:
    """Some of the work was left for those who come after."""
    attached = len(orders.attached())
    assert attached < MEMBERS, "all disks were attached before anything happened"


def judge(kube: Kube, orders: Callable[[], Orders]) -> None:
    """Every pod runs, one disk was made for each claim, and each has the bytes of its own pod."""
    crowd.wait_running(kube, MEMBERS)
    made = orders().disks()
    assert made.keys() == {one["spec"]["volumeName"] for one in kube.list("pvc")}
    assert {name: len(disks) for name, disks in made.items()} == dict.fromkeys(made, 1)
    crowd.check_bytes(kube)


def test_the_death_of_the_leader_costs_no_volume(
    kube: Kube, orders: Callable[[], Orders], driver: Kube
) -> None:
    """The other replica takes over what the leading one had begun."""
    begin(kube)
    wait_begun(orders)
    leading = driver.get("lease", PROVISIONERS)["spec"]["holderIdentity"]
    driver.run("delete", "pod", leading, "--force", "--grace-period=0")
    assert_amid(orders())
    judge(kube, orders)


def test_the_death_of_both_controllers_costs_no_volume(
    kube: Kube, orders: Callable[[], Orders], driver: Kube
) -> None:
    """What they had begun is found again in the cloud."""
    begin(kube)
    wait_begun(orders)
    driver.run("delete", "pod", f"--selector={CONTROLLERS}", "--force", "--grace-period=0")
    assert_amid(orders())
    judge(kube, orders)


def test_an_api_server_that_is_away_costs_no_volume(
    kube: Kube, orders: Callable[[], Orders], machines: Machines, control_plane: str
) -> None:
    """What was asked for before is done when objects can be read and written again."""

    def answers() -> bool:
        return kube.attempt("get", "--raw", "/readyz", "--request-timeout=2s").returncode == 0

    begin(kube)
    wait_begun(orders)
    assert_amid(orders())
    machines.run(control_plane, "mv", MANIFEST, ASIDE)
    try:
        wait_for(lambda: not answers(), what="the API server is away")
        hold_for(AWAY_S, lambda: not answers(), what="the API server stays away")
    finally:
        machines.run(control_plane, "mv", ASIDE, MANIFEST)
    wait_for(answers, what="the API server is back")
    judge(kube, orders)


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
            [{"action": "DetachDisk", "kind": "delay", "delay_s": 5, "times": 8}], id="slow-detach"
        ),
        pytest.param([{"action": "*", "kind": "error", "times": 10}], id="api-5xx"),
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
