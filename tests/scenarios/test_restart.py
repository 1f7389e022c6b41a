"""Stock callers keep asking while a controller dies and another one takes its socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from diskcsi.orchestrator import drivers
from diskcsi.orchestrator.mock import Mock, serving
from diskcsi.orchestrator.plugin import Plugin
from diskcsi.orchestrator.sidecars import Claim, Sidecars, Volume

REGION, NODE = "cn-hangzhou", "i-bp1mockcloudnode0001"
CLAIM = Claim(
    name="pvc-1", size_gib=20, parameters={"type": "cloud_ssd", "zoneId": "cn-hangzhou-g"}
)
LOOK_S = 0.02
WAIT_S = 20.0

State = Mapping[str, Any]


@asynccontextmanager
async def controller(cloud: Mock, directory: Path) -> AsyncIterator[drivers.Driver]:
    """One on the socket that all of them share."""
    async with drivers.controller("c", cloud, region=REGION, directory=directory) as driver:
        yield driver


async def reaches(cloud: Mock, condition: Callable[[State], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition(await cloud.state()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_S)


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Mock]:
    async with serving(tmp_path, "--latency=zero") as mock:
        yield mock


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a caller asks for.

    Attributes:
        action: the cloud's name for it.
        ask: the caller's part.
        done: whether the cloud's state shows it.
        attached: whether the disk is attached before.
    """

    action: str
    ask: Callable[[Sidecars, Volume], Awaitable[object]]
    done: Callable[[State], bool]
    attached: bool = False


def disk(state: State) -> Mapping[str, Any]:
    (only,) = state["disks"]
    return only  # type: ignore[no-any-return]


CHANGES = {
    "attach": Change(
        action="AttachDisk",
        ask=lambda asked, volume: asked.attach(volume, NODE),
        done=lambda state: disk(state)["attached_to"] == [NODE],
    ),
    "detach": Change(
        action="DetachDisk",
        ask=lambda asked, volume: asked.detach(volume.id, NODE),
        done=lambda state: not disk(state)["attached_to"],
        attached=True,
    ),
    "delete": Change(
        action="DeleteDisk",
        ask=lambda asked, volume: asked.delete(volume.id),
        done=lambda state: not state["disks"],
    ),
    "resize": Change(
        action="ResizeDisk",
        ask=lambda asked, volume: asked.grow(volume, 30),
        done=lambda state: disk(state)["size_gib"] == 30,
        attached=True,
    ),
    "snapshot": Change(
        action="CreateSnapshot",
        ask=lambda asked, volume: asked.snapshot(volume.id, "snapshot-1"),
        done=lambda state: len(state["snapshots"]) == 1,
        attached=True,
    ),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_caller_outlasts_the_controllers_death(
    cloud: Mock, tmp_path: Path, name: str
) -> None:
    """It never learns of the restart, and there is one of what it asked for."""
    change = CHANGES[name]
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        first = await stack.enter_async_context(controller(cloud, tmp_path))
        asked = Sidecars(await stack.enter_async_context(Plugin(first.socket)))
        volume = await asked.provision(CLAIM)
        if change.attached:
            await asked.attach(volume, NODE)
        await cloud.fault(change.action, kind="hold_reply", delay_s=600)
        asking = tasks.create_task(_run(change.ask(asked, volume)))
        await reaches(cloud, change.done)
        await first.program.kill()
        await cloud.mend()
        await stack.enter_async_context(controller(cloud, tmp_path))
        await asking
    assert change.done(await cloud.state())


async def _run(asking: Awaitable[object]) -> None:
    await asking


async def test_a_claim_deleted_while_its_volume_is_made_leaves_no_disk(
    cloud: Mock, tmp_path: Path
) -> None:
    """The provisioner goes on until it knows the volume, and then deletes it."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        first = await stack.enter_async_context(controller(cloud, tmp_path))
        asked = Sidecars(await stack.enter_async_context(Plugin(first.socket)))
        await cloud.fault("CreateDisk", kind="hold_reply", delay_s=600)
        making = tasks.create_task(asked.provision(CLAIM))
        await reaches(cloud, lambda state: bool(state["disks"]))
        made = disk(await cloud.state())["id"]
        await first.program.kill()
        await cloud.mend()
        await stack.enter_async_context(controller(cloud, tmp_path))
        volume = await making
        assert volume.id == made
        await asked.delete(volume.id)
    assert not (await cloud.state())["disks"]
