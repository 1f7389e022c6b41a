"""The Node service: every method decodes, calls a rule, encodes (CSI spec, Node Service RPC)."""

from __future__ import annotations

from dataclasses import dataclass

from diskcsi._proto.csi import v1
from diskcsi.edge import codec
from diskcsi.node.expand import NodeExpander
from diskcsi.node.info import NodeInformer
from diskcsi.node.publish import Publisher
from diskcsi.node.stage import Stager
from diskcsi.node.stats import StatsReader

_Rpc = v1.NodeServiceCapabilityRpcType

SERVED = (
    _Rpc.STAGE_UNSTAGE_VOLUME,
    _Rpc.GET_VOLUME_STATS,
    _Rpc.EXPAND_VOLUME,
    _Rpc.SINGLE_NODE_MULTI_WRITER,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRules:
    """The rules behind the service."""

    stager: Stager
    publisher: Publisher
    expander: NodeExpander
    stats: StatsReader
    informer: NodeInformer


class NodeService(v1.NodeBase):
    """Devices and mounts of one machine."""

    def __init__(self, *, rules: NodeRules) -> None:
        self._rules = rules

    async def node_stage_volume(
        self, node_stage_volume_request: v1.NodeStageVolumeRequest
    ) -> v1.NodeStageVolumeResponse:
        """Find, check, format if proved blank, and mount."""
        await self._rules.stager.stage(codec.stage(node_stage_volume_request))
        return v1.NodeStageVolumeResponse()

    async def node_unstage_volume(
        self, node_unstage_volume_request: v1.NodeUnstageVolumeRequest
    ) -> v1.NodeUnstageVolumeResponse:
        """Undo the staging."""
        message = node_unstage_volume_request
        staging = codec.path(message.staging_target_path, "staging_target_path")
        await self._rules.stager.unstage(codec.volume_id(message), staging)
        return v1.NodeUnstageVolumeResponse()

    async def node_publish_volume(
        self, node_publish_volume_request: v1.NodePublishVolumeRequest
    ) -> v1.NodePublishVolumeResponse:
        """Show a staged volume to one workload."""
        await self._rules.publisher.publish(codec.publish(node_publish_volume_request))
        return v1.NodePublishVolumeResponse()

    async def node_unpublish_volume(
        self, node_unpublish_volume_request: v1.NodeUnpublishVolumeRequest
    ) -> v1.NodeUnpublishVolumeResponse:
        """Take it away from the workload."""
        message = node_unpublish_volume_request
        target = codec.path(message.target_path, "target_path")
        await self._rules.publisher.unpublish(codec.volume_id(message), target)
        return v1.NodeUnpublishVolumeResponse()

    async def node_expand_volume(
        self, node_expand_volume_request: v1.NodeExpandVolumeRequest
    ) -> v1.NodeExpandVolumeResponse:
        """Let the filesystem fill its device."""
        size = await self._rules.expander.expand(codec.expand_on_node(node_expand_volume_request))
        return v1.NodeExpandVolumeResponse(capacity_bytes=size)

    async def node_get_volume_stats(
        self, node_get_volume_stats_request: v1.NodeGetVolumeStatsRequest
    ) -> v1.NodeGetVolumeStatsResponse:
        """How full a volume is."""
        message = node_get_volume_stats_request
        where = codec.mounted_path(message.volume_path, "volume_path")
        return codec.usage(await self._rules.stats.usage(codec.volume_id(message), where))

    async def node_get_capabilities(
        self,
        node_get_capabilities_request: v1.NodeGetCapabilitiesRequest,  # noqa: ARG002 - empty
    ) -> v1.NodeGetCapabilitiesResponse:
        """What is served here."""
        return v1.NodeGetCapabilitiesResponse(
            capabilities=[
                v1.NodeServiceCapability(rpc=v1.NodeServiceCapabilityRpc(type=_Rpc(kind)))
                for kind in SERVED
            ]
        )

    async def node_get_info(
        self,
        node_get_info_request: v1.NodeGetInfoRequest,  # noqa: ARG002 - it is empty
    ) -> v1.NodeGetInfoResponse:
        """Who and where this node is."""
        return codec.node_info(await self._rules.informer.info())
