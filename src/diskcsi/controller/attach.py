"""ControllerPublish and ControllerUnpublish: who holds a disk is what `Disk.attached_to` says.

Both act first and read afterwards: a call that the cloud refuses costs nothing, and the read that
follows tells why. Only a disk that was last seen where it should be is read first, which is what
makes the stock attacher's second call of each pair cheap.

A read may lag behind an attach that was begun a moment ago, so one read that shows a disk free
decides nothing while such an attach may be on its way: then the cloud is asked on, or reads have to
agree for `Timing.settle_s`.

A disk is never taken from another node (CSI spec, ControllerPublishVolume: FAILED_PRECONDITION).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import inf
from typing import Final

from diskcsi.aio.backoff import backoff
from diskcsi.aio.limiter import Priority
from diskcsi.aio.progress import note_refusal
from diskcsi.controller.access import refuse_unserved
from diskcsi.controller.deps import Deps
from diskcsi.controller.disks import Until
from diskcsi.controller.naming import LONGEST_LOOK_PAUSE_S, OPEN
from diskcsi.controller.unsettled import Unsettled
from diskcsi.model.capabilities import VolumeCapability
from diskcsi.model.errors import (
    MAYBE_RUNNING,
    DiskError,
    InUse,
    NodeBusy,
    NotFound,
    Pending,
    UnknownOutcome,
    WrongState,
)
from diskcsi.model.ids import NodeId, VolumeId
from diskcsi.model.publish import SIZE_KEY
from diskcsi.model.sizes import GIB
from diskcsi.model.volume import Disk, DiskState

MAYBE_BEGUN: Final = (Pending, UnknownOutcome, TimeoutError, InUse)
"""What an attach may be told while it, or one before it, is on its way."""


class _DroppedError(Exception):
    """The cloud accepted an attach, and the disk is at rest and free all the same."""


class Attacher:
    """Attaches disks to nodes and detaches them."""

    def __init__(self, *, deps: Deps) -> None:
        self._deps = deps
        self._unsettled = Unsettled(settle_s=deps.timing.settle_s)

    async def attach(
        self, volume_id: VolumeId, node_id: NodeId, capability: VolumeCapability
    ) -> Mapping[str, str]:
        """Hold the disk on the node; what the node needs to recognize it.

        Raises:
            NotFound: the disk or the node is absent.
            InUse: another node holds the disk; the message names it.
            Exhausted: the node takes no more disks.
            WrongState: disk and node don't fit, such as by zone.
        """
        await self._refuse_unserved(volume_id, capability)
        disk = await self._deps.fly(
            ("attach of", volume_id, "to", node_id), lambda: self._attach(volume_id, node_id)
        )
        return {
            **self._deps.rules.publish_context(disk),
            SIZE_KEY: str(disk.size_gib * GIB),
        }

    async def detach(self, volume_id: VolumeId, node_id: NodeId | None) -> None:
        """Take the disk off the node, or off every node when none is named; absent is fine."""
        if node_id is not None:
            await self._detach_in_flight(volume_id, node_id)
            return
        # an attach that runs has to end first
        async with self._deps.deadline(), self._deps.volumes.hold(volume_id):
            disk = await self._deps.disks.get(volume_id)
        if (
            disk is not None
            and (_is_on_its_way(disk) or volume_id in self._unsettled)
            and (disk.multi_attach or not disk.attached_to)
        ):
            raise Pending(f"disk {volume_id} is being attached, or may be")
        for holder in sorted(disk.attached_to) if disk else ():
            await self._detach_in_flight(volume_id, holder)

    async def _refuse_unserved(self, volume_id: VolumeId, capability: VolumeCapability) -> None:
        multi_attach = False
        if capability.mode.multi_node:
            async with self._deps.deadline():
                disk = _present(volume_id, await self._deps.disks.get(volume_id))
            multi_attach = disk.multi_attach
        refuse_unserved([capability], multi_attach=multi_attach, restored=True)

    async def _detach_in_flight(self, volume_id: VolumeId, node_id: NodeId) -> None:
        await self._deps.fly(
            ("detach of", volume_id, "from", node_id), lambda: self._detach(volume_id, node_id)
        )

    async def _attach(self, volume_id: VolumeId, node_id: NodeId) -> Disk:
        async with self._deps.volumes.hold(volume_id):
            seen = self._deps.disks.last_seen(volume_id)
            if _is_held(seen, node_id):
                disk = await self._deps.disks.get(volume_id)
                if disk is not None and _is_held(disk, node_id):
                    return disk
            async with self._deps.slots.hold(node_id, Priority.ATTACH):
                with self._unsettled.unless_certain(volume_id):
                    return await self._attach_in_slot(volume_id, node_id)

    async def _attach_in_slot(self, volume_id: VolumeId, node_id: NodeId) -> Disk:
        in_doubt = volume_id in self._unsettled
        stood = False
        async for _ in self._deps.attempts():
            fresh = True
            try:
                await self._deps.cloud.attach_disk(volume_id, node_id)
            except (*OPEN, InUse, WrongState) as refusal:
                self._note(refusal, volume_id, node_id)
                disk = await self._look(volume_id, node_id)
                if _is_held(disk, node_id):
                    return disk
                in_doubt = in_doubt or isinstance(refusal, MAYBE_BEGUN)
                stands = isinstance(refusal, WrongState) and _is_at_rest(disk)
                if stands and stood:
                    return await self._held_despite(refusal, volume_id, node_id, in_doubt=in_doubt)
                stood = stands  # once is no proof: the disk may have come to rest since
                if disk.state is not DiskState.ATTACHING:
                    continue
                fresh = False
            except DiskError as refusal:
                return await self._held_despite(refusal, volume_id, node_id, in_doubt=in_doubt)
            held = await self._wait_attached(volume_id, node_id, fresh=fresh)
            if held is not None:
                return held
        raise UnknownOutcome(f"disk {volume_id} may be on its way to node {node_id}")

    def _note(
        self, refusal: DiskError | TimeoutError, volume_id: VolumeId, node_id: NodeId
    ) -> None:
        """A node that is busy doesn't say with what."""
        busy = isinstance(refusal, NodeBusy)
        leaving = self._deps.disks.leaving(node_id, besides=volume_id) if busy else ""
        note_refusal(refusal, known=leaving)

    async def _look(self, volume_id: VolumeId, node_id: NodeId) -> Disk:
        disk = _present(volume_id, await self._deps.disks.get(volume_id))
        _refuse_held_elsewhere(disk, node_id)
        return disk

    async def _held_despite(
        self, refusal: Exception, volume_id: VolumeId, node_id: NodeId, *, in_doubt: bool
    ) -> Disk:
        """The disk that an earlier try attached although a later one was refused.

        The refusal stands only when there was no such try, or when reads agree that it came to
        nothing.
        """
        if not in_doubt or isinstance(refusal, MAYBE_RUNNING):
            raise refusal
        note_refusal(refusal)
        loop = asyncio.get_running_loop()
        timing = self._deps.timing
        rests_since_s = loop.time()
        looks = backoff(
            first_s=timing.retry_first_s, max_s=LONGEST_LOOK_PAUSE_S, random=self._deps.random
        )
        async for _ in looks:
            disk = await self._look(volume_id, node_id)
            if _is_held(disk, node_id):
                return disk
            if _is_on_its_way(disk):
                rests_since_s = loop.time()
            if loop.time() >= rests_since_s + timing.settle_s:
                break
        raise refusal

    async def _wait_attached(
        self, volume_id: VolumeId, node_id: NodeId, *, fresh: bool
    ) -> Disk | None:
        """The disk once the node holds it; None once the attach has surely come to nothing."""
        loop = asyncio.get_running_loop()
        begun_by_s = loop.time() + self._deps.timing.settle_s

        def attached(seen: Disk | None) -> bool:
            disk = _present(volume_id, seen)
            _refuse_held_elsewhere(disk, node_id)
            if disk.state is DiskState.AVAILABLE and loop.time() >= begun_by_s:
                raise _DroppedError  # its time is none to learn from
            return node_id in disk.attached_to

        try:
            seen = await self._deps.disks.wait(volume_id, attached, kind="attach", fresh=fresh)
        except _DroppedError:
            return None
        return _present(volume_id, seen)

    async def _detach(self, volume_id: VolumeId, node_id: NodeId) -> None:
        def detached(disk: Disk | None) -> bool:
            return disk is None or node_id not in disk.attached_to

        async with self._deps.volumes.hold(volume_id):
            seen = self._deps.disks.last_seen(volume_id)
            if seen is not None and detached(seen) and volume_id not in self._unsettled:
                disk = await self._deps.disks.get(volume_id)
                if detached(disk) and not _is_on_its_way(disk):
                    return
            async with self._deps.slots.hold(node_id, Priority.DETACH):
                await self._detach_in_slot(volume_id, node_id, detached)

    async def _detach_in_slot(self, volume_id: VolumeId, node_id: NodeId, detached: Until) -> None:
        loop = asyncio.get_running_loop()
        free_since_s = inf
        async for _ in self._deps.attempts():
            fresh = True
            try:
                await self._deps.cloud.detach_disk(volume_id, node_id)
            except (*OPEN, NotFound, WrongState, InUse) as refusal:
                self._note(refusal, volume_id, node_id)
                disk = await self._deps.disks.get(volume_id)
                is_free = detached(disk) and not _is_on_its_way(disk)
                free_since_s = min(free_since_s, loop.time()) if is_free else inf
                told = isinstance(refusal, NotFound | WrongState)
                if is_free and told and volume_id not in self._unsettled:
                    return
                if loop.time() >= free_since_s + self._deps.timing.settle_s:
                    return
                if disk is None or is_free or disk.state is not DiskState.DETACHING:
                    continue
                fresh = False
            await self._deps.disks.wait(volume_id, detached, kind="detach", fresh=fresh)
            return


