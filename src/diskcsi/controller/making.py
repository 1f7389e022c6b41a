"""From an order that the cloud accepted to a disk that is ready for use, or surely none."""

from __future__ import annotations

import asyncio
from typing import Final

from diskcsi.aio.progress import note_refusal, waiting
from diskcsi.controller.deps import Deps, Timing
from diskcsi.controller.naming import OPEN, NeverShownError
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


class _Making:
    """Watches a disk until it is made, has failed, or is unseen for longer than reads may lag."""

    def __init__(self, volume_id: VolumeId, *, timing: Timing, shown: bool) -> None:
        self._volume_id = volume_id
        self._timing = timing
        self._shown = shown
        self._seen_s = asyncio.get_running_loop().time()

    def is_over(self, disk: Disk | None) -> bool:
        now_s = asyncio.get_running_loop().time()
        if disk is not None:
            self._shown, self._seen_s = True, now_s
            return disk.state in ENDS
        if now_s < self._seen_s + (self._timing.settle_s if self._shown else self._timing.hidden_s):
            return False
        if self._shown:
            raise TakenAwayError(f"disk {self._volume_id} was deleted while it was made")
        raise NeverShownError(self._volume_id)  # the time is none to learn from


class DiskMaker:
    """Waits for disks that are being made, and clears away those that failed."""

    def __init__(self, *, deps: Deps) -> None:
        self._deps = deps

    async def lasting(self, disk: Disk, *, fresh: bool) -> Disk | None:
        """The disk once it is ready for use; None when it failed.

        A disk that failed while it was made holds nothing: its husk is deleted. `fresh` says that
        the cloud has just answered its id, and no read has shown it yet.

        Raises:
            TakenAwayError: it was there and is gone.
            NeverShownError: it is fresh, and no read showed it for `hidden_s`.
        """
        made: Disk | None = disk
        if disk.state not in ENDS:
            making = _Making(disk.id, timing=self._deps.timing, shown=not fresh)
            made = await self._deps.disks.wait(disk.id, making.is_over, kind="create", fresh=fresh)
        if made is None or made.state is not DiskState.FAILED:
            return made
        with waiting(lambda: f"disk {made.id} failed while it was made, and is being deleted"):
            await self._delete_husk(made)
        return None

    async def _delete_husk(self, disk: Disk) -> None:
        async for _ in self._deps.attempts():
            try:
                await self._deps.cloud.delete_disk(disk.id)
            except (*OPEN, NotFound, InUse) as refusal:
                note_refusal(refusal)  # the read below tells
            except DiskError as refusal:
                raise Pending(
                    f"disk {disk.id} failed while it was made and can't be deleted: {refusal}",
                    hint="delete it by hand: it holds nothing",
                ) from refusal
            now = await self._deps.disks.get_lasting(disk.id, says=_failed)
            if now is None:
                return
            if now.state is not DiskState.FAILED:
                raise Pending(f"disk {disk.id} failed while it was made, and is {now.state} now")


def _failed(disk: Disk) -> str:
    return f"{disk.state}, since it failed while it was made"
