"""A driver from its start to its end, with a cloud that is there, or isn't, or says no."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import pytest
from grpclib.exceptions import StreamTerminatedError
from mockcloud.app import Cloud
from mockcloud.faults import Fault

from diskcsi import app
from diskcsi._proto.csi import v1
from diskcsi.edge.server import SocketInUse
from diskcsi.settings import SettingsError
from tests.app.driver import (
    CREATE,
    KEY_ID,
    KEY_SECRET,
    Driver,
    free_port,
    keys,
    mock,
    plan,
    running,
)
from tests.edge.sockets import until
from tests.rows import row

NOWHERE = {"ecs_endpoint": "127.0.0.1:1", "access_key_id": "a", "access_key_secret": "b"}


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with mock() as one:
        yield one


async def probed(driver: Driver) -> bool | None:
    return (await driver.identity.probe(v1.ProbeRequest())).ready


async def until_ready(driver: Driver) -> None:
    """A probe that was told no is told it again for a second."""
    async with asyncio.timeout(20):
        while not await probed(driver):  # noqa: ASYNC110 - who asks for readiness has no event
            await asyncio.sleep(0.05)


async def ready_metric(driver: Driver) -> str:
    """What the metrics say of readiness."""
    _, text = await driver.get("/metrics")
    (line,) = [one for one in text.splitlines() if one.startswith("diskcsi_ready ")]
    return line.removeprefix("diskcsi_ready ")


async def test_with_its_cloud_it_is_ready(tmp_path: Path, cloud: Cloud) -> None:
    """Both ways to ask say so."""
    async with running(plan(tmp_path, cloud=keys(cloud))) as driver:
        assert (await probed(driver), await driver.get("/readyz")) == (True, (200, "ok\n"))


async def test_a_call_reaches_the_cloud_and_the_metrics(tmp_path: Path, cloud: Cloud) -> None:
    """Both sides are counted: what was asked of us, and what we asked."""
    async with running(plan(tmp_path, cloud=keys(cloud))) as driver:
        await driver.controller.create_volume(CREATE)
        _, metrics = await driver.get("/metrics")
    assert 'csi_grpc_execution_count_total{code="OK",method="CreateVolume"' in metrics
    assert 'diskcsi_cloud_call_seconds_count{action="CreateDisk",code="OK"} 1.0' in metrics


async def test_a_dead_endpoint_is_not_ready_and_says_why(tmp_path: Path) -> None:
    """The message names the endpoint."""
    async with running(plan(tmp_path, cloud=NOWHERE)) as driver:
        status, text = await driver.get("/readyz")
    assert (status, "no connection to http://127.0.0.1:1" in text) == (503, True)


@row("endpoint-down")
async def test_a_dead_endpoint_makes_no_crash_loop(tmp_path: Path) -> None:
    """A supervisor that asks the right question leaves the process alone, and so does Probe's."""
    async with running(plan(tmp_path, cloud=NOWHERE)) as driver:
        assert (await probed(driver), await driver.get("/healthz")) == (False, (200, "ok\n"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"access_key_id": "no-such-id"}, "InvalidAccessKeyId"),
        ({"access_key_secret": "no-such-secret"}, "SignatureDoesNotMatch"),
        ({"region": "cn-nowhere"}, "cn-nowhere"),
        ({"ecs_endpoint": "nowhere.invalid:8090"}, "nowhere.invalid:8090"),
        ({"credentials_dir": "/nowhere/secret"}, "the key pair in /nowhere/secret can't be read"),
    ],
    ids=["key-id", "key-secret", "region", "endpoint", "secret"],
)
async def test_what_is_set_wrong_is_told_in_one_sentence(
    tmp_path: Path, cloud: Cloud, wrong: dict[str, object], words: str
) -> None:
    """With the words that the operator has to look for, and what to do."""
    async with running(plan(tmp_path, cloud={**keys(cloud), **wrong})) as driver:
        status, text = await driver.get("/readyz")
    assert (status, words in text, text.count("\n")) == (503, True, 1), text


async def test_missing_keys_are_told_where_readiness_is_asked(tmp_path: Path) -> None:
    """The start doesn't fail, since a Secret may be mounted later."""
    async with running(plan(tmp_path, cloud={"ecs_endpoint": "127.0.0.1:1"})) as driver:
        status, text = await driver.get("/readyz")
    assert (status, "no key pair to sign calls with" in text) == (503, True)


