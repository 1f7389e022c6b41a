from __future__ import annotations

from dataclasses import replace

import pytest

from diskcsi.model.errors import NotFound, Pending, WrongState
from diskcsi.model.ids import VolumeId
from diskcsi.node.requests import Publish
from diskcsi.testing.host import GIB, FakeDisk
from tests.node.machine import (
    PUBLISH,
    RAW_PUBLISH,
    READER,
    STAGING,
    TARGET,
    Machine,
    expand,
    mounted,
)
from tests.rows import row


async def _published(node: Machine, request: Publish, *, device_gib: int) -> FakeDisk:
    disk = node.host.plug("one", filesystem="xfs" if "xfs" in repr(request.capability) else "ext4")
    await node.publisher.publish(request)
    disk.done.clear()
    disk.size_bytes = device_gib * GIB
    return disk


XFS = replace(PUBLISH, capability=mounted("xfs"))


@pytest.mark.parametrize(
    ("request_", "may_grow_ext"), [(XFS, False), (PUBLISH, True)], ids=["xfs", "ext4"]
)
@pytest.mark.parametrize("path", [TARGET, STAGING])
async def test_a_mounted_filesystem_grows(
    node: Machine, request_: Publish, may_grow_ext: bool, path: str
) -> None:
    """Online, wherever the caller says that the volume is; the answer is the device's size."""
    node.host.may_grow_ext = may_grow_ext
    disk = await _published(node, request_, device_gib=30)
    size = await node.expander.expand(expand(30, path))
    assert (size, disk.filesystem_bytes) == (30 * GIB, 30 * GIB)


async def test_a_mounted_ext4_that_may_not_grow_says_when_it_will(node: Machine) -> None:
    """The kernel's condition is named, and so is the next chance."""
    disk = await _published(node, PUBLISH, device_gib=30)
    with pytest.raises(WrongState, match=r"CAP_SYS_RESOURCE.*grows when .* staged the next time"):
        await node.expander.expand(expand(30))
    assert disk.done == []


async def test_growing_twice_is_fine(node: Machine) -> None:
    """Row 29: large enough already is OK, and nothing runs."""
    disk = await _published(node, XFS, device_gib=30)
    await node.expander.expand(expand(30))
    size = await node.expander.expand(expand(25))
    assert (size, disk.done) == (30 * GIB, ["grow xfs"])


@row("expand-half-done")
async def test_a_growth_that_was_cut_off_is_repeated(node: Machine) -> None:
    """The device grew, the filesystem did not; the retry does it."""
    disk = await _published(node, XFS, device_gib=30)
    node.host.fail("grow", TimeoutError("xfs_growfs did not end"))
    with pytest.raises(TimeoutError):
        await node.expander.expand(expand(30))
    await node.expander.expand(expand(30))
    assert disk.filesystem_bytes == 30 * GIB


async def test_a_raw_device_needs_no_growth(node: Machine) -> None:
    """Row 29: a no-op that answers the real size."""
    disk = await _published(node, RAW_PUBLISH, device_gib=30)
    size = await node.expander.expand(expand(30))
    assert (size, disk.done) == (30 * GIB, [])


async def test_a_device_that_has_not_grown_yet_is_not_final(node: Machine) -> None:
    """The kernel still sees the former size, so kubelet is to ask again."""
    await _published(node, XFS, device_gib=20)
    with pytest.raises(Pending, match="the kernel sees no growth yet"):
        await node.expander.expand(expand(30))


async def test_a_volume_that_nobody_can_write_stays_as_it_is(node: Machine) -> None:
    """A read-only mount can't grow, and its readers lack nothing."""
    disk = await _published(
        node, replace(XFS, capability=mounted("xfs", mode=READER)), device_gib=30
    )
    size = await node.expander.expand(expand(30))
    assert (size, disk.done) == (30 * GIB, [])


async def test_a_read_only_target_grows_through_its_staging(node: Machine) -> None:
    """The path that the caller names may be one that can't write."""
    disk = await _published(node, replace(XFS, read_only=True), device_gib=30)
    await node.expander.expand(expand(30))
    assert disk.filesystem_bytes == 30 * GIB


@pytest.mark.parametrize("staging_path", ["", "/elsewhere"])
async def test_an_unknown_path_is_not_found(node: Machine, staging_path: str) -> None:
    """Row 28."""
    await _published(node, XFS, device_gib=30)
    with pytest.raises(NotFound, match="d-one is not at /nowhere"):
        await node.expander.expand(replace(expand(30, "/nowhere"), staging_path=staging_path))


async def test_an_unknown_volume_is_not_found(node: Machine) -> None:
    """Row 28: another volume at the path is never grown."""
    disk = await _published(node, XFS, device_gib=30)
    with pytest.raises(NotFound, match="is not volume d-none"):
        await node.expander.expand(replace(expand(30), volume_id=VolumeId("d-none")))
    assert disk.done == []


@row("disk-vanishes-mounted")
async def test_a_volume_whose_device_is_gone_is_not_found(node: Machine) -> None:
    """No tool is started on it."""
    disk = await _published(node, XFS, device_gib=30)
    node.host.unplug(disk)
    with pytest.raises(NotFound):
        await node.expander.expand(expand(30))
