"""Requests that are messages, yet can't be meant so, and answers that must be complete."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from betterproto import Message

from diskcsi._proto.csi import v1
from diskcsi.controller import requests as controller
from diskcsi.edge import codec
from diskcsi.model.capabilities import AccessMode, BlockAccess, MountAccess
from diskcsi.model.errors import InvalidArgument, OutOfRange
from diskcsi.model.ids import SnapshotId, VolumeId
from diskcsi.model.sizes import GIB, Capacity
from diskcsi.model.volume import Snapshot
from diskcsi.node import requests as node

M = TypeVar("M", bound=Message)

_Mode = v1.VolumeCapabilityAccessModeMode
WRITER = v1.VolumeCapabilityAccessMode(mode=_Mode(_Mode.SINGLE_NODE_WRITER))
MOUNTED = v1.VolumeCapability(
    access_mode=WRITER, mount=v1.VolumeCapabilityMountVolume(fs_type="xfs", mount_flags=["ro"])
)
RAW = v1.VolumeCapability(access_mode=WRITER, block=v1.VolumeCapabilityBlockVolume())
PLACE = "/var/lib/kubelet/plugins/x"


def sent(message: M) -> M:
    """The message as it arrives, since only then fields are set or not."""
    return type(message)().parse(bytes(message))


def create(**fields: Any) -> v1.CreateVolumeRequest:  # noqa: ANN401 - any field
    return v1.CreateVolumeRequest(**{"name": "a", "volume_capabilities": [MOUNTED], **fields})


def create_for(capability: v1.VolumeCapability) -> v1.CreateVolumeRequest:
    return create(volume_capabilities=[capability])


def attach(**fields: Any) -> v1.ControllerPublishVolumeRequest:  # noqa: ANN401 - any field
    return v1.ControllerPublishVolumeRequest(
        **{"volume_id": "d-1", "node_id": "i-1", "volume_capability": MOUNTED, **fields}
    )


def stage(**fields: Any) -> v1.NodeStageVolumeRequest:  # noqa: ANN401 - any field
    given = {"volume_id": "d-1", "staging_target_path": PLACE, "volume_capability": MOUNTED}
    return v1.NodeStageVolumeRequest(**{**given, **fields})


def publish(**fields: Any) -> v1.NodePublishVolumeRequest:  # noqa: ANN401 - any field
    given = {"volume_id": "d-1", "target_path": PLACE, "volume_capability": MOUNTED}
    return v1.NodePublishVolumeRequest(**{**given, **fields})


def source(**fields: Any) -> v1.CreateVolumeRequest:  # noqa: ANN401 - any field
    return create(volume_content_source=v1.VolumeContentSource(**fields))


GROUP = v1.VolumeCapabilityMountVolume(volume_mount_group="7")
MANY_FLAGS = v1.VolumeCapabilityMountVolume(mount_flags=["x" * 100] * 41)
NO_NAME = v1.VolumeContentSourceSnapshotSource()
CLONE = v1.VolumeContentSourceVolumeSource(volume_id="d-0")
FAR = v1.TopologyRequirement(preferred=[v1.Topology(segments={"z": "x" * 5000})])

REFUSED: dict[str, tuple[Callable[[Any], object], Message, str]] = {
    "no name": (codec.create_volume, create(name=""), "name is required"),
    "control": (codec.create_volume, create(name="a\0b"), "name holds a control character"),
    "long name": (codec.create_volume, create(name="ü" * 65), "name has 130 bytes; allowed"),
    "no capabilities": (
        codec.create_volume, create(volume_capabilities=[]), "volume_capabilities is required",
    ),
    "no access mode": (
        codec.create_volume, create(volume_capabilities=[MOUNTED, v1.VolumeCapability()]),
        "volume_capabilities[1].access_mode is required",
    ),
    "unset access mode": (
        codec.create_volume, create_for(v1.VolumeCapability(access_mode=v1.VolumeCapabilityAccessMode())),
        "volume_capabilities[0].access_mode is required",
    ),
    "no access type": (
        codec.create_volume, create_for(v1.VolumeCapability(access_mode=WRITER)),
        "volume_capabilities[0] needs block or mount",
    ),
    "mount group": (
        codec.create_volume, create_for(v1.VolumeCapability(access_mode=WRITER, mount=GROUP)),
        "VOLUME_MOUNT_GROUP",
    ),
    "too many mount flags": (
        codec.create_volume, create_for(v1.VolumeCapability(access_mode=WRITER, mount=MANY_FLAGS)),
        "volume_capabilities[0].mount.mount_flags has 4100 bytes",
    ),
    "negative size": (
        codec.create_volume, create(capacity_range=v1.CapacityRange(required_bytes=-1)),
        "capacity_range.required_bytes is -1",
    ),
    "negative limit": (
        codec.create_volume, create(capacity_range=v1.CapacityRange(limit_bytes=-1)),
        "capacity_range.limit_bytes is -1",
    ),
    "large parameters": (
        codec.create_volume, create(parameters={"k": "x" * 4096}), "parameters has 4097 bytes",
    ),
    "large topology": (
        codec.create_volume, create(accessibility_requirements=FAR),
        "accessibility_requirements.preferred[0].segments has 5001 bytes",
    ),
    "source without a name": (
        codec.create_volume, source(snapshot=NO_NAME),
        "volume_content_source.snapshot.snapshot_id is required",
    ),
    "clone": (codec.create_volume, source(volume=CLONE), "doesn't clone volumes"),
    "delete nothing": (codec.volume_id, v1.DeleteVolumeRequest(), "volume_id is required"),
    "long volume id": (
        codec.volume_id, v1.DeleteVolumeRequest(volume_id="d" * 129), "volume_id has 129 bytes",
    ),
    "attach to nowhere": (codec.node_id, attach(node_id=""), "node_id is required"),
    "long node id": (codec.node_id, attach(node_id="i" * 257), "node_id has 257 bytes"),
    "attach for nothing": (
        codec.published_capability, attach(volume_capability=None),
        "volume_capability is required",
    ),
    "read-only attach": (
        codec.published_capability, attach(readonly=True), "readonly: this driver doesn't",
    ),
    "validate nothing": (
        codec.validate, v1.ValidateVolumeCapabilitiesRequest(volume_id="d-1"),
        "volume_capabilities is required",
    ),
    "grow to nothing": (
        codec.required_capacity, v1.ControllerExpandVolumeRequest(volume_id="d-1"),
        "capacity_range is required",
    ),
    "grow to an empty range": (
        codec.required_capacity, v1.ControllerExpandVolumeRequest(capacity_range=v1.CapacityRange()),
        "capacity_range is required",
    ),
    "snapshot without a name": (
        codec.create_snapshot, v1.CreateSnapshotRequest(source_volume_id="d-1"), "name is required",
    ),
    "snapshot of nothing": (
        codec.create_snapshot, v1.CreateSnapshotRequest(name="a"), "source_volume_id is required",
    ),
    "delete no snapshot": (
        codec.snapshot_id, v1.DeleteSnapshotRequest(), "snapshot_id is required",
    ),
    "negative page": (
        codec.list_snapshots, v1.ListSnapshotsRequest(max_entries=-1), "max_entries is -1",
    ),
    "stage nothing": (codec.stage, stage(volume_id=""), "volume_id is required"),
    "stage nowhere": (
        codec.stage, stage(staging_target_path=""), "staging_target_path is required",
    ),
    "relative path": (
        codec.stage, stage(staging_target_path="plugins"),
        "staging_target_path must be an absolute path",
    ),
    "path that climbs": (
        codec.stage, stage(staging_target_path="/var/../etc"),
        "staging_target_path must be an absolute path",
    ),
    "path with a zero byte": (
        codec.stage, stage(staging_target_path="/var\0"),
        "staging_target_path holds a control character",
    ),
    "longest path": (
        codec.stage, stage(staging_target_path="/" * 4097), "staging_target_path has 4097 bytes",
    ),
    "large publish context": (
        codec.stage, stage(publish_context={"k": "x" * 4096}), "publish_context has 4097 bytes",
    ),
    "stage for nothing": (
        codec.stage, stage(volume_capability=None), "volume_capability is required",
    ),
    "publish nowhere": (codec.publish, publish(target_path=""), "target_path is required"),
    "grow on a node at no path": (
        codec.expand_on_node, v1.NodeExpandVolumeRequest(volume_id="d-1"),
        "volume_path is required",
    ),
}  # fmt: skip
"""How it is decoded, the request, and the words that tell what is wrong with it."""


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_can_t_be_meant_so_is_refused_by_its_field(case: str) -> None:
    """Before anything is asked of the cloud or the machine."""
    decode, message, words = REFUSED[case]
    with pytest.raises(InvalidArgument) as refused:
        decode(sent(message))
    assert words in str(refused.value)


def test_a_limit_below_the_requirement_is_out_of_range() -> None:
    """The spec has a code of its own for it."""
    narrow = v1.CapacityRange(required_bytes=2, limit_bytes=1)
    with pytest.raises(OutOfRange):
        codec.create_volume(sent(create(capacity_range=narrow)))


@pytest.mark.parametrize(
    ("decode", "message"),
    [
        (codec.create_volume, create(name="a" * 128)),
        (codec.node_id, attach(node_id="i" * 256)),
        (codec.stage, stage(staging_target_path="/" + "p" * 4095)),
        (codec.create_volume, create(parameters={"k": "x" * 4095})),
        (codec.create_volume, create(secrets={"k": "x" * 9999})),
        (codec.published_capability, attach(volume_context={"k": "x" * 4095})),
    ],
    ids=["name", "node id", "path", "map", "secrets that nobody reads", "volume context"],
)
def test_what_is_as_long_as_allowed_is_taken(
    decode: Callable[[Any], object], message: Message
) -> None:
    """The limits are the spec's: what is at the limit is within."""
    decode(sent(message))


