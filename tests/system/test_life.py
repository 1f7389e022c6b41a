"""A volume's life through real sockets, a signed API, loop devices, mkfs and mount."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from diskcsi._proto.csi import v1
from tests.system.conftest import Stack

GIB = 1024**3
INSTANCE = "i-bp1mockcloudnode0001"
MODE = v1.VolumeCapabilityAccessModeMode


def _capability(fs_type: str) -> v1.VolumeCapability:
    return v1.VolumeCapability(
        mount=v1.VolumeCapabilityMountVolume(fs_type=fs_type),
        access_mode=v1.VolumeCapabilityAccessMode(mode=MODE(MODE.SINGLE_NODE_WRITER)),
    )


@pytest.mark.host
@pytest.mark.parametrize("fs_type", ["ext4", "xfs"])
async def test_data_survives_growth_and_another_staging(stack: Stack, fs_type: str) -> None:
    """What was written is read back after detach, growth by the controller, attach and stage."""
    staging = str(stack.directory / "staging")
    capability = _capability(fs_type)
    controller, node = stack.controller.plugin.controller, stack.node.plugin.node
    made = await controller.create_volume(
        v1.CreateVolumeRequest(
            name="pvc-life",
            capacity_range=v1.CapacityRange(required_bytes=20 * GIB),
            volume_capabilities=[capability],
            parameters={"type": "cloud_ssd", "zoneId": "cn-hangzhou-g"},
        )
    )
    volume_id = made.volume.volume_id

    async def stage() -> None:
        attached = await controller.controller_publish_volume(
            v1.ControllerPublishVolumeRequest(
                volume_id=volume_id, node_id=INSTANCE, volume_capability=capability
            )
        )
        await node.node_stage_volume(
            v1.NodeStageVolumeRequest(
                volume_id=volume_id, staging_target_path=staging,
                volume_capability=capability, publish_context=attached.publish_context,
            )
        )  # fmt: skip

    async def leave() -> None:
        await node.node_unstage_volume(
            v1.NodeUnstageVolumeRequest(volume_id=volume_id, staging_target_path=staging)
        )
        await controller.controller_unpublish_volume(
            v1.ControllerUnpublishVolumeRequest(volume_id=volume_id, node_id=INSTANCE)
        )

    await stage()
    content = bytes(range(256)) * 4096
    await asyncio.to_thread(Path(staging, "file").write_bytes, content)
    await leave()
    await controller.controller_expand_volume(
        v1.ControllerExpandVolumeRequest(
            volume_id=volume_id, capacity_range=v1.CapacityRange(required_bytes=30 * GIB)
        )
    )
    await stage()
    told = await node.node_get_volume_stats(
        v1.NodeGetVolumeStatsRequest(volume_id=volume_id, volume_path=staging)
    )
    read = await asyncio.to_thread(Path(staging, "file").read_bytes)
    await leave()
    await controller.delete_volume(v1.DeleteVolumeRequest(volume_id=volume_id))
    assert hashlib.sha256(read).digest() == hashlib.sha256(content).digest()
    assert told.usage[0].total > 29 * GIB
