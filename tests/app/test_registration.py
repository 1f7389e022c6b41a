"""A node plug-in from its start to its registration, and what keeps it from there."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import structlog
from aiohttp import web
from grpclib.client import Channel
from mockcloud.app import Cloud

from diskcsi import wiring
from diskcsi._proto import pluginregistration as wire
from diskcsi._proto.csi import v1
from diskcsi.aio.flights import Flights
from diskcsi.edge.node import NodeService
from diskcsi.edge.registration import registering
from diskcsi.settings import Plan
from diskcsi.telemetry.logging import configure
from diskcsi.wiring import Parts
from tests.app.driver import (
    CREATE,
    NODE,
    REGION,
    ZONE,
    Driver,
    free_port,
    keys,
    mock,
    plan,
    running,
)
from tests.cluster.authority import Authority, new_authority
from tests.cluster.server import Server, serving

NAME = "d.csi"  # the path of a socket may have a hundred characters
LABELS = {
    "alibabacloud.com/ecs-instance-id": NODE,
    "topology.kubernetes.io/zone": ZONE,
    "topology.kubernetes.io/region": REGION,
}


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with mock() as one:
        yield one


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[dict[str, str]]]]:
    """Reads the lines of the log; later tests' lines must not go to what this test prints to."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    configure(level="INFO", form="json")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return new_authority(tmp_path_factory.mktemp("authority"))


def node_plan(directory: Path, *, port: int, **settings: object) -> Plan:
    """A node's plan, whose metadata service is the mock's on `port`."""
    return plan(
        directory,
        cloud={"metadata_url": f"http://127.0.0.1:{port}/_imds/{NODE}", "region": ""},
        settings={
            "run_node_service": True,
            "run_controller_service": False,
            "registration_dir": str(directory / "registry"),
            "driver": NAME,
            **settings,
        },
    )


def socket_of(directory: Path) -> Path:
    return directory / "registry" / f"{NAME}-reg.sock"


async def ready_for(driver: Driver, words: str) -> None:
    """Wait until readiness tells these words."""
    async with asyncio.timeout(20):
        while words not in (await driver.get("/readyz"))[1]:  # noqa: ASYNC110 - a probe asks
            await asyncio.sleep(0.02)


async def register(directory: Path) -> v1.NodeGetInfoResponse:
    """What kubelet does, in its order; what the node told."""
    await until_there(socket_of(directory))
    kubelet = Channel(path=str(socket_of(directory)))
    try:
        stub = wire.RegistrationStub(kubelet)
        info = await stub.get_info(wire.InfoRequest())
        driver = Channel(path=info.endpoint)
        try:
            told = await v1.NodeStub(driver).node_get_info(v1.NodeGetInfoRequest())
        finally:
            driver.close()
        await stub.notify_registration_status(wire.RegistrationStatus(plugin_registered=True))
    finally:
        kubelet.close()
    return told


async def until_there(path: Path) -> None:
    async with asyncio.timeout(20):
        while not path.exists():  # noqa: ASYNC110, ASYNC240 - another task makes it
            await asyncio.sleep(0.01)


async def test_kubelet_finds_it_and_learns_who_the_node_is(tmp_path: Path, cloud: Cloud) -> None:
    """The whole way of a registration, and the answer in readiness and metrics."""
    async with running(node_plan(tmp_path, port=cloud.port)) as driver:
        told = await register(tmp_path)
        ready, (_, metrics) = await driver.get("/readyz"), await driver.get("/metrics")
    assert (told.node_id, ready) == (NODE, (200, "ok\n"))
    assert "diskcsi_registered 1.0" in metrics


async def test_until_kubelet_has_come_it_is_not_ready(tmp_path: Path, cloud: Cloud) -> None:
    """But healthy: nothing is to be mended by a restart."""
    async with running(node_plan(tmp_path, port=cloud.port)) as driver:
        await ready_for(driver, "kubelet has not called")
        assert (await driver.get("/healthz"))[0] == 200


async def test_at_the_end_both_sockets_are_gone(tmp_path: Path, cloud: Cloud) -> None:
    """Kubelet calls nobody who has gone."""
    async with running(node_plan(tmp_path, port=cloud.port)):
        await register(tmp_path)
    assert not socket_of(tmp_path).exists()
    assert not (tmp_path / "csi.sock").exists()


def labelled_plan(directory: Path, api: Server) -> Plan:
    """A node's plan without a metadata service, which may read its Node object."""
    return node_plan(
        directory, port=1, node_labels=True, kube_node_name="node-1", kube_api_host="127.0.0.1",
        kube_api_port=api.port, service_account_dir=str(api.account),
    )  # fmt: skip


async def test_a_node_is_known_by_its_node_object(tmp_path: Path, authority: Authority) -> None:
    """Where there is no metadata service, and the operator lets it be read."""
    async with serving(tmp_path, authority) as api:
        api.node = {"metadata": {"labels": LABELS}}
        async with running(labelled_plan(tmp_path, api)):
            told = await register(tmp_path)
    assert told.node_id == NODE
    assert told.accessible_topology.segments["topology.kubernetes.io/zone"] == ZONE


async def test_the_log_names_who_told_of_the_node_and_why_others_did_not(
    tmp_path: Path, authority: Authority, printed: Callable[[], list[dict[str, str]]]
) -> None:
    """Once, however often it is asked."""
    async with serving(tmp_path, authority) as api:
        api.node = {"metadata": {"labels": LABELS}}
        async with running(labelled_plan(tmp_path, api)):
            await register(tmp_path)
    (told,) = [line for line in printed() if line["event"] == "this node is known"]
    assert (told["instance"], told["by"]) == (NODE, "Node object")
    assert "metadata service: http://127.0.0.1:1" in told["not_used"]


