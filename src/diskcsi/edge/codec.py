"""Messages to the model and back; what is missing or too long is refused here, by the field's name.

A decoded message answers a default one for a sub-message that it lacks, and looking at it makes it
appear set. So presence is asked first, by `_sub` and `which_one_of`, and only here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from betterproto import Message, which_one_of

from diskcsi._proto.csi import v1
from diskcsi.controller import requests as controller
from diskcsi.model.capabilities import AccessMode, BlockAccess, MountAccess, VolumeCapability
from diskcsi.model.errors import InvalidArgument
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.sizes import GIB, Capacity
from diskcsi.model.topology import Requirement, Segments
from diskcsi.model.volume import Snapshot
from diskcsi.node import requests as node

MAX_TEXT_BYTES: Final = 128
"""Of a text without a limit of its own (CSI spec, Size Limits)."""

MAX_NODE_ID_BYTES: Final = 256
"""Of a node's id (CSI spec, NodeGetInfoResponse)."""

MAX_TEXTS_BYTES: Final = 4096
"""Of a map's keys and values, or of all mount flags, together (CSI spec, Size Limits)."""

CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""What the spec bans from a volume's name; no id or path of a cluster holds any of it either."""

MAX_PATH_BYTES: Final = 4096
"""Of a path: the kernel's own limit; the spec wants more than 128 accepted."""


def text(value: str, field: str, *, limit: int = MAX_TEXT_BYTES, required: bool = True) -> str:
    """`value`, refused when it is empty, too long, or has control characters (CSI spec, Size Limits)."""
    if required and not value:
        raise InvalidArgument(f"{field} is required")
    size = len(value.encode())
    if size > limit:
        raise InvalidArgument(f"{field} has {size} bytes; allowed are {limit}")
    if CONTROL.search(value):
        raise InvalidArgument(f"{field} holds a control character: none but tab and newline may be")
    return value


def volume_id(message: Any) -> VolumeId:  # noqa: ANN401 - any message with this field
    """The volume that a request names."""
    return VolumeId(text(message.volume_id, "volume_id"))


def snapshot_id(message: v1.DeleteSnapshotRequest) -> SnapshotId:
    """The snapshot that a request names."""
    return SnapshotId(text(message.snapshot_id, "snapshot_id"))


def node_id(message: v1.ControllerPublishVolumeRequest) -> NodeId:
    """The node that an attach names."""
    return NodeId(text(message.node_id, "node_id", limit=MAX_NODE_ID_BYTES))


def optional_node_id(message: v1.ControllerUnpublishVolumeRequest) -> NodeId | None:
    """The node that a detach names; None: every node."""
    value = text(message.node_id, "node_id", limit=MAX_NODE_ID_BYTES, required=False)
    return NodeId(value) if value else None


def path(value: str, field: str, *, required: bool = True) -> str:
    """An absolute path without `..` parts."""
    text(value, field, limit=MAX_PATH_BYTES, required=required)
    if value and (not value.startswith("/") or ".." in value.split("/") or "\0" in value):
        raise InvalidArgument(f"{field} must be an absolute path without '..' parts")
    return value


def mounted_path(value: str, field: str) -> str:
    """A path that is only compared with the mount table: an odd one is simply not in it."""
    return text(value, field, limit=MAX_PATH_BYTES)


def create_volume(message: v1.CreateVolumeRequest) -> controller.CreateVolume:
    """CreateVolume's request."""
    return controller.CreateVolume(
        name=text(message.name, "name"),
        capabilities=capabilities(message.volume_capabilities),
        capacity=capacity(message),
        parameters=_map(message.parameters, "parameters"),
        mutable_parameters=_map(message.mutable_parameters, "mutable_parameters"),
        requirement=_requirement(message),
        snapshot_id=_source(message),
    )


def created_volume(volume: controller.Volume) -> v1.CreateVolumeResponse:
    """CreateVolume's answer."""
    told = v1.Volume(
        volume_id=volume.id,
        capacity_bytes=volume.size_gib * GIB,
        volume_context=dict(volume.context),
    )
    if volume.segments:
        told.accessible_topology = [v1.Topology(segments=dict(volume.segments))]
    if volume.snapshot_id is not None:
        source = v1.VolumeContentSourceSnapshotSource(snapshot_id=volume.snapshot_id)
        told.content_source = v1.VolumeContentSource(snapshot=source)
    return v1.CreateVolumeResponse(volume=told)


def published_capability(message: v1.ControllerPublishVolumeRequest) -> VolumeCapability:
    """The way of use that an attach is for."""
    if message.readonly:
        raise InvalidArgument("readonly: this driver doesn't advertise PUBLISH_READONLY")
    _map(message.volume_context, "volume_context")
    return capability(message)