def test_nothing_set_is_nothing_wanted() -> None:
    """Sub-messages that were not sent leave no trace."""
    request = codec.create_volume(sent(create()))
    assert request == controller.CreateVolume(name="a", capabilities=request.capabilities)


def test_an_empty_sub_message_is_one() -> None:
    """Set, with nothing in it, is not the same as unset; Go's clients send it so."""
    empty_source = b"\x32\x00"
    request = v1.CreateVolumeRequest().parse(bytes(create()) + empty_source)
    with pytest.raises(InvalidArgument, match="volume_content_source needs snapshot or volume"):
        codec.create_volume(request)


def test_looking_leaves_a_message_as_it_was() -> None:
    """Betterproto makes a sub-message when somebody looks, and takes it for sent from then on."""
    message = sent(v1.NodeExpandVolumeRequest(volume_id="d-1", volume_path=PLACE))
    codec.expand_on_node(message)
    assert not message.is_set("volume_capability")


def test_an_empty_node_id_means_every_node() -> None:
    """As the spec has it for a detach."""
    assert codec.optional_node_id(v1.ControllerUnpublishVolumeRequest(volume_id="d-1")) is None


@pytest.mark.parametrize(
    ("given", "access"),
    [
        (MOUNTED, MountAccess(fs_type="xfs", mount_flags=("ro",))),
        (RAW, BlockAccess()),
        (
            v1.VolumeCapability(access_mode=WRITER, mount=v1.VolumeCapabilityMountVolume()),
            MountAccess(),
        ),
    ],
    ids=["mount", "block", "mount without a word"],
)
def test_the_way_of_use_arrives(
    given: v1.VolumeCapability, access: BlockAccess | MountAccess
) -> None:
    """A block volume and an empty mount are told apart, though both have no content."""
    assert codec.capability(sent(attach(volume_capability=given))).access == access


