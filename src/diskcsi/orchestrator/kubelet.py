"""What kubelet asks of a node plug-in, in its order and at paths like its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diskcsi._proto.csi import v1
from diskcsi.orchestrator.plugin import Plugin, answered
from diskcsi.orchestrator.sidecars import GIB, Patience, Volume, persisted

PATIENCE: Final = Patience(call_s=120.0, first_pause_s=0.5)
"""Kubelet's two minutes for a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What a plug-in tells when it registers."""

    node_id: str
    segments: Mapping[str, str]
    volume_limit: int


class Kubelet:
    """One machine's kubelet.

    Args:
        directory: stands for its root directory.
    """

    def __init__(self, plugin: Plugin, directory: Path) -> None:
        self._plugin = plugin
        self._node = plugin.node
        self._directory = directory

    async def register(self) -> Registered:
        """Ask who this is, as registration does."""
        await answered(
            self._plugin.identity.get_plugin_info(v1.GetPluginInfoRequest(), timeout=1.0)
        )
        info = await persisted(
            lambda timeout: self._node.node_get_info(v1.NodeGetInfoRequest(), timeout=timeout),
            PATIENCE,
        )
        return Registered(
            node_id=info.node_id,
            segments=info.accessible_topology.segments,
            volume_limit=info.max_volumes_per_node,
        )

    def staging(self, volume_id: str) -> Path:
        """Where the volume is mounted once for the machine."""
        return self._directory / f"plugins/kubernetes.io/csi/{volume_id}/globalmount"

    def target(self, volume_id: str) -> Path:
        """Where a pod sees it."""
        return self._directory / f"pods/pod/volumes/kubernetes.io~csi/{volume_id}/mount"

    async def mount(self, volume: Volume, context: Mapping[str, str]) -> Path:
        """Stage and publish an attached volume; where a pod sees it."""
        stage = v1.NodeStageVolumeRequest(
            volume_id=volume.id,
            staging_target_path=str(self.staging(volume.id)),
            volume_capability=volume.claim.capability,
            publish_context=dict(context),
            volume_context=dict(volume.context),
        )
        publish = v1.NodePublishVolumeRequest(
            volume_id=volume.id,
            staging_target_path=stage.staging_target_path,
            target_path=str(self.target(volume.id)),
            volume_capability=stage.volume_capability,
            publish_context=stage.publish_context,
            volume_context=stage.volume_context,
        )
        self.staging(volume.id).mkdir(parents=True, exist_ok=True)
        await persisted(
            lambda timeout: self._node.node_stage_volume(stage, timeout=timeout), PATIENCE
        )
        await persisted(
            lambda timeout: self._node.node_publish_volume(publish, timeout=timeout), PATIENCE
        )
        return self.target(volume.id)

    async def unmount(self, volume_id: str) -> None:
        """Unpublish and unstage."""
        unpublish = v1.NodeUnpublishVolumeRequest(
            volume_id=volume_id, target_path=str(self.target(volume_id))
        )
        unstage = v1.NodeUnstageVolumeRequest(
            volume_id=volume_id, staging_target_path=str(self.staging(volume_id))
        )
        await persisted(
            lambda timeout: self._node.node_unpublish_volume(unpublish, timeout=timeout), PATIENCE
        )
        await persisted(
            lambda timeout: self._node.node_unstage_volume(unstage, timeout=timeout), PATIENCE
        )

    async def grow(self, volume: Volume, size_gib: int) -> None:
        """Grow what is on a mounted volume.

        Raises:
            CallFailed: FAILED_PRECONDITION where this machine can't grow it while mounted.
        """
        request = v1.NodeExpandVolumeRequest(
            volume_id=volume.id,
            volume_path=str(self.target(volume.id)),
            staging_target_path=str(self.staging(volume.id)),
            capacity_range=v1.CapacityRange(required_bytes=size_gib * GIB),
            volume_capability=volume.claim.capability,
        )
        await persisted(
            lambda timeout: self._node.node_expand_volume(request, timeout=timeout), PATIENCE
        )

    async def total_bytes(self, volume_id: str) -> int:
        """The size of a mounted filesystem, as its statistics tell it."""
        request = v1.NodeGetVolumeStatsRequest(
            volume_id=volume_id, volume_path=str(self.target(volume_id))
        )
        answer = await persisted(
            lambda timeout: self._node.node_get_volume_stats(request, timeout=timeout), PATIENCE
        )
        return next(one.total for one in answer.usage if one.unit == v1.VolumeUsageUnit.BYTES)
