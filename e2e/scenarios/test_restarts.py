"""Parts of the driver and of the node restart while pods write."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from e2e.cluster.place import NAMESPACE, Place
from e2e.support import crowd
from e2e.support.data import SUM, WRITE, check_kept
from e2e.support.disks import CloudDisks, in_use
from e2e.support.kube import Kube
from e2e.support.load import ticking, written
from e2e.support.machines import Machines, Zones
from e2e.support.objects import claim, pod, stateful_set
from e2e.support.orders import Orders
from e2e.support.release import CHART, helm
from e2e.support.waiting import wait_for

DAEMON_SET = "diskcsi-node"
RELEASE = "diskcsi"
PATIENTLY = ("--wait", "--timeout", "300s")

BUDGET = {
    "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "db"},
    "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "db"}}},
}  # fmt: skip

PAUSE_BEYOND_S = 1.0
"""What a pod with a volume may wait longer than one without."""


@pytest.fixture
def writers(
    kube: Kube, zones: Zones, orders: Callable[[], Orders], cloud_disk: CloudDisks
) -> Callable[[], None]:
    """Two pods on one node, one with a volume and one without; call it to hear how they fared."""
    script = f"{WRITE}\n{ticking('/data')}"  # a tick amid the large file would be a pause
    kube.apply(
        claim("data", of="e2e-wait"),
        pod("writer", claims={"data": "/data"}, node=zones.first, script=script),
        pod("control", scratch="/data", node=zones.first, script=script),
    )
    for name in ("writer", "control"):
        kube.wait_running(name)
        wait_for(partial(_ticks, kube, name), what=f"{name} ticks")
    wrote = kube.sh("writer", SUM)
    restarts = {name: _restarts(kube, name) for name in ("writer", "control")}
    lines = written(kube, "writer", "/data").lines

    def judge() -> None:
        wait_for(
            lambda: written(kube, "writer", "/data").lines > lines + 20, what="the writer goes on"
        )
        with_volume = written(kube, "writer", "/data")
        without = written(kube, "control", "/data")
        assert with_volume.errors == ""
        assert {name: _restarts(kube, name) for name in restarts} == restarts
        assert kube.sh("writer", SUM) == wrote
        assert cloud_disk("data") == in_use(zones.first)
        assert with_volume.longest_pause_s <= without.longest_pause_s + PAUSE_BEYOND_S
        assert orders().disks().keys() == {one["spec"]["volumeName"] for one in kube.list("pvc")}
        assert len(orders().made()) == len(kube.list("pvc"))

    return judge


def _ticks(kube: Kube, name: str) -> bool:
    return kube.attempt("exec", name, "--", "test", "-s", "/data/log").returncode == 0


def _restarts(kube: Kube, name: str) -> int:
    return int(kube.get("pod", name)["status"]["containerStatuses"][0]["restartCount"])


def test_writing_goes_on_while_the_node_plugins_are_replaced(
    writers: Callable[[], None], driver: Kube
) -> None:
    """A rolling restart of the DaemonSet touches no mounted volume."""
    driver.run("rollout", "restart", f"daemonset/{DAEMON_SET}")
    driver.run("rollout", "status", f"daemonset/{DAEMON_SET}", "--timeout=240s", timeout_s=300)
    writers()


@pytest.mark.parametrize("unit", ["kubelet", "containerd"])
def test_writing_goes_on_while_a_part_of_the_node_restarts(
    writers: Callable[[], None], kube: Kube, machines: Machines, zones: Zones, unit: str
) -> None:
    """Mounts outlive kubelet, containers outlive their runtime, and the next pod is served."""
    machines.run(zones.first, "systemctl", "restart", unit)
    wait_for(
        lambda: kube.attempt("exec", "writer", "--", "true").returncode == 0,
        what=f"{unit} answers again",
    )
    writers()
    kube.apply(
        claim("next", of="e2e-wait"), pod("next", claims={"next": "/data"}, node=zones.first)
    )
    kube.wait_running("next")


def test_a_wiped_registration_directory_is_mended(
    kube: Kube, machines: Machines, zones: Zones, cloud_disk: CloudDisks
) -> None:
    """The plug-in registers itself again, and the next pods get their volume."""
    machines.run(
        zones.first, "sh", "-c",
        "rm -rf /var/lib/kubelet/plugins_registry && systemctl restart kubelet",
    )  # fmt: skip
    wait_for(
        lambda: machines.run(
            zones.first, "sh", "-c", "ls /var/lib/kubelet/plugins_registry 2>/dev/null || true"
        ).strip(),
        what="the registration socket is back",
    )  # fmt: skip
    next_pod = pod("next", claims={"data": "/data"}, node=zones.first)
    kube.apply(claim("data", of="e2e-wait"), next_pod)
    kube.wait_running("next")
    check_kept(kube, "next", again=next_pod)
    assert cloud_disk("data") == in_use(zones.first)


@pytest.fixture
def release(place: Place, driver: Kube) -> Iterator[Callable[..., str]]:
    """Calls helm for the driver's release, which is of the same values and at rest at the end."""

    def call(*arguments: str) -> str:
        done = helm(place, *arguments, "--namespace", NAMESPACE)
        assert done.returncode == 0, done.stderr
        return done.stdout

    values = call("get", "values", RELEASE)
    revision = json.loads(call("status", RELEASE, "--output", "json"))["version"]
    yield call
    if call("get", "values", RELEASE) != values:
        call("rollback", RELEASE, str(revision), *PATIENTLY)
    driver.run("rollout", "status", f"daemonset/{DAEMON_SET}", "--timeout=240s", timeout_s=300)