def validate(message: v1.ValidateVolumeCapabilitiesRequest) -> controller.Validate:
    """ValidateVolumeCapabilities' request."""
    return controller.Validate(
        volume_id=volume_id(message),
        capabilities=capabilities(message.volume_capabilities),
        context=_map(message.volume_context, "volume_context"),
        parameters=_map(message.parameters, "parameters"),
        mutable_parameters=_map(message.mutable_parameters, "mutable_parameters"),
    )


def validated(
    message: v1.ValidateVolumeCapabilitiesRequest, why_not: str
) -> v1.ValidateVolumeCapabilitiesResponse:
    """What was checked, echoed; or the reason why it doesn't fit."""
    if why_not:
        return v1.ValidateVolumeCapabilitiesResponse(message=why_not)
    return v1.ValidateVolumeCapabilitiesResponse(
        confirmed=v1.ValidateVolumeCapabilitiesResponseConfirmed(
            volume_context=message.volume_context,
            volume_capabilities=message.volume_capabilities,
            parameters=message.parameters,
            mutable_parameters=message.mutable_parameters,
        )
    )


def required_capacity(message: v1.ControllerExpandVolumeRequest) -> Capacity:
    """The size to grow to."""
    wanted = capacity(message)
    if not wanted.required_bytes and not wanted.limit_bytes:
        raise InvalidArgument("capacity_range is required")
    return wanted


def expanded(result: controller.Expanded) -> v1.ControllerExpandVolumeResponse:
    """ControllerExpandVolume's answer."""
    return v1.ControllerExpandVolumeResponse(
        capacity_bytes=result.size_gib * GIB, node_expansion_required=result.node_must_grow
    )


def create_snapshot(message: v1.CreateSnapshotRequest) -> controller.CreateSnapshot:
    """CreateSnapshot's request."""
    return controller.CreateSnapshot(
        name=text(message.name, "name"),
        source_volume_id=VolumeId(text(message.source_volume_id, "source_volume_id")),
        parameters=_map(message.parameters, "parameters"),
    )


def snapshot(snapshot: Snapshot) -> v1.Snapshot:
    """A snapshot as CSI tells it."""
    told = v1.Snapshot(
        snapshot_id=snapshot.id,
        source_volume_id=snapshot.source_volume_id,
        size_bytes=snapshot.size_gib * GIB,
        ready_to_use=snapshot.ready,
    )
    if snapshot.created_at is not None:
        told.creation_time = snapshot.created_at
    return told


def list_snapshots(message: v1.ListSnapshotsRequest) -> controller.ListSnapshots:
    """ListSnapshots' request."""
    if message.max_entries < 0:
        raise InvalidArgument(f"max_entries is {message.max_entries}: it can't be negative")
    one = text(message.snapshot_id, "snapshot_id", required=False)
    source = text(message.source_volume_id, "source_volume_id", required=False)
    return controller.ListSnapshots(
        snapshot_id=SnapshotId(one) if one else None,
        source_volume_id=VolumeId(source) if source else None,
        limit=message.max_entries,
        token=message.starting_token,
    )


def stage(message: v1.NodeStageVolumeRequest) -> node.Stage:
    """NodeStageVolume's request."""
    return node.Stage(
        volume_id=volume_id(message),
        staging_path=path(message.staging_target_path, "staging_target_path"),
        capability=capability(message),
        publish_context=_map(message.publish_context, "publish_context"),
        volume_context=_map(message.volume_context, "volume_context"),
    )


def publish(message: v1.NodePublishVolumeRequest) -> node.Publish:
    """NodePublishVolume's request; whether a missing staging path matters is the node's rule."""
    return node.Publish(
        volume_id=volume_id(message),
        staging_path=path(message.staging_target_path, "staging_target_path", required=False),
        target_path=path(message.target_path, "target_path"),
        capability=capability(message),
        read_only=message.readonly,
        publish_context=_map(message.publish_context, "publish_context"),
        volume_context=_map(message.volume_context, "volume_context"),
    )


def expand_on_node(message: v1.NodeExpandVolumeRequest) -> node.Expand:
    """NodeExpandVolume's request."""
    return node.Expand(
        volume_id=volume_id(message),
        volume_path=mounted_path(message.volume_path, "volume_path"),
        staging_path=path(message.staging_target_path, "staging_target_path", required=False),
        capacity=capacity(message),
        capability=optional_capability(message),
    )


def usage(told: node.Usage) -> v1.NodeGetVolumeStatsResponse:
    """NodeGetVolumeStats' answer."""
    in_bytes = v1.VolumeUsage(
        unit=v1.VolumeUsageUnit(v1.VolumeUsageUnit.BYTES),
        total=told.total_bytes,
        available=told.available_bytes or 0,
        used=told.used_bytes or 0,
    )
    if told.inodes_total is None:
        return v1.NodeGetVolumeStatsResponse(usage=[in_bytes])
    free = told.inodes_free or 0
    in_inodes = v1.VolumeUsage(
        unit=v1.VolumeUsageUnit(v1.VolumeUsageUnit.INODES),
        total=told.inodes_total,
        available=free,
        used=told.inodes_total - free,
    )
    return v1.NodeGetVolumeStatsResponse(usage=[in_bytes, in_inodes])