async def test_keys_that_are_put_right_are_taken_without_a_restart(
    tmp_path: Path, cloud: Cloud
) -> None:
    """A rotated Secret is a file that changes."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "id").write_text(KEY_ID)
    (secret / "secret").write_text("wrong")
    files = {"ecs_endpoint": f"127.0.0.1:{cloud.port}", "credentials_dir": str(secret)}
    async with running(plan(tmp_path, cloud=files)) as driver:
        assert not await probed(driver)
        (secret / "secret").write_text(KEY_SECRET)
        await until_ready(driver)


async def test_a_cloud_that_comes_back_is_used_without_a_restart(tmp_path: Path) -> None:
    """Not ready is no state to be stuck in."""
    port = free_port()
    there = {**NOWHERE, "ecs_endpoint": f"127.0.0.1:{port}"}
    there |= {"access_key_id": KEY_ID, "access_key_secret": KEY_SECRET}
    async with running(plan(tmp_path, cloud=there)) as driver:
        assert not await probed(driver)
        async with mock(port):
            await until_ready(driver)


async def test_the_metrics_tell_the_last_answer_without_a_call(
    tmp_path: Path, cloud: Cloud
) -> None:
    """Whoever reads them every few seconds costs the account nothing."""
    secret = tmp_path / "secret"
    files = {"ecs_endpoint": f"127.0.0.1:{cloud.port}", "credentials_dir": str(secret)}
    async with running(plan(tmp_path, cloud=files)) as driver:
        told = [await ready_metric(driver)]
        await driver.get("/readyz")
        told.append(await ready_metric(driver))
        secret.mkdir()
        (secret / "id").write_text(KEY_ID)
        (secret / "secret").write_text(KEY_SECRET)
        await until_ready(driver)
        await driver.get("/readyz")
        calls = cloud.calls.since(0)
        told.append(await ready_metric(driver))
        assert (told, cloud.calls.since(0)) == (["0.0", "0.0", "1.0"], calls)


async def test_a_start_does_not_wait_for_the_cloud(tmp_path: Path) -> None:
    """It takes connections and never answers; sidecars give Identity a second."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = {**NOWHERE, "ecs_endpoint": f"127.0.0.1:{silent.getsockname()[1]}"}
        async with running(plan(tmp_path, cloud=mute)) as driver, asyncio.timeout(1):
            told = await driver.identity.get_plugin_info(v1.GetPluginInfoRequest())
    assert told.name == "diskplugin.csi.alibabacloud.com"


async def test_a_call_that_runs_when_the_end_comes_is_answered(
    tmp_path: Path, cloud: Cloud
) -> None:
    """The disk is told, not lost."""
    cloud.faults.add(Fault(action="CreateDisk", kind="delay", delay_s=0.2))
    async with running(plan(tmp_path, cloud=keys(cloud))) as driver:
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(driver.controller.create_volume(CREATE))
            await until(lambda: bool(cloud.calls.since(0)))
            driver.stop.set()
        assert call.result().volume.volume_id in cloud.engine.disks


async def test_work_that_nobody_listens_to_any_more_ends_before_the_process(
    tmp_path: Path, cloud: Cloud
) -> None:
    """The call was cancelled, its flight wasn't."""
    slow = Fault(action="CreateDisk", kind="delay", delay_s=0.6)
    cloud.faults.add(slow)
    async with running(plan(tmp_path, cloud=keys(cloud))) as driver:
        await until_ready(driver)
        call = asyncio.create_task(driver.controller.create_volume(CREATE))
        await until(lambda: not slow.times)
        call.cancel()
        with pytest.raises((asyncio.CancelledError, StreamTerminatedError)):
            await call
        assert not cloud.engine.disks
    assert len(cloud.engine.disks) == 1


async def test_at_the_end_its_socket_is_gone(tmp_path: Path) -> None:
    """The next process finds a clean place."""
    async with running(plan(tmp_path, cloud=NOWHERE)):
        pass
    assert not (tmp_path / "csi.sock").exists()


async def test_a_port_that_is_taken_is_named_with_its_setting(tmp_path: Path) -> None:
    """Two drivers on one host network meet here."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = plan(tmp_path, cloud=NOWHERE, settings={"http_port": port})
        with pytest.raises(SettingsError, match=rf"127\.0\.0\.1:{port}.*SERVICE_PORT"):
            await app.serve(taken, asyncio.Event())


async def test_who_asks_while_it_starts_is_answered_when_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe that is refused would be sent again a whole period later."""
    what, imported = plan(tmp_path, cloud=NOWHERE), app._imported
    port = what.settings.metrics_port

    async def asked_before(name: str) -> ModuleType:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        early.append((reader, writer))
        return await imported(name)

    early: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    monkeypatch.setattr(app, "_imported", asked_before)
    async with running(what):
        [(reader, writer)] = early
        assert (await reader.read()).endswith(b"\r\n\r\nok\n")
        writer.close()
        await writer.wait_closed()


async def test_a_socket_that_is_served_already_stops_the_start(tmp_path: Path) -> None:
    """With the error itself, not with a group around it."""
    what = plan(tmp_path, cloud=NOWHERE)
    async with running(what):
        with pytest.raises(SocketInUse):
            await app.serve(plan(tmp_path, cloud=NOWHERE), asyncio.Event())


@pytest.mark.parametrize("name", ["", "other.example.com"])
async def test_the_driver_s_name_is_the_operator_s_else_the_provider_s(
    tmp_path: Path, name: str
) -> None:
    """Existing volumes name it."""
    async with running(plan(tmp_path, cloud=NOWHERE, settings={"driver": name})) as driver:
        told = await driver.identity.get_plugin_info(v1.GetPluginInfoRequest())
    assert told.name == (name or "diskplugin.csi.alibabacloud.com")
