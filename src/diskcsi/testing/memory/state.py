"""What there is in the cloud in memory, how it moves, and what it refuses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from diskcsi.model.errors import (
    AlreadyExists,
    Exhausted,
    InUse,
    InvalidArgument,
    InvalidToken,
    NodeBusy,
    NotFound,
    OutOfRange,
    Pending,
    WrongState,
)
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.volume import (
    Disk,
    DiskSpec,
    DiskState,
    Node,
    Snapshot,
    SnapshotPage,
    SnapshotSpec,
)
from diskcsi.testing.memory.timeline import Latency, Timeline

EPOCH: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""When the loop's clock began, for times that people read."""


@dataclass(slots=True, kw_only=True)
class State:
    """The cloud's truth.

    Attributes:
        disks, snapshots: what there is; call `pass_time` before looking.
        node_limit: disks that one machine takes.
        node_slots: attaches and detaches that one machine takes at once.
        sold_out: pairs of a zone and a kind's label without stock.
        disk_quota, snapshot_quota: how many there may be; None: any number.
        orders: what disks were made from, in order.
        failing: names whose disks fail while they are made, by how many attempts fail.
        remembers_tokens: whether a repeated request is recognized at all.
        needs_attach: whether a disk must have been attached once to be snapshotted.
    """

    zones: tuple[str, ...]
    nodes: dict[NodeId, Node]
    latency: Latency
    node_limit: int
    node_slots: int
    disks: dict[VolumeId, Disk] = field(default_factory=dict)
    snapshots: dict[SnapshotId, Snapshot] = field(default_factory=dict)
    sold_out: set[tuple[str, str]] = field(default_factory=set)
    disk_quota: int | None = None
    snapshot_quota: int | None = None
    orders: list[DiskSpec] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)
    timeline: Timeline = field(default_factory=Timeline)
    remembers_tokens: bool = True
    needs_attach: bool = False
    _tokens: dict[tuple[str, int], tuple[object, str]] = field(default_factory=dict)
    _shown_at_s: dict[str, float] = field(default_factory=dict)
    _ever_attached: set[VolumeId] = field(default_factory=set)
    _busy: dict[NodeId, int] = field(default_factory=dict)
    _resizing: set[VolumeId] = field(default_factory=set)
    _count: int = 0

    def pass_time(self) -> None:
        """Let everything happen whose time has come."""
        self.timeline.pass_time()

    def forget_tokens(self) -> None:
        """Every idempotency token has expired."""
        self._tokens.clear()

    def drop_changes(self) -> None:
        """What was begun comes to nothing, and disks go back to where they rest."""
        self.timeline.forget()
        self._busy.clear()
        self._resizing.clear()
        for disk in list(self.disks.values()):
            settled = DiskState.IN_USE if disk.attached_to else DiskState.AVAILABLE
            self._change(disk.id, state=settled)

    def disks_named(self, name: str) -> list[Disk]:
        """Disks of a name, as far as they show."""
        return [disk for disk in self.disks.values() if disk.name == name and self._shows(disk.id)]

    def disks_of(self, volume_ids: Collection[VolumeId]) -> Mapping[VolumeId, Disk]:
        """Disks by id, as far as they show."""
        return {
            one: self.disks[one] for one in volume_ids if one in self.disks and self._shows(one)
        }

    def create_disk(self, spec: DiskSpec) -> VolumeId:
        """Begin to make a disk, or answer the id that the token stands for."""
        if known := self._repeated((spec.name, spec.attempt), spec):
            return VolumeId(known)
        self._refuse_spec(spec)
        volume_id = VolumeId(self._new_id("disk"))
        self.orders.append(spec)
        self.disks[volume_id] = Disk(
            id=volume_id,
            size_gib=spec.size_gib,
            state=DiskState.CREATING,
            name=spec.name,
            zone=spec.zone,
            serial=volume_id.removeprefix("disk-"),
            source_snapshot_id=spec.snapshot_id,
            multi_attach=spec.parameters.multi_attach,
            attributes=dict(spec.kind.attributes),
        )
        self._made(volume_id, (spec.name, spec.attempt), spec)
        ending = DiskState.AVAILABLE
        if self.failing.get(spec.name, 0):
            self.failing[spec.name] -= 1
            ending = DiskState.FAILED
        self.timeline.later(self.latency.create_s, lambda: self._change(volume_id, state=ending))
        return volume_id

    def delete_disk(self, volume_id: VolumeId) -> None:
        """Begin to delete a disk."""
        disk = self.disk(volume_id)
        if disk.attached_to or disk.state in (DiskState.ATTACHING, DiskState.DETACHING):
            raise InUse(f"disk {volume_id} is attached", by=min(disk.attached_to, default=""))
        if disk.state is DiskState.CREATING:
            raise Pending(f"disk {volume_id} is still being made")
        if disk.state is DiskState.DELETING:
            raise Pending(f"disk {volume_id} is being deleted already")
        self._change(volume_id, state=DiskState.DELETING)
        self.timeline.later(self.latency.delete_s, lambda: self._forget(volume_id))

    def resize_disk(self, volume_id: VolumeId, size_gib: int) -> None:
        """Begin to grow a disk."""
        disk = self.disk(volume_id)
        if size_gib < disk.size_gib:
            raise OutOfRange(f"disk {volume_id} has {disk.size_gib} GiB and can't shrink")
        if disk.state not in (DiskState.AVAILABLE, DiskState.IN_USE):
            raise WrongState(f"disk {volume_id} is {disk.state}")
        if volume_id in self._resizing:
            raise Pending(f"disk {volume_id} is growing already")
        self._resizing.add(volume_id)

        def grown() -> None:
            self._resizing.discard(volume_id)
            self._change(volume_id, size_gib=size_gib)

        self.timeline.later(self.latency.resize_s, grown)

    def attach(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """Begin to attach a disk."""
        disk, node = self.disk(volume_id), self._node(node_id)
        if node_id in disk.attached_to or (disk.attached_to and not disk.multi_attach):
            raise InUse(f"disk {volume_id} is attached", by=min(disk.attached_to))
        if disk.state is DiskState.ATTACHING:
            raise InUse(f"disk {volume_id} is being attached")
        if disk.state not in (DiskState.AVAILABLE, DiskState.IN_USE):
            raise WrongState(f"disk {volume_id} is {disk.state}")
        if disk.zone != node.zone:
            raise WrongState(f"disk {volume_id} is in {disk.zone}, node {node_id} in {node.zone}")
        if sum(node_id in one.attached_to for one in self.disks.values()) >= self.node_limit:
            raise Exhausted(f"node {node_id} takes no more than {self.node_limit} disks")
        self._occupy(node_id)
        self._change(volume_id, state=DiskState.ATTACHING)

        def attached() -> None:
            self._busy[node_id] -= 1
            self._ever_attached.add(volume_id)
            holders = self.disks[volume_id].attached_to | {node_id}
            self._change(volume_id, attached_to=holders)
            self.timeline.later(
                self.latency.status_s, lambda: self._follow(volume_id, DiskState.ATTACHING)
            )

        self.timeline.later(self.latency.attach_s, attached)

    def detach(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """Begin to detach a disk."""
        disk = self.disk(volume_id)
        self._node(node_id)
        if node_id not in disk.attached_to or disk.state is DiskState.DETACHING:
            raise WrongState(f"disk {volume_id} is {disk.state}, not attached to {node_id}")
        self._occupy(node_id)
        self._change(volume_id, state=DiskState.DETACHING)

        def detached() -> None:
            self._busy[node_id] -= 1
            holders = self.disks[volume_id].attached_to - {node_id}
            self._change(volume_id, attached_to=holders)
            self.timeline.later(
                self.latency.status_s, lambda: self._follow(volume_id, DiskState.DETACHING)
            )

        self.timeline.later(self.latency.detach_s, detached)

    def snapshots_named(self, name: str) -> list[Snapshot]:
        """Snapshots of a name, as far as they show."""
        return [one for one in self.snapshots.values() if one.name == name and self._shows(one.id)]

    def snapshots_of(self, ids: Collection[SnapshotId]) -> Mapping[SnapshotId, Snapshot]:
        """Snapshots by id, as far as they show."""
        return {
            one: self.snapshots[one] for one in ids if one in self.snapshots and self._shows(one)
        }

    def create_snapshot(self, spec: SnapshotSpec) -> SnapshotId:
        """Begin to snapshot a disk."""
        if known := self._repeated((f"snapshot {spec.name}", spec.attempt), spec):
            return SnapshotId(known)
        disk = self.disk(spec.source_volume_id)
        if disk.state is DiskState.CREATING:
            raise WrongState(f"disk {disk.id} is still being made")
        if self.needs_attach and disk.id not in self._ever_attached:
            raise WrongState(f"disk {disk.id} was never attached")
        if self.snapshot_quota is not None and len(self.snapshots) >= self.snapshot_quota:
            raise Exhausted(f"no more than {self.snapshot_quota} snapshots are allowed")
        snapshot_id = SnapshotId(self._new_id("snap"))
        self.snapshots[snapshot_id] = Snapshot(
            id=snapshot_id, source_volume_id=disk.id, size_gib=disk.size_gib, name=spec.name
        )
        self._made(snapshot_id, (f"snapshot {spec.name}", spec.attempt), spec)
        self.timeline.later(self.latency.cut_s, lambda: self._cut(snapshot_id))
        return snapshot_id

    def delete_snapshot(self, snapshot_id: SnapshotId) -> None:
        """Delete a snapshot."""
        if self.snapshots.pop(snapshot_id, None) is None:
            raise NotFound(f"snapshot {snapshot_id} is absent")

    def page(self, *, source_volume_id: VolumeId | None, limit: int, token: str) -> SnapshotPage:
        """Part of a listing; the token is the id of the last snapshot before it."""
        listed: Sequence[Snapshot] = [
            one
            for one in self.snapshots.values()
            if source_volume_id in (None, one.source_volume_id) and self._shows(one.id)
        ]
        if token:
            places = [place for place, one in enumerate(listed) if one.id == token]
            if not places:
                raise InvalidToken(f"no listing goes on from {token!r}")
            listed = listed[places[0] + 1 :]
        shown = tuple(listed[:limit])
        return SnapshotPage(snapshots=shown, next_token=shown[-1].id if len(listed) > limit else "")

    def disk(self, volume_id: VolumeId) -> Disk:
        """The disk of this id.

        Raises:
            NotFound: it is absent.
        """
        if volume_id not in self.disks:
            raise NotFound(f"disk {volume_id} is absent")
        return self.disks[volume_id]

    def _node(self, node_id: NodeId) -> Node:
        if node_id not in self.nodes:
            raise NotFound(f"node {node_id} is absent")
        return self.nodes[node_id]

    def _refuse_spec(self, spec: DiskSpec) -> None:
        if spec.zone not in self.zones:
            raise InvalidArgument(f"no zone {spec.zone!r}")
        if spec.size_gib not in spec.kind.sizes:
            raise OutOfRange(f"{spec.size_gib} GiB of {spec.kind.label} are not sold")
        if spec.snapshot_id is not None:
            source = self.snapshots.get(spec.snapshot_id)
            if source is None:
                raise NotFound(f"snapshot {spec.snapshot_id} is absent")
            if spec.size_gib < source.size_gib:
                raise OutOfRange(f"snapshot {source.id} needs {source.size_gib} GiB")
        if (spec.zone, spec.kind.label) in self.sold_out:
            raise Exhausted(f"{spec.kind.label} is sold out in {spec.zone}", code="NoStock")
        if self.disk_quota is not None and len(self.disks) >= self.disk_quota:
            raise Exhausted(f"no more than {self.disk_quota} disks are allowed", code="Quota")

    def _repeated(self, token: tuple[str, int], spec: object) -> str:
        """The id that an equal request was answered with; empty when there was none."""
        if not self.remembers_tokens or token not in self._tokens:
            return ""
        recorded, made = self._tokens[token]
        if recorded != spec:
            raise AlreadyExists(f"the token of {token[0]} was spent on another request")
        return made

    def _made(self, made: str, token: tuple[str, int], spec: object) -> None:
        self._tokens[token] = (spec, made)
        self._shown_at_s[made] = self.timeline.now_s + self.latency.show_s

    def _cut(self, snapshot_id: SnapshotId) -> None:
        def ready() -> None:
            if snapshot_id in self.snapshots:
                self.snapshots[snapshot_id] = replace(self.snapshots[snapshot_id], ready=True)

        if snapshot_id in self.snapshots:
            cut_at = EPOCH + timedelta(seconds=self.timeline.now_s)
            self.snapshots[snapshot_id] = replace(self.snapshots[snapshot_id], created_at=cut_at)
            self.timeline.later(self.latency.upload_s, ready)

    def _follow(self, volume_id: VolumeId, since: DiskState) -> None:
        """The state catches up with the attachment, unless something else began meanwhile."""
        disk = self.disks.get(volume_id)
        if disk is not None and disk.state is since:
            settled = DiskState.IN_USE if disk.attached_to else DiskState.AVAILABLE
            self._change(volume_id, state=settled)

    def _occupy(self, node_id: NodeId) -> None:
        if self._busy.get(node_id, 0) >= self.node_slots:
            raise NodeBusy(f"node {node_id} is busy with another disk", code="NodeBusy")
        self._busy[node_id] = self._busy.get(node_id, 0) + 1

    def _change(self, volume_id: VolumeId, **changes: object) -> None:
        if volume_id in self.disks:
            self.disks[volume_id] = replace(self.disks[volume_id], **changes)  # type: ignore[arg-type] # fields of Disk

    def _forget(self, volume_id: VolumeId) -> None:
        self.disks.pop(volume_id, None)

    def _shows(self, made: str) -> bool:
        return self.timeline.now_s >= self._shown_at_s.get(made, 0.0)

    def _new_id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self._count:04d}"