def _present(volume_id: VolumeId, disk: Disk | None) -> Disk:
    if disk is None:
        raise NotFound(f"disk {volume_id} is absent")
    return disk


def _is_held(disk: Disk | None, node_id: NodeId) -> bool:
    """Whether the node holds the disk and keeps it: one on its way off is soon gone."""
    return (
        disk is not None and node_id in disk.attached_to and disk.state is not DiskState.DETACHING
    )


def _is_on_its_way(disk: Disk | None) -> bool:
    """Whether an attach runs that was begun earlier: it has to end before it can be undone."""
    return disk is not None and disk.state is DiskState.ATTACHING


def _is_at_rest(disk: Disk) -> bool:
    """Whether the state won't pass by itself; one without holder may lag behind a detach."""
    return disk.state in (DiskState.AVAILABLE, DiskState.FAILED) or (
        disk.state is DiskState.IN_USE and bool(disk.attached_to)
    )


def _refuse_held_elsewhere(disk: Disk, node_id: NodeId) -> None:
    if disk.multi_attach or node_id in disk.attached_to or not disk.attached_to:
        return
    holder = min(disk.attached_to)
    raise InUse(
        f"disk {disk.id} is attached to node {holder}",
        by=holder,
        hint=f"it can be attached to {node_id} once it has left {holder}",
    )
