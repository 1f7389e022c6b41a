from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from diskcsi.model.errors import Pending, WrongState
from diskcsi.node.requests import Stage
from tests.node.machine import (
    OTHER_STAGING,
    OTHER_VOLUME,
    PUBLISH,
    STAGE,
    STAGING,
    Machine,
    mounted,
)
from tests.rows import row


@row("retry-storm")
async def test_a_storm_of_retries_shares_one_format(node: Machine) -> None:
    """Kubelet gives up and asks again while mkfs runs; it runs once."""
    disk, gate = node.host.plug("one"), node.host.hold("make")
    for _ in range(5):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(20):
                await node.stager.stage(STAGE)
    gate.set()
    await node.stager.stage(STAGE)
    assert (disk.done, node.host.paths_of(disk)) == (["make ext4"], [STAGING])


async def test_a_cancelled_call_leaves_the_staging_running(node: Machine) -> None:
    """The RPC may die, the work may not."""
    disk, gate = node.host.plug("one"), node.host.hold("make")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(120):
            await node.stager.stage(STAGE)
    gate.set()
    await asyncio.sleep(1)
    assert node.host.paths_of(disk) == [STAGING]


async def test_a_cancelled_publishing_leaves_a_new_staging_running(node: Machine) -> None:
    """A disk went and came again: its dead mount is taken away first, which may take long."""
    other, gone = node.host.plug("other"), node.host.plug("one", filesystem="ext4")
    await node.stager.stage(STAGE)
    node.host.unplug(gone)
    node.host.unplug(other)
    again = node.host.plug("one", filesystem="ext4")
    gate = node.host.hold("unmount")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60):
            await node.publisher.publish(PUBLISH)
    gate.set()
    await asyncio.sleep(1)
    assert (node.host.paths_of(gone), node.host.paths_of(again)) == ([], [STAGING])


@row("duplicate-calls-differ")
async def test_a_call_with_other_arguments_meanwhile_is_not_final(
    node: Machine, tasks: asyncio.TaskGroup
) -> None:
    """It must not get the answer to another question."""
    node.host.plug("one")
    gate = node.host.hold("make")
    first = tasks.create_task(node.stager.stage(STAGE))
    await asyncio.sleep(1)
    with pytest.raises(Pending, match="d-one is still running with other arguments"):
        await node.stager.stage(replace(STAGE, capability=mounted(flags=["noatime"])))
    gate.set()
    await first


@row("duplicate-calls-differ")
async def test_an_unstaging_of_another_path_is_not_joined(
    node: Machine, tasks: asyncio.TaskGroup
) -> None:
    """A path that was never looked at must not be told free."""
    gate = node.host.hold("resolve")
    first = tasks.create_task(node.stager.unstage(STAGE.volume_id, STAGING))
    await asyncio.sleep(1)
    with pytest.raises(Pending):
        await node.stager.unstage(STAGE.volume_id, OTHER_STAGING)
    gate.set()
    await first


async def test_an_unstaging_waits_for_the_staging(node: Machine, tasks: asyncio.TaskGroup) -> None:
    """One volume, one change at a time."""
    disk, gate = node.host.plug("one"), node.host.hold("make")
    staging = tasks.create_task(node.stager.stage(STAGE))
    await asyncio.sleep(1)
    unstaging = tasks.create_task(node.stager.unstage(STAGE.volume_id, STAGING))
    await asyncio.sleep(1)
    gate.set()
    await asyncio.gather(staging, unstaging)
    assert (disk.done, node.host.paths_of(disk)) == (["make ext4"], [])


async def test_a_tool_that_hangs_is_given_up_within_the_budget(node: Machine) -> None:
    """Nothing waits for ever; the outcome is not final."""
    node.host.plug("one")
    node.host.hold("make")
    with pytest.raises(TimeoutError):
        await node.stager.stage(STAGE)
    assert asyncio.get_running_loop().time() == pytest.approx(300, abs=1)


@row("two-volumes-one-device")
async def test_two_volumes_of_one_device_at_once_format_it_once(
    node: Machine, tasks: asyncio.TaskGroup
) -> None:
    """Neither may look while the other one is about to write."""
    disk, gate = node.host.plug("one"), node.host.hold("make")
    first = tasks.create_task(node.stager.stage(STAGE))
    await asyncio.sleep(1)
    other = replace(STAGE, volume_id=OTHER_VOLUME, staging_path=OTHER_STAGING)
    second = tasks.create_task(_refusal(node, other))
    await asyncio.sleep(1)
    gate.set()
    await first
    assert (f"is mounted at {STAGING}" in await second, disk.done) == (True, ["make ext4"])


async def _refusal(node: Machine, request: Stage) -> str:
    with pytest.raises(WrongState) as refused:
        await node.stager.stage(request)
    return str(refused.value)
