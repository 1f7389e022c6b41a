"""A cloud, as the rules see it: primitive calls that tell the truth, and nothing clever.

The promises that every provider keeps, and that the contract suite checks:

- A call does one thing. It doesn't wait until an asynchronous operation is over, doesn't make a
  repeat look like a success, and doesn't undo anything: the rules do that, once for all clouds.
- A call that changes something and whose effect is not known raises `UnknownOutcome`. A call that
  raises anything else than `UnknownOutcome`, `Pending` or `TimeoutError` changed nothing.
- Cancelling a call never corrupts the provider; a changing call that was cancelled may have
  had its effect.
- One malformed or unknown id never fails its neighbours in a read: it is absent from the answer.
  One that exists, and that the cloud tells no sense of, is not absent: the read raises
  `Unreachable` with its `ids`, and is asked again without them.
- Reads begin after they are asked for: no answer from a cache.
- Errors are those of `diskcsi.model.errors`. Beside the ones a method names, each may raise
  `Denied`, `Throttled`, `Unreachable`, and, when it changes something, `UnknownOutcome`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from diskcsi.model.capabilities import Capability
from diskcsi.model.errors import Unsupported
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.volume import Disk, DiskSpec, Node, Snapshot, SnapshotPage, SnapshotSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudCall:
    """One call that went out to a cloud, told when its answer is known or given up.

    Attributes:
        action: the cloud's name for it, such as `AttachDisk`.
        mutating: whether it changes something.
        code: the cloud's error code; `OK` when it had none; a word such as `timeout` without one.
        request_id: the cloud's id of the call; empty without an answer.
    """

    action: str
    mutating: bool
    code: str
    request_id: str
    duration_s: float


CallObserver = Callable[[CloudCall], None]
"""Told of every call to the cloud; never raises."""


class Disks(Protocol):
    """Disks: find, read, make, delete, grow."""

    async def find_disks(self, name: str) -> Sequence[Disk]:
        """Every disk that carries the CSI name `name`; empty when the cloud shows none.

        A disk that was made moments ago may not show up yet on a cloud that doesn't promise to
        read its own writes.
        """

    async def get_disks(self, volume_ids: Collection[VolumeId]) -> Mapping[VolumeId, Disk]:
        """The disks that exist, by id, in one call per `read_batch` ids."""

    async def create_disk(self, spec: DiskSpec) -> VolumeId:
        """Begin to make a disk; it may still be `CREATING` on return.

        Safe to repeat with an equal `spec`: a cloud with idempotency tokens answers the same id.

        Raises:
            InvalidArgument: the cloud refuses a parameter.
            OutOfRange: the cloud refuses the size.
            NotFound: the snapshot is absent.
            AlreadyExists: the name's token was spent by a request with other arguments, or a
                disk has the name: the rules read what is there.
            Exhausted: no stock, no quota, or the kind is not sold in this zone.
            Pending: the same request is still running.
        """

    async def delete_disk(self, volume_id: VolumeId) -> None:
        """Delete the disk.

        Raises:
            NotFound: it is absent.
            InUse: it is attached.
            Pending: the cloud is still busy with it, such as initializing it.
        """

    async def resize_disk(self, volume_id: VolumeId, size_gib: int) -> None:
        """Begin to grow the disk to `size_gib`; a read tells when it is done.

        Raises:
            NotFound: it is absent.
            OutOfRange: the cloud refuses the size.
            WrongState: its state forbids it.
            Pending: another change is running.
        """


class Attachments(Protocol):
    """Attach and detach, and the nodes they speak of."""

    async def attach_disk(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """Begin to attach; `Disk.attached_to` tells when it is done.

        Raises:
            NotFound: the disk or the node is absent.
            InUse: the disk is, or is becoming, attached; `by` names the node if the cloud does.
            Exhausted: the node takes no more disks.
            WrongState: the state of disk or node forbids it, or they are in different zones.
            NodeBusy: the node is busy with another disk, perhaps with a detach.
            Pending: the cloud is busy with the disk, or with the node in another way.
        """

    async def detach_disk(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """Begin to detach; `Disk.attached_to` tells when it is done.

        Raises:
            NotFound: the disk or the node is absent.
            WrongState: the disk is not attached to this node.
            NodeBusy: the node is busy with another disk, perhaps with a detach.
            Pending: the cloud is busy with the disk, or with the node in another way.
        """

    async def get_node(self, node_id: NodeId) -> Node | None:
        """The machine of this id, None when it is surely absent or the id is malformed."""


class Snapshots(Protocol):
    """Snapshots: find, read, make, delete, list. Asked only with `Capability.SNAPSHOTS`."""

    async def find_snapshots(self, name: str) -> Sequence[Snapshot]:
        """Every snapshot that carries the CSI name `name`."""

    async def get_snapshots(
        self, snapshot_ids: Collection[SnapshotId]
    ) -> Mapping[SnapshotId, Snapshot]:
        """The snapshots that exist, by id."""

    async def create_snapshot(self, spec: SnapshotSpec) -> SnapshotId:
        """Begin to snapshot a disk; safe to repeat with an equal `spec`.

        Raises:
            NotFound: the disk is absent.
            AlreadyExists: the name's token was spent by a request with other arguments.
            WrongState: the disk's state forbids it, such as one that was never attached.
            Exhausted: the quota of snapshots is used up.
            Pending: the cloud is still busy with this request or with the disk.
        """

    async def delete_snapshot(self, snapshot_id: SnapshotId) -> None:
        """Delete the snapshot.

        Raises:
            NotFound: it is absent.
            WrongState: something depends on it.
            Pending: the cloud is still busy with it.
        """

    async def list_snapshots(
        self, *, source_volume_id: VolumeId | None, limit: int, token: str
    ) -> SnapshotPage:
        """A page of at most `limit` (>= 1) snapshots, from `token` on; an empty token begins.

        Raises:
            InvalidToken: the token is not one of ours or has expired.
        """


class CloudProvider(Disks, Attachments, Snapshots, Protocol):
    """One account in one region of a cloud.

    Attributes:
        capabilities: what it can do beyond disks and attachments.
        read_batch: how many ids one `get_disks` call to the cloud carries.
    """

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do beyond disks and attachments; doesn't change."""

    @property
    def read_batch(self) -> int:
        """How many ids one call of `get_disks` to the cloud carries; doesn't change."""

    async def check(self) -> None:
        """Prove that the endpoint answers and accepts the credentials, by one cheap read."""


class NoSnapshots:
    """The snapshot calls of a cloud that has none; inherit it instead of writing them."""

    async def find_snapshots(self, name: str) -> Sequence[Snapshot]:
        """None has this name."""
        del name
        return []

    async def get_snapshots(
        self, snapshot_ids: Collection[SnapshotId]
    ) -> Mapping[SnapshotId, Snapshot]:
        """None exists."""
        del snapshot_ids
        return {}

    async def create_snapshot(self, spec: SnapshotSpec) -> SnapshotId:
        """Not served.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(f"snapshot {spec.name}: this cloud has no snapshots")

    async def delete_snapshot(self, snapshot_id: SnapshotId) -> None:
        """Not served.

        Raises:
            Unsupported: always.
        """
        raise Unsupported(f"snapshot {snapshot_id}: this cloud has no snapshots")

    async def list_snapshots(
        self, *, source_volume_id: VolumeId | None, limit: int, token: str
    ) -> SnapshotPage:
        """None exists."""
        del source_volume_id, limit, token
        return SnapshotPage(snapshots=())