def test_writing_goes_on_through_an_upgrade_and_its_rollback(
    writers: Callable[[], None], kube: Kube, release: Callable[..., str]
) -> None:
    """A new revision of the chart replaces every pod of the driver, twice."""
    changed = ("--reuse-values", "--set", "driver.logLevel=debug")
    release("upgrade", RELEASE, str(CHART), *changed, *PATIENTLY)
    kube.apply(claim("between", of="e2e-wait"), pod("between", claims={"between": "/data"}))
    kube.wait_running("between")
    release("rollback", RELEASE, *PATIENTLY)
    writers()


@pytest.fixture
def together(kube: Kube, zones: Zones) -> Iterator[None]:
    """Two pods of a StatefulSet on one node, with a budget that lets one of them go at a time."""
    kube.run("cordon", zones.second)
    try:
        kube.apply(stateful_set("db", of="e2e-wait", replicas=2, zone=zones.two), BUDGET)
        for name in ("db-0", "db-1"):
            assert kube.wait_running(name)["spec"]["nodeName"] == zones.first
        kube.run("uncordon", zones.second)
        yield
    finally:
        kube.run("uncordon", zones.first, zones.second)


@pytest.mark.usefixtures("together")
def test_a_drain_waits_for_a_disruption_budget(
    kube: Kube, zones: Zones, orders: Callable[[], Orders], cloud_disk: CloudDisks
) -> None:
    """The second pod goes when the first runs elsewhere, and each finds its data there."""
    wrote = {name: kube.sh(name, WRITE) for name in ("db-0", "db-1")}
    drain = kube.start(
        "drain", zones.first, "--ignore-daemonsets", "--delete-emptydir-data", "--force",
        "--pod-selector=app=db", "--timeout=240s",
    )  # fmt: skip
    least = 2
    with drain:
        while drain.poll() is None:
            least = min(least, crowd.running(kube))
        told = drain.stdout.read() if drain.stdout else ""
    assert drain.returncode == 0, told
    assert "would violate the pod's disruption budget" in told
    assert least == 1
    for name, before in wrote.items():
        assert kube.wait_running(name)["spec"]["nodeName"] == zones.second
        assert kube.sh(name, SUM) == before
        assert cloud_disk(f"data-{name}") == in_use(zones.second)
    assert len(orders().made()) == 2
