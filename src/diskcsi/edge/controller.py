"""The Controller service: every method decodes, calls a rule, encodes (CSI spec, Controller)."""

from __future__ import annotations

from dataclasses import dataclass

from diskcsi._proto.csi import v1
from diskcsi.controller.attach import Attacher
from diskcsi.controller.create import VolumeCreator
from diskcsi.controller.delete import VolumeDeleter
from diskcsi.controller.expand import VolumeExpander
from diskcsi.controller.snapshots import Snapshotter
from diskcsi.controller.validate import VolumeValidator
from diskcsi.edge import codec
from diskcsi.model.capabilities import Capability

_Rpc = v1.ControllerServiceCapabilityRpcType

ALWAYS = (
    _Rpc.CREATE_DELETE_VOLUME,
    _Rpc.PUBLISH_UNPUBLISH_VOLUME,
    _Rpc.SINGLE_NODE_MULTI_WRITER,
)
BY_CAPABILITY = {
    Capability.SNAPSHOTS: (_Rpc.CREATE_DELETE_SNAPSHOT, _Rpc.LIST_SNAPSHOTS),
    Capability.EXPAND: (_Rpc.EXPAND_VOLUME,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerRules:
    """The rules behind the service."""

    creator: VolumeCreator
    deleter: VolumeDeleter
    attacher: Attacher
    expander: VolumeExpander
    validator: VolumeValidator
    snapshotter: Snapshotter
    capabilities: frozenset[Capability]


class ControllerService(v1.ControllerBase):
    """Volumes, attachments and snapshots for a cluster."""

    def __init__(self, *, rules: ControllerRules) -> None:
        self._rules = rules

    async def create_volume(
        self, create_volume_request: v1.CreateVolumeRequest
    ) -> v1.CreateVolumeResponse:
        """Make a volume, or find the one of this name."""
        request = codec.create_volume(create_volume_request)
        return codec.created_volume(await self._rules.creator.create(request))

    async def delete_volume(
        self, delete_volume_request: v1.DeleteVolumeRequest
    ) -> v1.DeleteVolumeResponse:
        """Delete a volume."""
        await self._rules.deleter.delete(codec.volume_id(delete_volume_request))
        return v1.DeleteVolumeResponse()

    async def controller_publish_volume(
        self, controller_publish_volume_request: v1.ControllerPublishVolumeRequest
    ) -> v1.ControllerPublishVolumeResponse:
        """Attach a volume to a node."""
        message = controller_publish_volume_request
        context = await self._rules.attacher.attach(
            codec.volume_id(message), codec.node_id(message), codec.published_capability(message)
        )
        return v1.ControllerPublishVolumeResponse(publish_context=dict(context))

    async def controller_unpublish_volume(
        self, controller_unpublish_volume_request: v1.ControllerUnpublishVolumeRequest
    ) -> v1.ControllerUnpublishVolumeResponse:
        """Detach a volume from a node."""
        message = controller_unpublish_volume_request
        await self._rules.attacher.detach(codec.volume_id(message), codec.optional_node_id(message))
        return v1.ControllerUnpublishVolumeResponse()

    async def validate_volume_capabilities(
        self, validate_volume_capabilities_request: v1.ValidateVolumeCapabilitiesRequest
    ) -> v1.ValidateVolumeCapabilitiesResponse:
        """Tell whether a volume can be used so."""
        message = validate_volume_capabilities_request
        return codec.validated(
            message, await self._rules.validator.why_not(codec.validate(message))
        )

    async def controller_expand_volume(
        self, controller_expand_volume_request: v1.ControllerExpandVolumeRequest
    ) -> v1.ControllerExpandVolumeResponse:
        """Grow a volume."""
        message = controller_expand_volume_request
        result = await self._rules.expander.expand(
            codec.volume_id(message),
            codec.required_capacity(message),
            codec.optional_capability(message),
        )
        return codec.expanded(result)

    async def create_snapshot(
        self, create_snapshot_request: v1.CreateSnapshotRequest
    ) -> v1.CreateSnapshotResponse:
        """Snapshot a volume, or find the snapshot of this name."""
        request = codec.create_snapshot(create_snapshot_request)
        made = await self._rules.snapshotter.create(request)
        return v1.CreateSnapshotResponse(snapshot=codec.snapshot(made))

    async def delete_snapshot(
        self, delete_snapshot_request: v1.DeleteSnapshotRequest
    ) -> v1.DeleteSnapshotResponse:
        """Delete a snapshot."""
        await self._rules.snapshotter.delete(codec.snapshot_id(delete_snapshot_request))
        return v1.DeleteSnapshotResponse()

    async def list_snapshots(
        self, list_snapshots_request: v1.ListSnapshotsRequest
    ) -> v1.ListSnapshotsResponse:
        """A page of snapshots."""
        page = await self._rules.snapshotter.list(codec.list_snapshots(list_snapshots_request))
        return v1.ListSnapshotsResponse(
            entries=[
                v1.ListSnapshotsResponseEntry(snapshot=codec.snapshot(one))
                for one in page.snapshots
            ],
            next_token=page.next_token,
        )

    async def controller_get_capabilities(
        self,
        controller_get_capabilities_request: v1.ControllerGetCapabilitiesRequest,  # noqa: ARG002
    ) -> v1.ControllerGetCapabilitiesResponse:
        """What is served here."""
        served = list(ALWAYS)
        for capability, rpcs in BY_CAPABILITY.items():
            served += rpcs if capability in self._rules.capabilities else ()
        return v1.ControllerGetCapabilitiesResponse(
            capabilities=[
                v1.ControllerServiceCapability(
                    rpc=v1.ControllerServiceCapabilityRpc(type=_Rpc(kind))
                )
                for kind in served
            ]
        )
