"""Disks as loop devices of one kernel that many machines share, each with a `/dev` of its own.

This process owns files and loop devices. An agent on each machine makes the device node and the
link by which that machine finds a disk, and takes them away. It is told the whole list each time,
so that whatever either of them missed is made good by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from mockcloud.hypervisor import loopdev
from mockcloud.hypervisor.base import Busy, Hypervisor, Known
from mockcloud.hypervisor.guests import Guest, Report, Send
from mockcloud.hypervisor.images import HypervisorError, Images
from mockcloud.hypervisor.loopdev import HeldLoop, LoopDevices

GONE_PAUSES_S: Final = (0.005, 0.01, 0.02, 0.04, 0.08)
"""Between looks whether a device is gone, after it was let go of: whoever lists devices opens each
for a moment. A later try of the cloud looks once."""


class AgentHypervisor(Hypervisor):
    """Loop devices here, device nodes by agents.

    Files and what was told survive it: it goes on where it ended.

    Args:
        root: of the files; made when it is missing.
    """

    def __init__(self, *, root: Path) -> None:
        self._images = Images(root=root)
        self._devices = LoopDevices(nodes=root)
        self._loops: dict[str, HeldLoop] = {}
        self._guests: dict[str, Guest] = {}

    def prove(self) -> None:
        """See that this process may make loop devices; raises HypervisorError."""
        self._devices.prove()

    def reachable(self, instance_id: str) -> bool:
        """A machine that is off takes disks as well: they appear when it starts."""
        guest = self._guests.get(instance_id)
        return guest is not None and (guest.send is not None or not guest.on)

    def fits(self, size_gib: int) -> bool:
        """As long as a file may be."""
        return self._images.fits(size_gib)

    async def create(self, serial: str, size_gib: int) -> None:
        """A sparse file."""
        self._images.create(serial, size_gib)

    async def restore(self, serial: str, snapshot_id: str, size_gib: int) -> None:
        """A copy of the snapshot, as long as the disk."""
        await self._images.restore(serial, snapshot_id, size_gib)

    async def attach(self, serial: str, instance_id: str, *, nvme: bool) -> None:
        """A loop device, and the machine's agent makes a node for it."""
        held = await self._found(serial)
        if held is None or held.descriptor is None:
            self._loops[serial] = await self._made(serial)
        guest = self._guest(instance_id)
        guest.wanted[serial] = nvme
        if not guest.on:
            return
        await guest.converge(self._described())
        if serial not in guest.there:
            why = guest.failed.get(serial, "it doesn't say why")
            logging.getLogger(__name__).warning(
                "node %s could not take disk %s: %s", guest.node, serial, why
            )
            raise Busy(f"node {guest.node} could not take disk {serial}: {why}")

    async def detach(self, serial: str, instance_id: str) -> None:
        """The agent takes the node away, and the loop device goes if nobody has it open.

        A machine whose agent is away counts by what it holds open: nothing, and the disk is free.
        """
        guest = self._guest(instance_id)
        wanted = guest.wanted.pop(serial, None) is not None
        if guest.send is not None and (wanted or serial in guest.there):
            await guest.converge(self._described())
            if serial in guest.there:
                raise Busy(f"node {guest.node} still uses disk {serial}")
        if any(serial in other.wanted for other in self._guests.values()):
            return
        if (held := await self._found(serial)) is not None:
            await self._release(held)
            self._loops.pop(serial, None)

    async def resize(self, serial: str, size_gib: int) -> None:
        """A longer file, told to the device."""
        self._images.resize(serial, size_gib)
        if (held := self._loops.get(serial)) is not None:
            loopdev.grow(held)

    async def snapshot(self, serial: str, snapshot_id: str) -> None:
        """A sparse copy; what a machine has handed to its device counts as written."""
        if (held := self._loops.get(serial)) is not None:
            await asyncio.to_thread(self._devices.flush, held)
        await self._images.cut(serial, snapshot_id)

    async def delete(self, serial: str) -> None:
        """Remove the file."""
        self._images.delete(serial)

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove the copy."""
        self._images.delete_snapshot(snapshot_id)

    async def power(self, instance_id: str, *, on: bool) -> None:
        """An agent that is away learns of it when it comes."""
        guest = self._guest(instance_id)
        guest.on = on
        with contextlib.suppress(Busy):
            await guest.tell(self._described())

    async def forget(self, instance_id: str) -> None:
        """What it holds is detached by the cloud, disk by disk."""
        await self.power(instance_id, on=False)

    async def close(self) -> None:
        """Close the devices: those that no machine has open go, and come again at the next start."""
        for held in self._loops.values():
            loopdev.let_go(held)
        self._loops.clear()

    async def adopt(self, told: Mapping[str, Any], known: Known) -> list[tuple[str, str]]:
        """Take up the devices that still are, and make the others again under their old numbers."""
        log = logging.getLogger(__name__)
        if orphans := self._images.keep_only({*known.held, *known.snapshots}):
            log.warning("removed files that no disk or snapshot has: %s", ", ".join(orphans))
        for instance_id in known.off:
            self._guest(instance_id).on = False
        for instance_id, wanted in told.get("wanted", {}).items():
            self._guest(instance_id).wanted = {
                serial: nvme
                for serial, nvme in wanted.items()
                if instance_id in known.held.get(serial, ())
            }
        numbers = told.get("loops", {})
        wanted = {one for guest in self._guests.values() for one in guest.wanted}
        for serial in wanted | known.held.keys():
            try:
                held = self._devices.adopted(self._image(serial))
                if held is None and serial in wanted:
                    held = self._devices.make(self._image(serial), number=numbers.get(serial))
            except (OSError, HypervisorError):
                log.exception("disk %s has no device yet", serial)
                continue
            if held is not None:  # on its way off a machine that has it open it is wanted nowhere
                self._loops[serial] = held
        return [
            (serial, instance_id)
            for instance_id, guest in self._guests.items()
            for serial in guest.wanted
            if serial not in self._loops
        ]

    def told(self) -> dict[str, Any]:
        """The numbers of the devices, and which machine shall have which."""
        return {
            "loops": {serial: held.number for serial, held in self._loops.items()},
            "wanted": {name: dict(guest.wanted) for name, guest in self._guests.items()},
        }

    def shown(self) -> dict[str, Any]:
        """Devices and agents."""
        return {
            "devices": [
                {
                    "serial": serial,
                    "device": f"loop{held.number}",
                    "wanted_on": [n for n, guest in self._guests.items() if serial in guest.wanted],
                    "there_on": [n for n, guest in self._guests.items() if serial in guest.there],
                }
                for serial, held in self._loops.items()
            ],
            "agents": [
                {
                    "instance": instance_id,
                    "node": guest.node,
                    "connected_since": guest.since if guest.send is not None else None,
                    "pending": sorted(guest.there.symmetric_difference(guest.wanted)),
                    "failed": dict(guest.failed),
                }
                for instance_id, guest in self._guests.items()
            ],
        }

    @contextlib.asynccontextmanager
    async def session(
        self, instance_id: str, node: str, send: Send, *, now: float
    ) -> AsyncIterator[None]:
        """While the block runs, an agent of this machine listens; the latest one counts."""
        guest = self._guest(instance_id)
        guest.node, guest.since, guest.send = node, now, send
        guest.answered = guest.revision  # what its predecessor left unanswered is asked anew
        with contextlib.suppress(Busy):
            await guest.tell(self._described())
        try:
            yield
        finally:
            if guest.send is send:
                guest.send = None

    def heard(self, instance_id: str, report: Report) -> None:
        """An agent's answer."""
        self._guest(instance_id).hears(report)

    def _guest(self, instance_id: str) -> Guest:
        return self._guests.setdefault(instance_id, Guest())

    def _image(self, serial: str) -> Path:
        return self._images.disk(serial)

    def _described(self) -> dict[str, dict[str, int]]:
        """What an agent must know of each device."""
        return {
            serial: {
                "number": held.number, "device": held.file.device, "inode": held.file.inode,
            }
            for serial, held in self._loops.items()
        }  # fmt: skip

    async def _found(self, serial: str) -> HeldLoop | None:
        """The disk's device, though it was missed at the start; raises Busy if that can't be told."""
        if serial not in self._loops:
            try:
                held = await asyncio.to_thread(self._devices.adopted, self._image(serial))
            except OSError as error:
                raise Busy(f"whether disk {serial} has a device can't be told: {error}") from error
            if held is not None:
                self._loops[serial] = held
        return self._loops.get(serial)

    async def _made(self, serial: str) -> HeldLoop:
        """A new device; what the kernel refuses now it may grant later."""
        try:
            return await asyncio.to_thread(self._devices.make, self._image(serial))
        except (OSError, HypervisorError) as error:
            logging.getLogger(__name__).warning("disk %s has no device yet: %s", serial, error)
            raise Busy(str(error)) from error

    async def _release(self, held: HeldLoop) -> None:
        """Let go of the device; raises Busy for as long as somebody else has it."""
        if held.descriptor is not None:
            if await asyncio.to_thread(self._devices.in_use, held):
                raise Busy(f"loop{held.number} is mounted somewhere, or can't be opened to see")
            await asyncio.to_thread(loopdev.let_go, held)
            for pause_s in GONE_PAUSES_S:
                if not self._devices.backs(held):
                    return
                await asyncio.sleep(pause_s)
        if self._devices.backs(held):
            raise Busy(f"somebody has loop{held.number} open")
