"""The cluster that the scenarios run in, and what each of them is given and leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from e2e.cluster.place import NAMESPACE, Place, here
from e2e.support.cloud import MockCloud
from e2e.support.disks import CloudDisk, CloudDisks
from e2e.support.kube import Kube
from e2e.support.leftovers import Made
from e2e.support.machines import Machines, Zones, loop_devices
from e2e.support.objects import ESSD, namespace, storage_class
from e2e.support.orders import Orders
from e2e.support.release import Install, installing, tag_served
from e2e.support.timeline import TIMELINE, Timeline
from e2e.support.waiting import NotSeen, wait_for

SIDE_BY_SIDE = {
    "test_volumes", "test_growth", "test_snapshots", "test_rainbond", "test_from_the_go_driver",
    "test_misconfiguration", "test_zones", "test_shipped_files", "test_two_providers",
}  # fmt: skip
"""Modules whose scenarios touch nothing that another one uses."""

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"

CLEAN_S = 180
"""Until the last disk of a scenario is gone: a detach and a deletion, and their retries."""

SHARED = {
    "e2e-wait": storage_class("e2e-wait"),
    "e2e-wait-xfs": storage_class("e2e-wait-xfs", fs_type="xfs"),
    "e2e-now": storage_class("e2e-now", binding="Immediate"),
    "e2e-now-xfs": storage_class("e2e-now-xfs", binding="Immediate", fs_type="xfs"),
    "e2e-retain": storage_class("e2e-retain", reclaim="Retain"),
}
"""Classes that most scenarios use."""


@pytest.fixture(scope="session")
def place() -> Place:
    """Where this cluster's files are."""
    found = here()
    assert found.kubeconfig.exists(), "there is no cluster: run `make e2e-up` first"
    return found


@pytest.fixture(scope="session")
def cluster(place: Place) -> Kube:
    """The cluster, in no namespace of a scenario."""
    return Kube(
        kubectl=place.programs / "kubectl", environment=place.environment(), namespace="default"
    )


@pytest.fixture(scope="session")
def driver(cluster: Kube) -> Kube:
    """The namespace of the driver."""
    return cluster.within(NAMESPACE)


@pytest.fixture(scope="session")
def cloud(cluster: Kube) -> MockCloud:
    """The cloud below the cluster."""
    return MockCloud(kube=cluster)


@pytest.fixture(scope="session")
def machines(place: Place) -> Machines:
    """The nodes as containers."""
    return Machines(environment=place.environment())


@pytest.fixture(scope="session")
def zones(cluster: Kube) -> Zones:
    """Which worker is where."""
    found: dict[str, list[str]] = {}
    for node in cluster.list("nodes", selector=f"!{CONTROL_PLANE}"):
        zone = node["metadata"]["labels"]["topology.kubernetes.io/zone"]
        found.setdefault(zone, []).append(node["metadata"]["name"])
    two, one = sorted(found, key=lambda zone: -len(found[zone]))
    first, second = sorted(found[two])
    return Zones(two=two, one=one, first=first, second=second, third=found[one][0])


@pytest.fixture(scope="session")
def control_plane(cluster: Kube) -> str:
    """The node that runs the API server, and has its audit log."""
    (found,) = cluster.list("nodes", selector=CONTROL_PLANE)
    return str(found["metadata"]["name"])


@pytest.fixture(scope="session", autouse=True)
def shared_classes(cluster: Kube) -> None:
    """The classes; they stay for the next run, and cost nothing."""
    snapshots = {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshotClass",
        "metadata": {"name": "e2e-snapshots"},
        "driver": SHARED["e2e-wait"]["provisioner"],
        "deletionPolicy": "Delete",
    }
    listed = {"apiVersion": "v1", "kind": "List", "items": [*SHARED.values(), snapshots]}
    wait_for(  # another process of this run may make them at the same moment
        lambda: cluster.attempt("apply", "--filename=-", text=json.dumps(listed)).returncode == 0,
        what="the classes are made",
        timeout_s=30,
    )


@pytest.fixture
def first_call(cloud: MockCloud) -> int:
    """Where the cloud's call log was when the scenario began."""
    return cloud.last_call()


@pytest.fixture
def orders(kube: Kube, cloud: MockCloud, first_call: int) -> Callable[[], Orders]:
    """Reads what the cloud was asked since the scenario began."""
    return lambda: Orders.read(cloud=cloud, since=first_call, namespace=kube.namespace)


