"""Disks and snapshots as a cloud tells them, and what a caller asks for.

*Volume* is CSI's word for what is promised to a workload; *disk* is the cloud's object behind it.
They share one id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.parameters import DiskKind, SnapshotParameters, VolumeParameters


class DiskState(StrEnum):
    """What the cloud is doing with a disk. It may lag behind `Disk.attached_to`."""

    CREATING = "creating"
    AVAILABLE = "available"
    ATTACHING = "attaching"
    IN_USE = "in-use"
    DETACHING = "detaching"
    DELETING = "deleting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """One disk, as a read of the cloud gave it.

    Attributes:
        name: the CSI name it was made for; empty when it was made by another hand.
        zone: the zone it lives in; empty when it is not bound to one.
        attached_to: the nodes that surely hold it now; the truth about attachment.
        serial: what the device on the node says of itself; empty: it says nothing.
        source_snapshot_id: the snapshot it was restored from.
        attributes: the provider's facts that `VolumeParameters.mismatch` compares.
    """

    id: VolumeId
    size_gib: int
    state: DiskState
    name: str = ""
    zone: str = ""
    attached_to: frozenset[NodeId] = frozenset()
    serial: str = ""
    source_snapshot_id: SnapshotId | None = None
    multi_attach: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpec:
    """One disk to make: every choice is made, the provider only carries it out.

    Attributes:
        name: the CSI name: the key by which a repeat finds the disk again.
        attempt: 0 at first; raised when a read has proved that the name's earlier request
            made nothing and can't be repeated, so that a provider derives another token.
        labels: what the sidecars tell of the claim; put on the disk as tags.
    """

    name: str
    size_gib: int
    kind: DiskKind
    parameters: VolumeParameters
    zone: str = ""
    snapshot_id: SnapshotId | None = None
    attempt: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine that disks attach to, as the cloud tells it."""

    id: NodeId
    zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One snapshot, as a read of the cloud gave it.

    Attributes:
        created_at: when its content was fixed, with time zone; None until the cut is made.
        ready: whether a disk can be restored from it.
    """

    id: SnapshotId
    source_volume_id: VolumeId
    size_gib: int
    name: str = ""
    created_at: datetime | None = None
    ready: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSpec:
    """One snapshot to make of `source_volume_id` under the CSI name `name`.

    Attributes:
        attempt: as in `DiskSpec`.
    """

    name: str
    source_volume_id: VolumeId
    parameters: SnapshotParameters
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotPage:
    """Part of a listing; `next_token` is empty on the last page."""

    snapshots: tuple[Snapshot, ...]
    next_token: str = ""
