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
"""More than a large cluster's attached volumes; about 10 MiB when full."""

RECENT_S: Final = 300.0
"""What was seen longer ago says little of now: another process may have ended it."""

Until = Callable[[Disk | None], bool]
"""Whether a wait is over, from a read; None stands for a disk that the cloud doesn't show."""


def _state(disk: Disk) -> str:
    holders = f", attached to {', '.join(sorted(disk.attached_to))}" if disk.attached_to else ""
    return f"{disk.state}{holders}"


class DiskReader:
    """Reads and waits over one cloud."""

    def __init__(self, *, cloud: CloudProvider, tasks: TaskGroup, random: Random) -> None:
        self._cloud = cloud
        self._random = random
        self._seen: OrderedDict[VolumeId, tuple[Disk, float]] = OrderedDict()
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
        disk, _ = self._seen.get(volume_id, (None, 0.0))
        return disk

    def leaving(self, node_id: NodeId, *, besides: VolumeId) -> str:
        """Other disks that were seen on their way off the node of late, in words; a hint.

        Of a disk that several nodes hold no state tells which one it leaves.
        """
        since_s = asyncio.get_running_loop().time() - RECENT_S
        recent = takewhile(lambda seen: seen[1] >= since_s, reversed(self._seen.values()))
        leaving = (
            f"disk {disk.id} of that node was last seen {disk.state}"
            for disk, _ in recent
            if disk.state is DiskState.DETACHING
            and disk.attached_to == {node_id}
            and disk.id != besides
        )
        return ", ".join(islice(leaving, MOST_NAMED))

    def forget(self, volume_id: VolumeId) -> None:
        """Drop the hint: the disk is being changed."""
        self._seen.pop(volume_id, None)

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
        began_s = asyncio.get_running_loop().time()
        disks = await apart(self._cloud.get_disks, volume_ids)
        for volume_id in volume_ids:
            self._note(volume_id, disks.get(volume_id), began_s)
        while len(self._seen) > REMEMBERED_DISKS:
            self._seen.popitem(last=False)
        return disks

    def _note(self, volume_id: VolumeId, told: Disk | Exception | None, began_s: float) -> None:
        """Reads overtake each other, and the one that began last tells the most of now."""
        _, seen_s = self._seen.get(volume_id, (None, began_s))
        if seen_s > began_s:
            return
        self._seen.pop(volume_id, None)
        if isinstance(told, Disk):
            self._seen[volume_id] = (told, began_s)
