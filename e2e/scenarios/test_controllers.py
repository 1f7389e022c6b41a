"""Controllers die, the API server is away, the cloud misbehaves: each volume is made once."""

from __future__ import annotations

import pytest

from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube, is_ready
from e2e.support.machines import Machines
from e2e.support.objects import claim, pod
from e2e.support.waiting import wait_for

MEMBERS = 8
"""Volumes at once: enough to be in all stages when something happens."""

CONTROLLERS = "app.kubernetes.io/name=diskcsi,app.kubernetes.io/component=controller"


def begin(kube: Kube) -> list[str]:
    """Pods with a volume each, asked for and not waited for."""
    names = [f"member-{number}" for number in range(MEMBERS)]
    kube.apply(*(claim(name, of="e2e-wait") for name in names))
    kube.apply(*(pod(name, claims={name: "/data"}) for name in names))
    return names


def judge(kube: Kube, cloud: MockCloud, names: list[str]) -> None:
    """Every pod runs, and the cloud has one disk for each claim."""
    wait_for(
        lambda: sum(is_ready(one) for one in kube.list("pods")) == len(names),
        what=f"{len(names)} pods run", timeout_s=300,
        instead=lambda: f"{sum(is_ready(one) for one in kube.list('pods'))} run",
    )  # fmt: skip
    uids = [one["metadata"]["uid"] for one in kube.list("pvc")]
    made = {uid: [d for d in cloud.state()["disks"] if uid in str(d["tags"])] for uid in uids}
    assert {uid: len(disks) for uid, disks in made.items()} == dict.fromkeys(uids, 1)


def test_the_death_of_the_leader_costs_no_volume(
    kube: Kube, cloud: MockCloud, driver: Kube
) -> None:
    """The other replica takes over what the leading one had begun."""
    names = begin(kube)
    leases = [one["spec"]["holderIdentity"] for one in driver.list("lease")]
    leading = max(set(leases), key=leases.count)
    driver.run("delete", "pod", leading, "--force", "--grace-period=0")
    judge(kube, cloud, names)


def test_the_death_of_both_controllers_costs_no_volume(
    kube: Kube, cloud: MockCloud, driver: Kube
) -> None:
    """What they had begun is found again in the cloud."""
    names = begin(kube)
    driver.run("delete", "pod", f"--selector={CONTROLLERS}", "--force", "--grace-period=0")
    judge(kube, cloud, names)


def test_an_api_server_that_is_away_costs_no_volume(
    kube: Kube, cloud: MockCloud, machines: Machines, control_plane: str
) -> None:
    """For twenty seconds nobody can read or write an object."""
    names = begin(kube)
    manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    machines.run(
        control_plane,
        "sh",
        "-c",
        f"mv {manifest} /kind/ && sleep 20 && mv /kind/kube-apiserver.yaml {manifest}",
    )
    wait_for(lambda: kube.attempt("get", "--raw", "/readyz").returncode == 0, what="it is back")
    judge(kube, cloud, names)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([{"action": "*", "kind": "throttle", "times": 30}], id="api-throttled"),
        pytest.param(
            [{"action": "CreateDisk", "kind": "lose_reply", "times": 3}], id="lost-reply-create"
        ),
        pytest.param(
            [
                {"action": "AttachDisk", "kind": "lose_reply", "times": 3},
                {"action": "DetachDisk", "kind": "lose_reply", "times": 3},
                {"action": "DeleteDisk", "kind": "lose_reply", "times": 3},
            ],
            id="lost-reply-attach",
        ),
        pytest.param(
            [{"action": "DetachDisk", "kind": "delay", "delay_s": 5, "times": 8}], id="slow-detach"
        ),
        pytest.param([{"action": "*", "kind": "error", "times": 10}], id="api-5xx"),
    ],
)
def test_a_cloud_that_misbehaves_costs_no_volume(
    kube: Kube, cloud: MockCloud, faults: list[dict[str, object]]
) -> None:
    """Every claim ends bound and every pod running, on one disk each; all of it goes at the end."""
    for fault in faults:
        cloud.add_fault(**fault)
    judge(kube, cloud, begin(kube))
    kube.delete("pod", "--all")
