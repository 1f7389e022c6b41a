from __future__ import annotations

from dataclasses import replace

import pytest

from diskcsi.model.errors import NotFound
from diskcsi.model.ids import VolumeId
from diskcsi.node.requests import Usage
from diskcsi.testing.host import GIB
from tests.node.machine import (
    PUBLISH,
    RAW_PUBLISH,
    STAGE,
    STAGING,
    TARGET,
    VOLUME,
    Machine,
    mounted,
)
from tests.rows import row


@pytest.mark.parametrize("path", [TARGET, STAGING])
async def test_a_filesystem_tells_bytes_and_inodes(node: Machine, path: str) -> None:
    """At any path where the volume is."""
    node.host.plug("one")
    await node.publisher.publish(PUBLISH)
    assert await node.stats.usage(VOLUME, path) == Usage(
        total_bytes=20 * GIB,
        available_bytes=10 * GIB,
        used_bytes=5 * GIB,
        inodes_total=1000,
        inodes_free=900,
    )


async def test_a_filesystem_without_fixed_inodes_tells_none(node: Machine) -> None:
    """Zero would read as full."""
    node.host.plug("one", filesystem="btrfs")
    await node.stager.stage(replace(STAGE, capability=mounted("btrfs")))
    assert (await node.stats.usage(VOLUME, STAGING)).inodes_total is None


async def test_a_raw_device_tells_its_size_alone(node: Machine) -> None:
    """Row 29: what a workload keeps on it, only the workload knows."""
    node.host.plug("one")
    await node.publisher.publish(RAW_PUBLISH)
    assert await node.stats.usage(VOLUME, TARGET) == Usage(total_bytes=20 * GIB)


@pytest.mark.parametrize(
    ("volume_id", "path"), [(VOLUME, "/nowhere"), (VolumeId("d-none"), TARGET)]
)
async def test_an_unknown_volume_or_path_is_not_found(
    node: Machine, volume_id: VolumeId, path: str
) -> None:
    """Row 28."""
    node.host.plug("one")
    await node.publisher.publish(PUBLISH)
    with pytest.raises(NotFound):
        await node.stats.usage(volume_id, path)


@row("disk-vanishes-mounted")
async def test_a_volume_whose_device_is_gone_is_not_asked(node: Machine) -> None:
    """A question to a dead filesystem may never be answered."""
    disk = node.host.plug("one")
    await node.publisher.publish(PUBLISH)
    node.host.unplug(disk)
    node.host.calls.clear()
    with pytest.raises(NotFound):
        await node.stats.usage(VOLUME, TARGET)
    assert "usage" not in node.host.calls