def node_info(info: node.Info) -> v1.NodeGetInfoResponse:
    """NodeGetInfo's answer."""
    told = v1.NodeGetInfoResponse(node_id=info.node_id, max_volumes_per_node=info.max_volumes)
    if info.segments:
        told.accessible_topology = v1.Topology(segments=dict(info.segments))
    return told


def capacity(message: Message) -> Capacity:
    """The `capacity_range` of a request; unset bounds are 0."""
    given = _sub(message, "capacity_range")
    if given is None:
        return Capacity()
    return Capacity(required_bytes=given.required_bytes, limit_bytes=given.limit_bytes)


def capability(message: Message) -> VolumeCapability:
    """The `volume_capability` of a request."""
    found = optional_capability(message)
    if found is None:
        raise InvalidArgument("volume_capability is required")
    return found


def optional_capability(message: Message) -> VolumeCapability | None:
    """The `volume_capability` of a request, None when it has none."""
    given = _sub(message, "volume_capability")
    return None if given is None else _capability(given, "volume_capability")


def capabilities(given: Sequence[v1.VolumeCapability]) -> tuple[VolumeCapability, ...]:
    """A list of ways of use, at least one."""
    if not given:
        raise InvalidArgument("volume_capabilities is required")
    return tuple(
        _capability(one, f"volume_capabilities[{place}]") for place, one in enumerate(given)
    )


def _capability(given: v1.VolumeCapability, field: str) -> VolumeCapability:
    mode = _sub(given, "access_mode")
    if mode is None or mode.mode == v1.VolumeCapabilityAccessModeMode.UNKNOWN:
        raise InvalidArgument(f"{field}.access_mode is required")
    word = v1.VolumeCapabilityAccessModeMode(mode.mode).name or ""
    kind, access = _one_of(given, "access_type")
    if kind == "block":
        return VolumeCapability(mode=AccessMode(word), access=BlockAccess())
    if kind != "mount":
        raise InvalidArgument(f"{field} needs block or mount")
    if access.volume_mount_group:
        raise InvalidArgument(
            f"{field}.mount.volume_mount_group: this driver doesn't advertise VOLUME_MOUNT_GROUP"
        )
    return VolumeCapability(
        mode=AccessMode(word),
        access=MountAccess(
            fs_type=text(access.fs_type, f"{field}.mount.fs_type", required=False),
            mount_flags=_flags(access.mount_flags, f"{field}.mount.mount_flags"),
        ),
    )


def _requirement(message: v1.CreateVolumeRequest) -> Requirement:
    given = _sub(message, "accessibility_requirements")
    if given is None:
        return Requirement()
    return Requirement(
        requisite=_places(given.requisite, "accessibility_requirements.requisite"),
        preferred=_places(given.preferred, "accessibility_requirements.preferred"),
    )


def _places(given: Sequence[v1.Topology], field: str) -> tuple[Segments, ...]:
    return tuple(
        _map(place.segments, f"{field}[{number}].segments") for number, place in enumerate(given)
    )


def _source(message: v1.CreateVolumeRequest) -> SnapshotId | None:
    given = _sub(message, "volume_content_source")
    if given is None:
        return None
    kind, source = _one_of(given, "type")
    if kind == "snapshot":
        return SnapshotId(text(source.snapshot_id, "volume_content_source.snapshot.snapshot_id"))
    if kind == "volume":
        raise InvalidArgument("volume_content_source.volume: this driver doesn't clone volumes")
    raise InvalidArgument("volume_content_source needs snapshot or volume")


def _map(given: Mapping[str, str], field: str) -> dict[str, str]:
    _refuse_large([*given.keys(), *given.values()], field)
    return dict(given)


def _flags(given: Sequence[str], field: str) -> tuple[str, ...]:
    _refuse_large(given, field)
    return tuple(given)


def _refuse_large(texts: Sequence[str], field: str) -> None:
    size = sum(len(text.encode()) for text in texts)
    if size > MAX_TEXTS_BYTES:
        raise InvalidArgument(f"{field} has {size} bytes; allowed are {MAX_TEXTS_BYTES}")


def _sub(message: Message, name: str) -> Any:  # noqa: ANN401 - the field's own message class
    """A sub-message, None when the sender set none; looking must not make it appear set."""
    return getattr(message, name) if message.is_set(name) else None


def _one_of(message: Message, group: str) -> tuple[str, Any]:
    """Which field of a oneof is set, and it; an empty name when none is."""
    return which_one_of(message, group)
