"""DeleteVolume: absent is success, in use is a refusal, and nothing is ever detached for it."""

from __future__ import annotations

from diskcsi.aio.progress import note_refusal
from diskcsi.controller.deps import Deps
from diskcsi.controller.naming import OPEN
from diskcsi.model.errors import InUse, NotFound
from diskcsi.model.ids import VolumeId
from diskcsi.model.volume import Disk


class VolumeDeleter:
    """Deletes disks."""

    def __init__(self, *, deps: Deps) -> None:
        self._deps = deps

    async def delete(self, volume_id: VolumeId) -> None:
        """Delete the disk; one that is absent, or whose id can't exist, is deleted already.

        Raises:
            InUse: a node holds it; the message names the node.
        """
        await self._deps.fly_unless_refused(
            ("deletion of disk", volume_id), lambda: self._delete(volume_id)
        )

    async def _delete(self, volume_id: VolumeId) -> None:
        async with self._deps.volumes.hold(volume_id):
            async for _ in self._deps.attempts():
                try:
                    await self._deps.cloud.delete_disk(volume_id)
                except (*OPEN, InUse) as refusal:
                    note_refusal(refusal)
                    if not await self._gone(volume_id):
                        continue
                except NotFound:
                    pass
                self._deps.disks.forget(volume_id)
                return

    async def _gone(self, volume_id: VolumeId) -> bool:
        """Whether the disk is gone; waits for one that is being deleted."""
        disk = await self._deps.disks.get_lasting(volume_id)
        if disk is not None and disk.attached_to:
            raise _in_use(disk)
        return disk is None


def _in_use(disk: Disk) -> InUse:
    holders = ", ".join(sorted(disk.attached_to))
    return InUse(
        f"disk {disk.id} is attached to node {holders}",
        by=min(disk.attached_to),
        hint="it is deleted once it is detached; this driver never detaches to delete",
    )
