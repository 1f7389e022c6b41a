"""A final error means "not staged" to the caller, who then never undoes what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diskcsi.model.errors import Broken, Pending, WrongState
from diskcsi.testing.host import GIB, FakeDisk
from tests.node.machine import (
    PUBLISH,
    READER,
    SERIAL,
    STAGE,
    STAGING,
    Machine,
    mounted,
)

XFS_STAGE = replace(STAGE, capability=mounted("xfs"))
FAILED = WrongState("xfs_growfs ended with 1")


def _short(node: Machine, filesystem: str = "xfs") -> FakeDisk:
    disk = node.host.plug(SERIAL, filesystem=filesystem)
    disk.filesystem_bytes = 10 * GIB
    return disk


async def test_a_mount_that_can_not_grow_is_undone_before_it_is_told(node: Machine) -> None:
    """The error is final, so nothing may be left, and the next call starts anew."""
    disk = _short(node)
    node.host.fail("grow", FAILED)
    with pytest.raises(WrongState, match="xfs_growfs ended"):
        await node.stager.stage(XFS_STAGE)
    assert node.host.paths_of(disk) == []


async def test_a_mount_that_can_not_be_undone_is_not_told_as_final(node: Machine) -> None:
    """The caller must keep the volume for staged, and hear both reasons."""
    disk = _short(node)
    node.host.fail("grow", FAILED)
    node.host.busy.add(STAGING)
    with pytest.raises(Pending, match=r"xfs_growfs ended with 1; .*stays mounted"):
        await node.stager.stage(XFS_STAGE)
    assert node.host.paths_of(disk) == [STAGING]


async def test_a_retry_grows_what_the_first_call_mounted(node: Machine) -> None:
    """A tool that hung, or a plug-in that died, leaves the mount and no growth."""
    disk = _short(node)
    node.host.fail("grow", TimeoutError("xfs_growfs: no end in 280 s, it was killed"))
    with pytest.raises(TimeoutError):
        await node.stager.stage(XFS_STAGE)
    await node.stager.stage(XFS_STAGE)
    assert (disk.filesystem_bytes, node.host.paths_of(disk)) == (20 * GIB, [STAGING])


async def test_a_staged_volume_that_can_not_grow_is_not_told_as_final(node: Machine) -> None:
    """Pods may use it, so it isn't unmounted, and the caller must not take it for gone."""
    disk = node.host.plug(SERIAL, filesystem="xfs")
    await node.stager.stage(XFS_STAGE)
    disk.filesystem_bytes = 10 * GIB
    node.host.fail("grow", FAILED)
    with pytest.raises(Pending, match=r"d-one is staged.*xfs_growfs ended"):
        await node.stager.stage(XFS_STAGE)
    assert node.host.paths_of(disk) == [STAGING]


async def test_a_volume_staged_for_a_reader_is_not_grown(node: Machine) -> None:
    """Not by the repeated call either."""
    disk = _short(node)
    request = replace(XFS_STAGE, capability=mounted("xfs", mode=READER))
    await node.stager.stage(request)
    await node.stager.stage(request)
    assert disk.done == []


@pytest.mark.parametrize("call", ["make", "mount", "needs_growth"])
async def test_a_bug_in_the_middle_of_a_staging_is_not_told_as_final(
    node: Machine, call: str
) -> None:
    """What was begun may be there; the bug stays the cause."""
    node.host.plug(SERIAL)
    node.host.fail(call, KeyError("bug"))
    with pytest.raises(Broken, match="in the middle of stage of volume d-one") as broken:
        await node.stager.stage(XFS_STAGE)
    assert isinstance(broken.value.__cause__, KeyError)


async def test_a_bug_in_the_middle_of_a_publishing_is_not_told_as_final(node: Machine) -> None:
    """A bind may be there."""
    node.host.plug(SERIAL)
    await node.stager.stage(STAGE)
    node.host.fail("bind", KeyError("bug"))
    with pytest.raises(Broken):
        await node.publisher.publish(PUBLISH)