async def test_without_any_word_of_the_node_it_waits_and_tells_what_to_do(
    tmp_path: Path, authority: Authority
) -> None:
    """No crash, no registration, and one sentence."""
    async with (
        serving(tmp_path, authority) as api,
        running(labelled_plan(tmp_path, api)) as driver,
    ):
        await ready_for(driver, "set REGION_ID, ZONE_ID and --nodeid")
        assert (await driver.get("/healthz"), socket_of(tmp_path).exists()) == (
            (200, "ok\n"),
            False,
        )


async def test_a_node_that_becomes_known_registers_without_a_restart(
    tmp_path: Path, authority: Authority
) -> None:
    """Somebody labels it, or grants the permission."""
    async with (
        serving(tmp_path, authority) as api,
        running(labelled_plan(tmp_path, api)) as driver,
    ):
        api.answer = lambda: web.Response(status=403)
        await ready_for(driver, "the verb get on nodes")
        api.node, api.answer = {"metadata": {"labels": LABELS}}, None
        await register(tmp_path)
        await ready_for(driver, "ok\n")


async def take(parts: Parts) -> str:
    """What kubelet does once the node is offered to it; as whom it knows the node then."""
    assert parts.registrar
    assert parts.halves.node
    registration = parts.registrar.registration
    async with asyncio.timeout(20):
        while "has not called" not in registration.reason:  # noqa: ASYNC110 - another task tells
            await asyncio.sleep(0.01)
    node = cast("NodeService", parts.halves.node)
    told = await node.node_get_info(v1.NodeGetInfoRequest())
    registration.told(registered=True, words="")
    return told.node_id


async def test_a_node_that_settings_named_wrongly_is_registered_anew_when_its_cloud_answers(
    tmp_path: Path,
) -> None:
    """Settings may be another machine's, and the metadata service may have been away at the start."""
    port = free_port()
    what = plan(
        tmp_path,
        cloud={
            "metadata_url": f"http://127.0.0.1:{port}/_imds/{NODE}", "nodeid": "i-copied",
            "zone": ZONE,
        },
        settings={
            "run_node_service": True, "run_controller_service": False, "driver": NAME,
            "registration_dir": str(tmp_path / "registry"),
        },
    )  # fmt: skip
    async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
        parts = await wiring.build(what, Flights(tasks=tasks), tasks, resources)
        assert parts.registrar
        async with registering(replace(parts.registrar, identity_look_s=0.01)):
            first = await take(parts)
            async with mock(port):
                second = await take(parts)
    assert (first, second) == ("i-copied", NODE)


async def test_a_socket_that_is_deleted_from_outside_is_unhealthy(
    tmp_path: Path, cloud: Cloud
) -> None:
    """A restart makes a new one; nothing else would."""
    async with running(node_plan(tmp_path, port=cloud.port)) as driver:
        before = await driver.get("/healthz")
        (tmp_path / "csi.sock").unlink()
        status, text = await driver.get("/healthz")
    assert (before[0], status, "own socket" in text) == (200, 503, True)


async def test_a_plug_in_that_is_replaced_tells_of_as_many_places_as_before(
    tmp_path: Path, cloud: Cloud
) -> None:
    """A volume that is attached and can't be staged meanwhile is counted by the scheduler already."""
    what = plan(
        tmp_path,
        cloud={"metadata_url": f"http://127.0.0.1:{cloud.port}/_imds/{NODE}", **keys(cloud)},
        settings={
            "run_node_service": True, "driver": NAME, "registration_dir": str(tmp_path / "registry"),
        },
    )  # fmt: skip
    async with running(what) as driver:
        before = await register(tmp_path)
        made = await driver.controller.create_volume(CREATE)
        await driver.controller.controller_publish_volume(
            v1.ControllerPublishVolumeRequest(
                volume_id=made.volume.volume_id, node_id=NODE,
                volume_capability=CREATE.volume_capabilities[0],
            )
        )  # fmt: skip
    async with running(what):
        after = await register(tmp_path)
    assert (before.max_volumes_per_node, after.max_volumes_per_node) == (16, 16)


async def test_foreign_disks_are_noted_before_kubelet_asks(tmp_path: Path, cloud: Cloud) -> None:
    """It may ask a successor only, and what a disk is shows in minutes."""
    async with running(node_plan(tmp_path, port=cloud.port)):
        await until_there(socket_of(tmp_path))
        assert NODE in (tmp_path / "foreign-disks.json").read_text()


async def test_without_a_registration_directory_a_helper_registers(
    tmp_path: Path, cloud: Cloud
) -> None:
    """Readiness waits for nothing that somebody else does, and takes notice of the disks."""
    async with running(node_plan(tmp_path, port=cloud.port, registration_dir="")) as driver:
        assert await driver.get("/readyz") == (200, "ok\n")
        assert NODE in (tmp_path / "foreign-disks.json").read_text()


async def test_metrics_tell_the_memory_of_the_process(tmp_path: Path, cloud: Cloud) -> None:
    """A leak is seen before the kernel ends it."""
    async with running(node_plan(tmp_path, port=cloud.port)) as driver:
        _, metrics = await driver.get("/metrics")
    assert "process_resident_memory_bytes " in metrics
