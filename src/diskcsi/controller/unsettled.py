"""Volumes whose attach failed with its outcome open: it may come to show, so a read proves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from diskcsi.model.errors import MAYBE_RUNNING, DiskError
from diskcsi.model.ids import VolumeId


class Unsettled:
    """Remembers each such volume for `settle_s` from the failure on."""

    def __init__(self, *, settle_s: float) -> None:
        self._settle_s = settle_s
        self._until_s: dict[VolumeId, float] = {}

    def __contains__(self, volume_id: VolumeId) -> bool:
        """Whether the volume may be on its way to a node although no read shows it."""
        return asyncio.get_running_loop().time() < self._until_s.get(volume_id, 0.0)

    @contextmanager
    def unless_certain(self, volume_id: VolumeId) -> Iterator[None]:
        """Remember the volume when the attach within ends with neither success nor a final refusal."""
        try:
            yield
        except BaseException as end:
            if not isinstance(end, DiskError) or isinstance(end, MAYBE_RUNNING):
                self._remember(volume_id)
            raise

    def _remember(self, volume_id: VolumeId) -> None:
        now_s = asyncio.get_running_loop().time()
        self._until_s = {one: end_s for one, end_s in self._until_s.items() if end_s > now_s}
        self._until_s[volume_id] = now_s + self._settle_s