@pytest.mark.parametrize("mode", [mode for mode in _Mode if mode != _Mode.UNKNOWN])
def test_every_access_mode_of_the_contract_is_one_of_the_model(mode: int) -> None:
    """A mode that a later contract brings is seen here first."""
    given = v1.VolumeCapability(
        access_mode=v1.VolumeCapabilityAccessMode(mode=_Mode(mode)),
        block=v1.VolumeCapabilityBlockVolume(),
    )
    told = codec.capability(sent(attach(volume_capability=given))).mode
    assert told is AccessMode(_Mode(mode).name or "")


def test_a_volume_is_told_completely() -> None:
    """A repeat without its source or place would have the volume deleted or unbound."""
    volume = controller.Volume(
        id=VolumeId("d-1"), size_gib=20, segments={"zone": "a"}, context={"type": "cloud_ssd"},
        snapshot_id=SnapshotId("s-1"),
    )  # fmt: skip
    assert sent(codec.created_volume(volume)).to_dict() == {
        "volume": {
            "volumeId": "d-1",
            "capacityBytes": str(20 * GIB),
            "volumeContext": {"type": "cloud_ssd"},
            "contentSource": {"snapshot": {"snapshotId": "s-1"}},
            "accessibleTopology": [{"segments": {"zone": "a"}}],
        }
    }


