"""Driver and cloud in one release, as whoever only tests an app's storage installs them.

It runs alone: the kernel's loop devices don't tell which cloud they are of, so that other scenarios
would take this one's for what they left behind themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from e2e.cluster.charts import MOCK_NAMESPACE
from e2e.cluster.place import NAMESPACE, Place
from e2e.support.cloud import MockCloud
from e2e.support.data import SUM, WRITE, disk_of
from e2e.support.kind_chart import KindChart, class_of, device_root, file_root
from e2e.support.kube import Kube
from e2e.support.machines import Machines, Zones, loop_devices
from e2e.support.objects import claim, pod
from e2e.support.orders import NAMESPACE_TAG
from e2e.support.release import NOT_THE_RELEASE, driver_name, tag_served, take_back
from e2e.support.timeline import TIMELINE, Timeline
from e2e.support.waiting import wait_for

OF_THE_RELEASE: Final = NOT_THE_RELEASE.removeprefix("!")

TRACES: Final = {"links", "device nodes", "loop devices", "drivers of kubelet"}
"""What a node has of a disk that a pod of its uses; the server's node has the file."""

NO_RECORD: Final = "owner!=helm"
"""Of Secrets, those that are not helm's record of its releases."""


@pytest.fixture
def nodes(cluster: Kube) -> list[str]:
    """Every node, each of which is a machine of both clouds."""
    return [one["metadata"]["name"] for one in cluster.list("nodes")]


@pytest.fixture
def chart(kube: Kube, cluster: Kube, place: Place, tmp_path: Path) -> KindChart:
    """The chart, with the images that the nodes have: those of the cluster's driver and cloud."""
    driver = cluster.within(NAMESPACE).get("daemonset", "diskcsi-node")
    cloud = cluster.within(MOCK_NAMESPACE).get("deployment", "mockcloud-server")
    tags = {"diskcsi": tag_served(driver), "mockcloud": tag_served(cloud)}
    return KindChart.built(kube=kube, place=place, tags=tags, directory=tmp_path)


@pytest.fixture
def release(
    request: pytest.FixtureRequest,
    kube: Kube,
    chart: KindChart,
    machines: Machines,
    nodes: list[str],
) -> Iterator[KindChart]:
    """Whatever becomes of it, it is gone at the end, and with it what outlives it on nodes.

    Should it fail, its own driver and cloud are those to tell what happened.
    """
    of_the_cluster = request.node.stash[TIMELINE]
    request.node.stash[TIMELINE] = Timeline(
        kube=kube, cloud=MockCloud(kube=kube, namespace=kube.namespace), machines=machines,
        driver=kube.namespace, first_call=0,
    )  # fmt: skip
    try:
        yield chart
        take_back(kube)
    finally:
        request.node.stash[TIMELINE] = of_the_cluster
        chart.uninstall()
        for node in nodes:
            machines.run(node, "rm", "-rf", device_root(kube.namespace), file_root(kube.namespace))


def test_the_chart_for_kind_serves_stands_an_upgrade_and_leaves_nothing(
    kube: Kube, machines: Machines, zones: Zones, nodes: list[str], release: KindChart
) -> None:
    """One command, and a claim becomes a disk of its cloud, whose data move along with the pod.

    The same command again changes nothing: agents that start after it are let in, and the driver's
    key is taken. Once the claims and the release are gone no node has a trace of them.
    """
    release.install()
    kube.apply(
        claim("data", of=class_of(kube.namespace)),
        pod("first", claims={"data": "/data"}, node=zones.first),
    )
    kube.wait_running("first")
    wrote, disk = kube.sh("first", WRITE), disk_of(kube, "data")
    assert place_of(kube, disk) == (kube.namespace, "In_use", [zones.first])
    assert traces(kube, machines, zones.first, disk).keys() == TRACES

    before = installed(kube)
    release.install()
    assert installed(kube) == before
    restart_the_agents(kube)
    kube.delete("pod", "first")
    kube.apply(pod("second", claims={"data": "/data"}, node=zones.second))
    kube.wait_running("second")
    assert kube.sh("second", SUM) == wrote
    assert place_of(kube, disk) == (kube.namespace, "In_use", [zones.second])
    assert "refused the agent" not in kube.run("logs", "deployment/mockcloud-server")

    take_back(kube)
    release.uninstall()

    def left() -> dict[str, Any]:
        return {node: found for node in nodes if (found := traces(kube, machines, node, disk))}

    wait_for(lambda: not left(), what="no node has a trace of the release", instead=left)


def place_of(kube: Kube, disk: str) -> tuple[str, str, list[str]]:
    """For which namespace the cloud has the disk, its state, and the nodes that have it."""
    cloud = MockCloud(kube=kube, namespace=kube.namespace)
    found, instances = cloud.disks()[disk], cloud.instances()
    holders = [instances[one]["name"] for one in found["attached_to"]]
    return found["tags"][NAMESPACE_TAG], found["status"], holders


def installed(kube: Kube) -> dict[str, Any]:
    """What the release's objects say, and which pods of it run since when."""
    objects = {
        f"{one['kind']} {one['metadata']['name']}": one.get("spec") or one.get("data")
        for one in (
            *kube.list("deployment,daemonset,configmap,service", selector=OF_THE_RELEASE),
            *kube.list("secret", selector=NO_RECORD),
        )
    }
    pods = {
        one["metadata"]["name"]: [
            container["state"] for container in one["status"]["containerStatuses"]
        ]
        for one in kube.list("pods", selector=OF_THE_RELEASE)
    }
    return {**objects, **pods}


def restart_the_agents(kube: Kube) -> None:
    """Return when new ones are ready: the server has taken their token."""
    kube.run("rollout", "restart", "daemonset/mockcloud-agent")
    kube.run("rollout", "status", "daemonset/mockcloud-agent", "--timeout=100s")


def traces(kube: Kube, machines: Machines, node: str, disk: str) -> dict[str, list[str]]:
    """What a node has of the release and its disk, by what it is; empty: nothing."""
    root, serial = device_root(kube.namespace), disk.removeprefix("d-")
    directories = {
        "links": f"{root}/disk/by-id",
        "device nodes": f"{root}/mockcloud",
        "files": f"{file_root(kube.namespace)}/disks",
    }
    listed = {
        kind: machines.run(node, "sh", "-c", f"ls {directory} 2>/dev/null || true").split()
        for kind, directory in directories.items()
    }
    drivers = [one["name"] for one in kube.get("csinode", node)["spec"]["drivers"] or []]
    found = {
        **listed,
        "loop devices": [name for name, file in loop_devices().items() if serial in file],
        "drivers of kubelet": [one for one in drivers if one == driver_name(kube.namespace)],
    }
    return {kind: names for kind, names in found.items() if names}
