"""Block devices: found by serial, within a deadline, and never the machine's own."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from io import FileIO
from pathlib import Path
from random import Random
from typing import Final

from diskcsi.aio.backoff import backoff
from diskcsi.host.linux import facts, mountinfo
from diskcsi.host.linux.identity import Identity
from diskcsi.host.linux.patience import Patience
from diskcsi.model.blank import DeviceFacts
from diskcsi.model.errors import DiskError, Pending, Unreachable, WrongState
from diskcsi.ports.host import Device

SECTOR_BYTES: Final = 512
"""Sysfs tells sizes in these, whatever the device's own block is (Linux, ABI/stable/sysfs-block)."""

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""Another one after every start of the machine (random(4))."""

LOOK_FIRST_S: Final = 0.05
LOOK_MAX_S: Final = 0.5
"""A look reads a few files of sysfs; an attached disk appears within a second or two."""

CLOSE_S: Final = 2.0
"""Whoever was cancelled may not be kept by a dead disk; its thread is left behind."""

GONE: Final = (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EIO)
"""What the kernel says of a device that went, or is going."""

SHORT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class LinuxDevices:
    """Implements `diskcsi.ports.host.BlockDevices`.

    Args:
        own_paths: directories of the machine itself, such as `/` and kubelet's: a device that
            one of them lives on is never handed out.
        wait_s: how long `find` waits for a device to appear.
    """

    def __init__(
        self, *, identity: Identity, own_paths: Collection[str], wait_s: float, random: Random
    ) -> None:
        self._identity = identity
        self._own_paths = tuple(own_paths)
        self._wait_s = wait_s
        self._random = random
        self._patience = Patience()

    async def find(self, serial: str, links: Sequence[str]) -> Device:
        """Look until the device is there; sysfs decides, the links only come first."""
        try:
            async with asyncio.timeout(self._wait_s):
                async for _ in backoff(first_s=LOOK_FIRST_S, max_s=LOOK_MAX_S, random=self._random):
                    device = await asyncio.to_thread(self._look, serial, links)
                    if device is not None:
                        return device
        except TimeoutError:
            pass
        seen = await asyncio.to_thread(self._serials)
        raise Pending(
            f"no device with serial {serial} appeared in {self._wait_s:g} s;"
            f" there are {', '.join(seen) or 'none that tell a serial'}",
            hint="the disk may still be on its way, or identity_sources may leave out its kind",
        )

    async def numbered(self, number: str) -> Device | None:
        """The device of this number, by the kernel's own index of them."""
        return await asyncio.to_thread(self._numbered, number)

    async def is_there(self, number: str) -> bool:
        """Partitions and devices of other machines on this kernel are there, too."""
        link = self._identity.sysfs_root / "dev" / "block" / number
        return await asyncio.to_thread(link.exists)

    async def serial_of(self, device: Device) -> str | None:
        """What it says of itself."""
        return await asyncio.to_thread(self._identity.serial, Path(device.path).name)

    async def attachment(self, device: Device) -> str | None:
        """The kernel numbers devices as they come (sysfs, diskseq), from one start to the next."""
        block = self._identity.sysfs_root / "block" / Path(device.path).name
        return await asyncio.to_thread(_attachment, block)

    @asynccontextmanager
    async def held(self, device: Device) -> AsyncIterator[None]:
        """Keep it open: the kernel frees number and name of a device with its last descriptor."""
        which = f"{device.path} ({await self.attachment(device)})"
        try:
            opened = await self._patience.ask(f"open {which}", lambda: _opened(device))
        except OSError as error:  # no answer in time is one, too
            raise _not_held(device, error) from error
        close = f"close {which}, descriptor {opened.fileno()}"
        try:
            yield
        finally:
            with suppress(OSError):  # the last close writes back, maybe to a dead disk
                await self._patience.ask(close, opened.close, timeout_s=CLOSE_S)

    async def facts(self, device: Device) -> DeviceFacts:
        """Everything that bears on whether it is blank."""
        name = Path(device.path).name
        return await facts.gather(
            device,
            serial=await asyncio.to_thread(self._identity.serial, name),
            attachment=await self.attachment(device),
            sysfs=self._identity.sysfs_root / "block" / name,
            patience=self._patience,
        )

    def _look(self, serial: str, links: Iterable[str]) -> Device | None:
        names = dict.fromkeys([*self._identity.linked(list(links)), *self._identity.names()])
        found = [name for name in names if self._identity.serial(name) == serial]
        if not found:
            return None
        if len(found) > 1:
            raise WrongState(
                f"serial {serial} is told by {' and '.join(found)}: neither is touched",
                hint="one of them is a copy or a leftover: detach it",
            )
        if found[0] in self._own_names():
            raise WrongState(
                f"device {found[0]} has serial {serial} and holds the machine's own files",
                hint="a system disk is never used as a volume",
            )
        return self._device(found[0])

    def _device(self, name: str) -> Device | None:
        """None while the kernel has no node, number or size for it."""
        block = self._identity.sysfs_root / "block" / name
        try:
            number = (block / "dev").read_text().strip()
            size_bytes = int((block / "size").read_text()) * SECTOR_BYTES
        except (OSError, ValueError):
            return None
        path = self._node(name)
        if path is None or not size_bytes:
            return None
        return Device(path=str(path), number=number, size_bytes=size_bytes)

    def _node(self, name: str) -> Path | None:
        """The device's node: in this machine's directory, or where its links point."""
        here = self._identity.device_root / name
        if here.is_block_device():
            return here
        by_id = self._identity.device_root / "disk" / "by-id"
        try:
            for link in by_id.iterdir():
                target = link.resolve()
                if target.name == name and target.is_block_device():
                    return target
        except OSError:
            return None
        return None

    def _numbered(self, number: str) -> Device | None:
        link = self._identity.sysfs_root / "dev" / "block" / number
        try:
            return self._device(link.resolve(strict=True).name)
        except OSError:
            return None

    def _own_names(self) -> set[str]:
        """The machine's own devices, down to the whole disks below partitions and mappings."""
        wanted = {os.path.realpath(path) for path in self._own_paths}
        numbers = {entry.device_number for entry in mountinfo.read() if entry.path in wanted}
        for path in wanted:
            try:
                device = Path(path).stat().st_dev
            except OSError:
                continue
            numbers.add(f"{os.major(device)}:{os.minor(device)}")
        links = self._identity.sysfs_root / "dev" / "block"
        return {
            name
            for number in numbers
            if (links / number).exists()
            for name in _names_below((links / number).resolve())
        }

    def _serials(self) -> list[str]:
        told = ((name, self._identity.serial(name)) for name in self._identity.names())
        return [f"{name} with {serial}" for name, serial in told if serial]


