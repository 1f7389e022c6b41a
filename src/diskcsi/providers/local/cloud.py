"""The cloud that is a directory: every answer is read from files and from the kernel.

Changes take a lock that other processes respect, so that two controllers on one directory do no
harm. Nobody waits for it in a thread, which no cancellation would end. What the kernel says of loop devices is the truth about attachments: after a reboot there
are none, whatever links are left.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from diskcsi.providers.local import copying, loops
from diskcsi.providers.local.holding import Holding
from diskcsi.providers.local.settings import LocalSettings
from diskcsi.providers.local.store import ID, Record, Shelf
from diskcsi.spi import (
    AlreadyExists,
    CallObserver,
    Capability,
    CloudCall,
    Disk,
    DiskError,
    DiskSpec,
    DiskState,
    Exhausted,
    InUse,
    InvalidToken,
    Node,
    NodeId,
    NotFound,
    OutOfRange,
    Pending,
    Snapshot,
    SnapshotId,
    SnapshotPage,
    SnapshotSpec,
    UnknownOutcome,
    Unreachable,
    VolumeId,
    WrongState,
)

Answer = TypeVar("Answer")

CAPABILITIES: Final = frozenset({Capability.EXPAND, Capability.SNAPSHOTS, Capability.RESTORE})

READ_BATCH: Final = 100
"""Files are read one by one, so any number would do."""

LOCK_WAIT_S: Final = 5.0
"""A change takes milliseconds, unless it copies an image, which callers wait for by asking again."""

LOCK_PAUSE_S: Final = 0.05
"""Between two tries to take the lock."""


class LocalCloud:
    """Disks in one directory."""

    def __init__(self, *, settings: LocalSettings, observer: CallObserver) -> None:
        self._settings = settings
        self._observer = observer
        self._root = Path(settings.directory).resolve()  # as the kernel tells of backing files
        self._lock_file = self._root / "lock"
        self._disks = Shelf(self._root / "disks", "l")
        self._snapshots = Shelf(self._root / "snapshots", "s")
        self._held = Holding(
            disks=self._disks, directory=self._root / "nodes", nodes=settings.every_node
        )

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Growth, snapshots and restores."""
        return CAPABILITIES

    @property
    def read_batch(self) -> int:
        """Any number would do."""
        return READ_BATCH

    async def check(self) -> None:
        """The directory can be written and there are loop devices."""
        await self._read("check", self._check)

    async def find_disks(self, name: str) -> Sequence[Disk]:
        """The disk of this name: its id is made of it."""
        found = await self.get_disks([VolumeId(self._disks.id_of(name))])
        return list(found.values())

    async def get_disks(self, volume_ids: Collection[VolumeId]) -> Mapping[VolumeId, Disk]:
        """Those that have a record."""
        return await self._read(
            "get_disks",
            lambda: {
                id_: self._told(record)
                for id_ in volume_ids
                if (record := self._disks.get(id_)) is not None
            },
        )

    async def create_disk(self, spec: DiskSpec) -> VolumeId:
        """A sparse file; it takes room as it is written."""
        return await self._change("create_disk", lambda: self._create(spec))

    async def delete_disk(self, volume_id: VolumeId) -> None:
        """Remove the file."""
        await self._change("delete_disk", lambda: self._delete(volume_id))

    async def resize_disk(self, volume_id: VolumeId, size_gib: int) -> None:
        """Lengthen the file; a node that holds it sees it at once."""
        await self._change("resize_disk", lambda: self._resize(volume_id, size_gib))

    async def attach_disk(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """A loop device, and a link in the node's device directory."""
        await self._change("attach_disk", lambda: self._attach(volume_id, node_id))

    async def detach_disk(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """Take link and device away, unless somebody uses the device."""
        await self._change("detach_disk", lambda: self._detach(volume_id, node_id))

    async def get_node(self, node_id: NodeId) -> Node | None:
        """One that the settings name."""
        known = node_id in self._settings.every_node
        return Node(id=node_id, zone=self._settings.zone) if known else None

    async def find_snapshots(self, name: str) -> Sequence[Snapshot]:
        """The snapshot of this name: its id is made of it."""
        found = await self.get_snapshots([SnapshotId(self._snapshots.id_of(name))])
        return list(found.values())

    async def get_snapshots(
        self, snapshot_ids: Collection[SnapshotId]
    ) -> Mapping[SnapshotId, Snapshot]:
        """Those that have a record."""
        return await self._read(
            "get_snapshots",
            lambda: {
                id_: _told_snapshot(record)
                for id_ in snapshot_ids
                if (record := self._snapshots.get(id_)) is not None
            },
        )

    async def create_snapshot(self, spec: SnapshotSpec) -> SnapshotId:
        """A copy of the file; of an attached disk only where a copy is one step.

        Raises:
            WrongState: the disk is attached, and this filesystem can't copy a file at one moment.
        """
        return await self._change("create_snapshot", lambda: self._snapshot(spec))

    async def delete_snapshot(self, snapshot_id: SnapshotId) -> None:
        """Remove the copy."""
        await self._change("delete_snapshot", lambda: self._delete_snapshot(snapshot_id))

    async def list_snapshots(
        self, *, source_volume_id: VolumeId | None, limit: int, token: str
    ) -> SnapshotPage:
        """By id; a token is the last id of the page before."""
        if token and not (ID.fullmatch(token) and token[0] == "s"):
            raise InvalidToken(f"{token!r} is no token of this provider: begin without one")

        def page() -> SnapshotPage:
            found = [
                record
                for record in self._snapshots.every()
                if record.id > token and source_volume_id in (None, record.source)
            ]
            shown = found[:limit]
            return SnapshotPage(
                snapshots=tuple(map(_told_snapshot, shown)),
                next_token=shown[-1].id if len(found) > len(shown) else "",
            )

        return await self._read("list_snapshots", page)

    async def _read(self, action: str, read: Callable[[], Answer]) -> Answer:
        with self._observed(action, mutating=False):
            return await asyncio.to_thread(read)

    async def _change(self, action: str, change: Callable[[], Answer]) -> Answer:
        def attempt() -> tuple[Answer, ...]:
            with self._lock() as taken:
                return (change(),) if taken else ()

        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + LOCK_WAIT_S
        with self._observed(action, mutating=True):
            while not (answer := await asyncio.to_thread(attempt)):
                if loop.time() >= deadline_s:
                    raise Pending(f"{action}: another change holds the lock {self._lock_file}")
                await asyncio.sleep(LOCK_PAUSE_S)
        return answer[0]

    @contextmanager
    def _observed(self, action: str, *, mutating: bool) -> Iterator[None]:
        begun_s, code = time.monotonic(), "lost"
        try:
            yield
            code = "OK"
        except DiskError as error:
            code = type(error).__name__
            raise
        except OSError as error:
            code = os.strerror(error.errno) if error.errno else "OSError"
            raise _meaning(error, mutating=mutating)(
                f"{action} in {self._root}: {error}"
            ) from error
        finally:
            duration_s = time.monotonic() - begun_s
            self._observer(
                CloudCall(
                    action=action, mutating=mutating, code=code, request_id="",
                    duration_s=duration_s,
                )
            )  # fmt: skip

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        """Whether the lock was free, and is ours now."""
        lock = self._open_lock()
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            yield False
            return
        try:
            yield True
        finally:
            os.close(lock)

    def _open_lock(self) -> int:
        self._root.mkdir(parents=True, exist_ok=True)
        return os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _check(self) -> None:
        os.close(self._open_lock())  # not taken: a long copy under it is no fault
        if not loops.CONTROL.exists():
            raise WrongState(f"{loops.CONTROL} is missing: load the kernel module loop")

    def _told(self, record: Record) -> Disk:
        holders = self._held.by(record)
        return Disk(
            id=VolumeId(record.id),
            size_gib=record.size_gib,
            state=DiskState.IN_USE if holders else DiskState.AVAILABLE,
            name=record.name,
            zone=self._settings.zone,
            attached_to=holders,
            serial=record.serial,
            source_snapshot_id=SnapshotId(record.source) if record.source else None,
        )

    def _existing(self, volume_id: VolumeId) -> Record:
        record = self._disks.get(volume_id)
        if record is None:
            raise NotFound(f"disk {volume_id} is absent")
        return record

    def _create(self, spec: DiskSpec) -> VolumeId:
        if spec.zone not in ("", self._settings.zone):
            raise Exhausted(
                f"zone {spec.zone} is not this machine's",
                hint=f"the only zone is {self._settings.zone}",
            )
        wanted = Record(
            id=self._disks.id_of(spec.name), name=spec.name, size_gib=spec.size_gib,
            source=spec.snapshot_id or "",
        )  # fmt: skip
        existing = self._disks.get(wanted.id)
        if existing is None:
            self._disks.make(wanted, self._content(spec))
        elif existing != wanted:
            raise AlreadyExists(f"disk {existing.id} has the name, and {existing.size_gib} GiB")
        return VolumeId(wanted.id)

    def _content(self, spec: DiskSpec) -> Path | None:
        if spec.snapshot_id is None:
            return None
        snapshot = self._snapshots.get(spec.snapshot_id)
        if snapshot is None:
            raise NotFound(f"snapshot {spec.snapshot_id} is absent")
        if spec.size_gib < snapshot.size_gib:
            raise OutOfRange(f"{spec.size_gib} GiB can't hold {snapshot.size_gib} GiB")
        return self._snapshots.image(snapshot.id)

    def _delete(self, volume_id: VolumeId) -> None:
        record = self._existing(volume_id)
        holders = self._held.by(record)
        if holders:
            raise InUse(f"disk {volume_id} is attached to {min(holders)}", by=min(holders))
        if not self._held.release(record):
            raise Pending(f"disk {volume_id} is no node's, and its device is still open")
        self._disks.drop(volume_id)

    def _resize(self, volume_id: VolumeId, size_gib: int) -> None:
        record = self._existing(volume_id)
        if size_gib < record.size_gib:
            raise OutOfRange(f"disk {volume_id} has {record.size_gib} GiB and never shrinks")
        os.truncate(self._disks.image(volume_id), size_gib * 1024**3)
        if device := loops.holder(self._disks.image(volume_id)):
            loops.tell_size(device)
        self._disks.tell(replace(record, size_gib=size_gib))

    def _attach(self, volume_id: VolumeId, node_id: NodeId) -> None:
        record = self._existing(volume_id)
        if node_id not in self._settings.every_node:
            raise NotFound(
                f"node {node_id} is none of {', '.join(sorted(self._settings.every_node))}"
            )
        holders = self._held.by(record)
        if holders:
            raise InUse(f"disk {volume_id} is attached to {min(holders)}", by=min(holders))
        self._held.take(record, node_id)

    def _detach(self, volume_id: VolumeId, node_id: NodeId) -> None:
        record = self._existing(volume_id)
        if node_id not in self._held.by(record):
            raise WrongState(f"disk {volume_id} is not attached to {node_id}")
        self._held.release(record)

    def _snapshot(self, spec: SnapshotSpec) -> SnapshotId:
        id_ = self._snapshots.id_of(spec.name)
        existing = self._snapshots.get(id_)
        if existing is not None:
            if existing.source != spec.source_volume_id:
                raise AlreadyExists(f"snapshot {id_} has the name, of disk {existing.source}")
            return SnapshotId(id_)
        source = self._existing(spec.source_volume_id)
        image = self._disks.image(source.id)
        if device := loops.holder(image):
            if not copying.can_clone(image, self._root):
                raise WrongState(
                    f"disk {source.id} is attached, and the filesystem of {self._root} can't copy"
                    " a file at one moment",
                    hint="detach the disk, or keep the directory on xfs or btrfs",
                )
            loops.flush(device)
        made_at = datetime.now(UTC).isoformat()
        record = Record(
            id=id_, name=spec.name, size_gib=source.size_gib, source=source.id, made_at=made_at
        )
        self._snapshots.make(record, image)
        return SnapshotId(id_)

    def _delete_snapshot(self, snapshot_id: SnapshotId) -> None:
        if self._snapshots.get(snapshot_id) is None:
            raise NotFound(f"snapshot {snapshot_id} is absent")
        self._snapshots.drop(snapshot_id)


def _meaning(error: OSError, *, mutating: bool) -> type[DiskError]:
    """A full filesystem stops an image before its record is there, so nothing was made."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Exhausted
    return UnknownOutcome if mutating else Unreachable


def _told_snapshot(record: Record) -> Snapshot:
    return Snapshot(
        id=SnapshotId(record.id),
        source_volume_id=VolumeId(record.source),
        size_gib=record.size_gib,
        name=record.name,
        created_at=datetime.fromisoformat(record.made_at),
        ready=True,
    )
