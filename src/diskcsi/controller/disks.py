"""Reads of disks and snapshots, shared by everything that asks at the same time, and the last seen fact of each.

All waits and reads of the controller go through one `DiskReader`, so a hundred volumes that wait
cost one call a look. What was last seen is a hint for choosing the cheaper first step; no answer
is given from it.
"""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from random import Random
from typing import Final, TypeVar

from diskcsi.aio.backoff import backoff
from diskcsi.aio.batcher import Batcher
from diskcsi.aio.progress import MOST_NAMED, waiting
from diskcsi.aio.waiter import Waiter
from diskcsi.controller.reading import apart, patiently
from diskcsi.model.errors import Throttled, UnknownOutcome, Unreachable
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.volume import Disk, DiskState, Snapshot
from diskcsi.ports.cloud import CloudProvider

Seen = TypeVar("Seen")

REMEMBERED_DISKS: Final = 20_000
"""More than a large cluster's volumes, with those that went of late; about 10 MiB when full."""

RECENT_S: Final = 300.0
"""What was seen longer ago says little of now: another process may have ended it."""

Until = Callable[[Disk | None], bool]
"""Whether a wait is over, from a read; None stands for a disk that the cloud doesn't show."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a read told of a disk, from its beginning to its end; None: it shows none."""

    disk: Disk | None
    began_s: float
    ended_s: float


def _state(disk: Disk) -> str:
    holders = f", attached to {', '.join(sorted(disk.attached_to))}" if disk.attached_to else ""
    return f"{disk.state}{holders}"


class DiskReader:
    """Reads and waits over one cloud."""

    def __init__(self, *, cloud: CloudProvider, tasks: TaskGroup, random: Random) -> None:
        self._cloud = cloud
        self._random = random
        self._seen: OrderedDict[VolumeId, _Sight] = OrderedDict()  # by their ends
        self._batcher: Batcher[VolumeId, Disk] = Batcher(
            fetch=self._fetch, tasks=tasks, max_entries=cloud.read_batch
        )
        self._snapshots: Batcher[SnapshotId, Snapshot] = Batcher(
            fetch=self._fetch_snapshots, tasks=tasks, max_entries=cloud.read_batch
        )
        self._waiter: Waiter[VolumeId, Disk] = Waiter(
            look=self._batcher.carry,
            tasks=tasks,
            transient=(Throttled, Unreachable, UnknownOutcome, TimeoutError),
            random=random,
            max_entries=cloud.read_batch,
        )

    async def get(self, volume_id: VolumeId) -> Disk | None:
        """The disk as a read that begins now tells it; None when the cloud doesn't show it."""
        return await self._patiently(lambda: self._batcher.get(volume_id))

    async def get_snapshot(self, snapshot_id: SnapshotId) -> Snapshot | None:
        """The snapshot as a read that begins now tells it; None when the cloud doesn't show it."""
        return await self._patiently(lambda: self._snapshots.get(snapshot_id))

    async def wait(
        self,
        volume_id: VolumeId,
        until: Until,
        *,
        kind: str,
        fresh: bool = True,
        says: Callable[[Disk], str] = _state,
    ) -> Disk | None:
        """Look until `until` holds, in the rhythm that operations of this `kind` were seen to take.

        `fresh` says that the operation began just now; `says`, of what was last seen, what is told to
        callers whose time is over. Raises whatever `until` raises. It ends
        with the deadline of the flight around it.
        """
        with waiting(lambda: self._told(volume_id, says)):
            return await self._waiter.wait(volume_id, until, kind=kind, fresh=fresh)

    def last_seen(self, volume_id: VolumeId) -> Disk | None:
        """The latest read of the disk, however old: a hint."""
        sight = self._seen.get(volume_id)
        return sight.disk if sight else None

    async def get_lasting(
        self, volume_id: VolumeId, *, says: Callable[[Disk], str] = _state
    ) -> Disk | None:
        """As `get`, but a disk that is being deleted is waited for: what becomes of it is the answer.

        `says` is as of `wait`.
        """
        disk = await self.get(volume_id)
        if _is_lasting(disk):
            return disk
        return await self.wait(volume_id, _is_lasting, kind="delete", fresh=False, says=says)

    def leaving(self, node_id: NodeId, *, besides: VolumeId) -> str:
        """Other disks that were seen on their way off the node of late, in words; a hint.

        No state tells which node a disk leaves that several may hold.
        """
        now_s = asyncio.get_running_loop().time()
        sights = takewhile(
            lambda one: now_s - one.ended_s <= RECENT_S, reversed(self._seen.values())
        )
        leaving = (
            f"disk {sight.disk.id} of that node was last seen {sight.disk.state}"
            f" {now_s - sight.ended_s:.0f} s ago"
            for sight in sights
            if sight.disk is not None and _leaves(sight.disk, node_id) and sight.disk.id != besides
        )
        return ", ".join(islice(leaving, MOST_NAMED))

    def forget(self, volume_id: VolumeId) -> None:
        """Drop the hint: the disk is being changed, and reads that have begun know nothing of it."""
        now_s = asyncio.get_running_loop().time()
        self._note(volume_id, _Sight(None, began_s=now_s, ended_s=now_s))

    def _told(self, volume_id: VolumeId, says: Callable[[Disk], str]) -> str:
        disk = self.last_seen(volume_id)
        if disk is None:
            return f"no read shows disk {volume_id} now"
        return f"the cloud last showed disk {volume_id} {says(disk)}"

    async def _patiently(self, read: Callable[[], Awaitable[Seen]]) -> Seen:
        return await patiently(read, backoff(first_s=0.2, max_s=2.0, random=self._random))

    async def _fetch_snapshots(
        self, snapshot_ids: Collection[SnapshotId]
    ) -> Mapping[SnapshotId, Snapshot | Exception]:
        return await apart(self._cloud.get_snapshots, snapshot_ids)

    async def _fetch(self, volume_ids: Collection[VolumeId]) -> Mapping[VolumeId, Disk | Exception]:
        clock = asyncio.get_running_loop().time
        began_s = clock()
        disks = await apart(self._cloud.get_disks, volume_ids)
        ended_s = clock()
        for volume_id in volume_ids:
            told = disks.get(volume_id)
            disk = told if isinstance(told, Disk) else None
            self._note(volume_id, _Sight(disk, began_s=began_s, ended_s=ended_s))
        return disks

    def _note(self, volume_id: VolumeId, sight: _Sight) -> None:
        """Reads overtake each other, and the one that began last tells the most of now."""
        former = self._seen.get(volume_id)
        if former is not None and former.began_s > sight.began_s:
            return
        self._seen[volume_id] = sight
        self._seen.move_to_end(volume_id)
        while len(self._seen) > REMEMBERED_DISKS:
            self._seen.popitem(last=False)


def _is_lasting(disk: Disk | None) -> bool:
    return disk is None or disk.state is not DiskState.DELETING


def _leaves(disk: Disk, node_id: NodeId) -> bool:
    alone = disk.attached_to == {node_id} and not disk.multi_attach
    return alone and disk.state is DiskState.DETACHING
