"""What the edge asks of the controller, and what it gets back: CSI's words without gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from diskcsi.model.capabilities import VolumeCapability
from diskcsi.model.ids import SnapshotId, VolumeId
from diskcsi.model.sizes import Capacity
from diskcsi.model.topology import Requirement, Segments


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume:
    """A volume to make, or to find again by its name.

    Attributes:
        parameters: of the StorageClass; `mutable_parameters` win over them.
    """

    name: str
    capabilities: tuple[VolumeCapability, ...]
    capacity: Capacity = field(default_factory=Capacity)
    parameters: Mapping[str, str] = field(default_factory=dict)
    mutable_parameters: Mapping[str, str] = field(default_factory=dict)
    requirement: Requirement = field(default_factory=Requirement)
    snapshot_id: SnapshotId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume that exists; the answer to a repeat is as complete as the first one.

    Attributes:
        segments: the place it can be used from; empty: anywhere.
    """

    id: VolumeId
    size_gib: int
    segments: Segments
    context: Mapping[str, str]
    snapshot_id: SnapshotId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Validate:
    """The ways in which somebody wants to use an existing volume."""

    volume_id: VolumeId
    capabilities: tuple[VolumeCapability, ...]
    context: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    mutable_parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """The size a volume has now, and whether its node must grow a filesystem."""

    size_gib: int
    node_must_grow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSnapshot:
    """A snapshot to make, or to find again by its name."""

    name: str
    source_volume_id: VolumeId
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSnapshots:
    """A part of the snapshots; `limit` 0 leaves the page's size to us."""

    snapshot_id: SnapshotId | None = None
    source_volume_id: VolumeId | None = None
    limit: int = 0
    token: str = ""
