"""From an order that the cloud accepted to a disk that is ready for use, or surely none."""

from __future__ import annotations

import asyncio
from typing import Final

from diskcsi.controller.deps import Deps
from diskcsi.controller.naming import OPEN
from diskcsi.model.errors import DiskError, InUse, NotFound, Pending
from diskcsi.model.ids import VolumeId
from diskcsi.model.volume import Disk, DiskState

ENDS: Final = frozenset(
    {
        DiskState.AVAILABLE,
        DiskState.ATTACHING,
        DiskState.IN_USE,
        DiskState.DETACHING,
        DiskState.FAILED,
    }
)
"""States after which making a disk is over, for better or worse."""


class TakenAwayError(Exception):
    """A disk was there and is gone: whoever deleted it may not want another one."""


class _NeverShownError(Exception):
    """A disk was deleted before: a token still answers its id."""


class _Making:
    """Watches a disk until it is made, has failed, or is unseen for longer than reads may lag."""

    def __init__(self, volume_id: VolumeId, *, settle_s: float, shown: bool) -> None:
        self._volume_id = volume_id
        self._settle_s = settle_s
        self._shown = shown
        self._seen_s = asyncio.get_running_loop().time()

    def is_over(self, disk: Disk | None) -> bool:
        now_s = asyncio.get_running_loop().time()
        if disk is not None:
            self._shown, self._seen_s = True, now_s
            return disk.state in ENDS
        if now_s < self._seen_s + self._settle_s:
            return False
        if self._shown:
            raise TakenAwayError(f"disk {self._volume_id} was deleted while it was made")
        raise _NeverShownError  # the time is none to learn from


class DiskMaker:
    """Waits for disks that are being made, and clears away those that failed."""

    def __init__(self, *, deps: Deps) -> None:
        self._deps = deps

    async def lasting(self, disk: Disk, *, fresh: bool) -> Disk | None:
        """The disk once it is ready for use; None when it failed, or never shows.

        A disk that failed while it was made holds nothing: its husk is deleted. One that never
        shows was deleted before: its token still answers its id.
        """
        made: Disk | None = disk
        if disk.state not in ENDS:
            making = _Making(disk.id, settle_s=self._deps.timing.settle_s, shown=not fresh)
            try:
                made = await self._deps.disks.wait(
                    disk.id, making.is_over, kind="create", fresh=fresh
                )
            except _NeverShownError:
                return None
        if made is None or made.state is not DiskState.FAILED:
            return made
        await self._delete_husk(made)
        return None

    async def _delete_husk(self, disk: Disk) -> None:
        async for _ in self._deps.attempts():
            try:
                await self._deps.cloud.delete_disk(disk.id)
            except (*OPEN, NotFound, InUse):
                pass  # the read below tells
            except DiskError as refusal:
                raise Pending(
                    f"disk {disk.id} failed while it was made and can't be deleted: {refusal}",
                    hint="delete it by hand: it holds nothing",
                ) from refusal
            now = await self._deps.disks.get(disk.id)
            if now is None:
                return
            if now.state not in (DiskState.FAILED, DiskState.DELETING):
                raise Pending(f"disk {disk.id} failed while it was made, and is {now.state} now")