def test_a_volume_from_nowhere_in_no_place_tells_neither() -> None:
    """An empty topology would mean: usable nowhere."""
    volume = controller.Volume(id=VolumeId("d-1"), size_gib=20, segments={}, context={})
    told = sent(codec.created_volume(volume)).volume
    assert (told.is_set("content_source"), told.accessible_topology) == (False, [])


def test_what_was_validated_is_echoed() -> None:
    """Confirmed is what was checked, and all of it."""
    message = v1.ValidateVolumeCapabilitiesRequest(
        volume_id="d-1", volume_capabilities=[MOUNTED, RAW], parameters={"type": "cloud_ssd"}
    )
    confirmed = sent(codec.validated(sent(message), "")).confirmed
    assert (confirmed.volume_capabilities, confirmed.parameters) == (
        [MOUNTED, RAW],
        {"type": "cloud_ssd"},
    )


def test_what_does_not_fit_is_not_confirmed() -> None:
    """The reason is told instead."""
    answer = sent(codec.validated(v1.ValidateVolumeCapabilitiesRequest(), "wrong zone"))
    assert (answer.is_set("confirmed"), answer.message) == (False, "wrong zone")


def test_a_snapshot_tells_when_it_was_made() -> None:
    """The sidecar takes the time from here."""
    made = Snapshot(
        id=SnapshotId("s-1"), name="a", source_volume_id=VolumeId("d-1"), size_gib=20, ready=True,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
    )  # fmt: skip
    assert sent(codec.snapshot(made)).creation_time == datetime(2026, 1, 2, tzinfo=UTC)


def test_a_filesystem_tells_bytes_and_inodes() -> None:
    """Both have a total, what is free and what is used."""
    told = node.Usage(
        total_bytes=100, available_bytes=60, used_bytes=30, inodes_total=10, inodes_free=4
    )
    rows = [(u.total, u.available, u.used) for u in sent(codec.usage(told)).usage]
    assert rows == [(100, 60, 30), (10, 4, 6)]


def test_a_raw_volume_tells_its_size_alone() -> None:
    """Nobody knows what is used of it."""
    rows = [
        (u.total, u.available, u.used) for u in sent(codec.usage(node.Usage(total_bytes=7))).usage
    ]
    assert rows == [(7, 0, 0)]


def test_a_size_arrives_in_bytes() -> None:
    """Both bounds."""
    bounds = v1.CapacityRange(required_bytes=20 * GIB, limit_bytes=30 * GIB)
    told = codec.create_volume(sent(create(capacity_range=bounds))).capacity
    assert told == Capacity(required_bytes=20 * GIB, limit_bytes=30 * GIB)
