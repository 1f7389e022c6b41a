"""NodeGetVolumeStats: how full a volume is."""

from __future__ import annotations

from diskcsi.model.errors import NotFound
from diskcsi.model.ids import VolumeId
from diskcsi.node.deps import NodeDeps
from diskcsi.node.requests import Usage


class StatsReader:
    """Reads usage."""

    def __init__(self, *, deps: NodeDeps) -> None:
        self._deps = deps

    async def usage(self, volume_id: VolumeId, path: str) -> Usage:
        """How full the volume at `path` is; a raw device tells its size alone.

        Raises:
            NotFound: nothing is mounted there, or another volume is.
        """
        mount = await self._deps.mount_at(path)
        if mount is None:
            raise NotFound(f"nothing is mounted at {path}")
        device = await self._deps.device_of(volume_id, mount)
        if device is None:
            raise NotFound(f"volume {volume_id} is not at {path}")
        if mount.raw:
            return Usage(total_bytes=device.size_bytes)
        told = await self._deps.filesystems.usage(path)
        return Usage(
            total_bytes=told.total_bytes,
            available_bytes=told.available_bytes,
            used_bytes=told.used_bytes,
            inodes_total=told.inodes_total or None,
            inodes_free=told.inodes_free,
        )