@pytest.fixture
def cloud_disk(kube: Kube, cloud: MockCloud, orders: Callable[[], Orders]) -> CloudDisks:
    """Tells what the cloud has of a claim's disk, and what it was asked for it."""
    return lambda claim: CloudDisk.of_claim(claim, kube=kube, cloud=cloud, orders=orders())


@pytest.fixture
def mine(
    request: pytest.FixtureRequest, cluster: Kube, cloud: MockCloud, machines: Machines,
    first_call: int,
) -> Kube:  # fmt: skip
    """The scenario's own namespace, which is not there yet; what fails from now on has a timeline."""
    name = "e2e-" + re.sub("[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    mine = cluster.within(name[:60].rstrip("-"))
    request.node.stash[TIMELINE] = Timeline(
        kube=mine, cloud=cloud, machines=machines, driver=NAMESPACE, first_call=first_call
    )
    return mine


@pytest.fixture(scope="session")
def done_with(cluster: Kube) -> Iterator[list[str]]:
    """Namespaces that their scenarios have left, and that go while others run: none stays.

    The control plane begins five seconds after it was told, also with an empty one.
    """
    names: list[str] = []
    yield names

    def there() -> set[str]:
        return {one["metadata"]["name"] for one in cluster.list("namespace")}.intersection(names)

    wait_for(
        lambda: not there(), what="the scenarios' namespaces are gone", timeout_s=CLEAN_S,
        instead=there,
    )  # fmt: skip


@pytest.fixture
def kube(
    request: pytest.FixtureRequest, mine: Kube, cluster: Kube, cloud: MockCloud,
    machines: Machines, *, first_call: int, done_with: list[str],
) -> Iterator[Kube]:  # fmt: skip
    """A namespace of the scenario's own; afterwards nothing that it made is left anywhere.

    Whatever the scenario was about, no volume of its had more than one disk made for it.
    """
    cluster.delete("namespace", mine.namespace)  # of a former run, which may still be going
    cluster.apply(namespace(mine.namespace))
    yield mine
    cloud.clear_faults()
    request.node.stash[TIMELINE].note()
    ordered = Orders.read(cloud=cloud, since=first_call, namespace=mine.namespace).made()
    made = Made.seen(kube=mine, cloud=cloud, ordered=ordered)
    # a namespace alone looks only every fifteen seconds whether its pods are gone
    mine.run("delete", "statefulset,pod,volumesnapshot,pvc", "--all", timeout_s=300)
    cluster.delete("namespace", mine.namespace, wait=False)
    done_with.append(mine.namespace)
    _wait_clean(made, cluster, cloud, machines)
    log = Orders.read(cloud=cloud, since=first_call, namespace=mine.namespace)
    assert log.more_than_once() == ""


@pytest.fixture
def install(kube: Kube, driver: Kube, place: Place, tmp_path: Path) -> Iterator[Install]:
    """Installs or upgrades a second release in the scenario's namespace; it goes with it."""
    tag = tag_served(driver.get("daemonset", "diskcsi-node"))
    with installing(kube=kube, place=place, image_tag=tag, directory=tmp_path) as call:
        yield call


def _wait_clean(made: Made, cluster: Kube, cloud: MockCloud, machines: Machines) -> None:
    """Return when nothing is left; else the scenario fails, and what it left is taken away."""

    def left() -> str:
        return made.left(kube=cluster, cloud=cloud, files=loop_devices()) or made.left_on_nodes(
            kube=cluster, machines=machines
        )

    def wait() -> None:
        wait_for(lambda: not left(), what="all of it is gone", timeout_s=CLEAN_S, instead=left)

    try:
        wait()
    except NotSeen as error:
        made.take_away(kube=cluster, cloud=cloud)
        with suppress(NotSeen):
            wait()
        pytest.fail(f"the scenario left something behind: {error}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give a scenario that failed its timeline, whether a fixture, the scenario or its end did."""
    report = yield
    if report.failed and (timeline := item.stash.get(TIMELINE, None)):
        report.sections.append(("the volumes' timeline", timeline.told()))
    return report


@pytest.fixture
def essd() -> dict[str, str]:
    """Parameters of a class of small disks."""
    return dict(ESSD)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scenarios that disturb others run alone, after those that may run side by side."""
    for item in items:
        if item.path.stem not in SIDE_BY_SIDE:
            item.add_marker(pytest.mark.disruptive)