def _opened(device: Device) -> FileIO:
    """Open the device that was found; it closes itself where nobody waits for it any more."""
    opened = FileIO(device.path)
    number = os.fstat(opened.fileno()).st_rdev
    if device.number != f"{os.major(number)}:{os.minor(number)}":
        opened.close()
        raise OSError(errno.ENODEV, "it is not the one that was found", device.path)
    return opened


def _not_held(device: Device, error: OSError) -> DiskError:
    """What follows from an open that failed."""
    said = f"device {device.path} can't be held: {error.strerror or error}"
    if error.errno in SHORT:
        return Unreachable(said, hint="the machine is short of files or memory")
    if isinstance(error, TimeoutError) or error.errno in GONE:
        return Pending(said)
    return WrongState(said, hint="the plug-in must run as root, in a privileged container")


def _attachment(block: Path) -> str | None:
    try:
        start, come = BOOT_ID.read_text().strip(), (block / "diskseq").read_text().strip()
    except OSError:
        return None
    return f"{start}/{come}"


def _names_below(block: Path) -> Iterator[str]:
    """A device in sysfs, and what it is made of."""
    if (block / "partition").exists():
        block = block.parent
    yield block.name
    if (block / "slaves").is_dir():
        for slave in (block / "slaves").iterdir():
            yield from _names_below(slave.resolve())
