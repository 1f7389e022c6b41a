"""Controllers die, the API server is away, the cloud misbehaves: each volume is made once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from e2e.support import crowd
from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube
from e2e.support.machines import Machines
from e2e.support.orders import Orders
from e2e.support.waiting import wait_for

MEMBERS = 8
"""Volumes at once: enough to be in all stages when something happens."""

CONTROLLERS = "app.kubernetes.io/name=diskcsi,app.kubernetes.io/component=controller"


def begin(kube: Kube) -> None:
    """Pods with a volume each, asked for and not waited for."""
    crowd.begin(kube, MEMBERS, of="e2e-wait")


def judge(kube: Kube, orders: Callable[[], Orders]) -> None:
    """Every pod runs, and one disk was made for each claim."""
    crowd.wait_running(kube, MEMBERS)
    made = orders().disks()
    assert made.keys() == {one["spec"]["volumeName"] for one in kube.list("pvc")}
    assert {name: len(disks) for name, disks in made.items()} == dict.fromkeys(made, 1)


def test_the_death_of_the_leader_costs_no_volume(
    kube: Kube, orders: Callable[[], Orders], driver: Kube
) -> None:
    """The other replica takes over what the leading one had begun."""
    begin(kube)
    leases = [one["spec"]["holderIdentity"] for one in driver.list("lease")]
    leading = max(set(leases), key=leases.count)
    driver.run("delete", "pod", leading, "--force", "--grace-period=0")
    judge(kube, orders)


def test_the_death_of_both_controllers_costs_no_volume(
    kube: Kube, orders: Callable[[], Orders], driver: Kube
) -> None:
    """What they had begun is found again in the cloud."""
    begin(kube)
    driver.run("delete", "pod", f"--selector={CONTROLLERS}", "--force", "--grace-period=0")
    judge(kube, orders)


def test_an_api_server_that_is_away_costs_no_volume(
    kube: Kube, orders: Callable[[], Orders], machines: Machines, control_plane: str
) -> None:
    """For twenty seconds nobody can read or write an object."""
    begin(kube)
    manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    machines.run(
        control_plane,
        "sh",
        "-c",
        f"mv {manifest} /kind/ && sleep 20 && mv /kind/kube-apiserver.yaml {manifest}",
    )
    wait_for(lambda: kube.attempt("get", "--raw", "/readyz").returncode == 0, what="it is back")
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
