"""What the edge asks of the node, and what it gets back: CSI's words without gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from diskcsi.model.capabilities import VolumeCapability
from diskcsi.model.ids import NodeId, VolumeId
from diskcsi.model.sizes import Capacity
from diskcsi.model.topology import Segments


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A volume to make ready at its staging path, once for all workloads of this node."""

    volume_id: VolumeId
    staging_path: str
    capability: VolumeCapability
    publish_context: Mapping[str, str] = field(default_factory=dict)
    volume_context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """A staged volume to show at the path of one workload."""

    volume_id: VolumeId
    staging_path: str
    target_path: str
    capability: VolumeCapability
    read_only: bool = False
    publish_context: Mapping[str, str] = field(default_factory=dict)
    volume_context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expand:
    """A volume whose filesystem should fill its device.

    Attributes:
        staging_path: empty where the caller tells none.
        capability: None where the caller tells none.
    """

    volume_id: VolumeId
    volume_path: str
    staging_path: str = ""
    capacity: Capacity = field(default_factory=Capacity)
    capability: VolumeCapability | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How full a volume is; a raw block volume tells its size alone.

    Attributes:
        inodes_total: None where the filesystem makes inodes as it needs them.
    """

    total_bytes: int
    available_bytes: int | None = None
    used_bytes: int | None = None
    inodes_total: int | None = None
    inodes_free: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """Who and where this node is.

    Attributes:
        max_volumes: how many volumes it takes; 0: unknown.
    """

    node_id: NodeId
    segments: Segments
    max_volumes: int = 0
