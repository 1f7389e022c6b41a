"""ControllerExpandVolume: grow the disk; the node grows what is on it."""

from __future__ import annotations

from typing import Final

from diskcsi.aio.progress import note_refusal
from diskcsi.controller.deps import Deps
from diskcsi.controller.naming import OPEN
from diskcsi.controller.requests import Expanded
from diskcsi.model.capabilities import Capability, VolumeCapability
from diskcsi.model.errors import NotFound, OutOfRange, UnknownOutcome, WrongState
from diskcsi.model.ids import VolumeId
from diskcsi.model.sizes import GIB, Capacity, gib_to_hold
from diskcsi.model.volume import Disk, DiskState

MOVING: Final = frozenset({DiskState.CREATING, DiskState.ATTACHING, DiskState.DETACHING})
"""States that pass by themselves, after which a disk may grow."""


class VolumeExpander:
    """Grows disks; none ever shrinks."""

    def __init__(self, *, deps: Deps) -> None:
        self._deps = deps

    async def expand(
        self, volume_id: VolumeId, capacity: Capacity, capability: VolumeCapability | None
    ) -> Expanded:
        """Make the disk at least as large as asked; the size it has afterwards.

        Raises:
            Unsupported: the provider can't grow disks.
            NotFound: the disk is absent.
            OutOfRange: whole GiB don't fit below the limit, or the kind ends below the size.
        """
        self._deps.require(Capability.EXPAND)
        wanted_gib = gib_to_hold(capacity.required_bytes)
        if capacity.limit_bytes and wanted_gib * GIB > capacity.limit_bytes:
            raise OutOfRange(
                f"{wanted_gib} GiB is the smallest size that holds the request, above"
                f" capacity_range.limit_bytes {capacity.limit_bytes}",
                hint="raise the limit to a whole number of GiB",
            )
        size_gib = await self._deps.fly(
            ("growth of", volume_id),
            lambda: self._expand(volume_id, wanted_gib, capacity),
            arguments=capacity,
        )
        return Expanded(
            size_gib=size_gib, node_must_grow=capability is None or not capability.block
        )

    async def _expand(self, volume_id: VolumeId, wanted_gib: int, capacity: Capacity) -> int:
        async with self._deps.volumes.hold(volume_id):
            disk = await self._read(volume_id)
            if capacity.limit_bytes and disk.size_gib * GIB > capacity.limit_bytes:
                raise OutOfRange(
                    f"disk {volume_id} has {disk.size_gib} GiB already, above"
                    f" capacity_range.limit_bytes {capacity.limit_bytes}"
                )
            if disk.size_gib >= wanted_gib:
                return disk.size_gib
            return await self._grow(volume_id, wanted_gib)

    async def _grow(self, volume_id: VolumeId, wanted_gib: int) -> int:
        def grown(disk: Disk | None) -> bool:
            if disk is None:
                raise NotFound(f"disk {volume_id} is absent")
            return disk.size_gib >= wanted_gib

        stood = False
        async for _ in self._deps.attempts():
            try:
                await self._deps.cloud.resize_disk(volume_id, wanted_gib)
            except (*OPEN, OutOfRange, WrongState) as refusal:
                note_refusal(refusal)
                disk = await self._read(volume_id)
                if grown(disk):
                    return disk.size_gib
                stands = not isinstance(refusal, OPEN) and disk.state not in MOVING
                if stands and stood:
                    raise
                stood = stands  # once is no proof: the disk may have come to rest since
                continue
            disk_or_none = await self._deps.disks.wait(
                volume_id, grown, kind="expand",
                says=lambda disk: f"with {disk.size_gib} GiB, and {wanted_gib} are wanted",
            )  # fmt: skip
            return disk_or_none.size_gib if disk_or_none else wanted_gib
        raise UnknownOutcome(f"disk {volume_id} may be growing to {wanted_gib} GiB")

    async def _read(self, volume_id: VolumeId) -> Disk:
        disk = await self._deps.disks.get(volume_id)
        if disk is None:
            raise NotFound(f"disk {volume_id} is absent")
        return disk
