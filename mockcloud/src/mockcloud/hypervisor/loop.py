"""Disks as sparse files, attached as loop devices of this machine.

Each instance has a directory of its own that stands for its `/dev`: `ROOT/INSTANCE/dev`. An attached
disk appears there as `disk/by-id/virtio-SERIAL` (or the NVMe style of name), a link to the loop
device. The file behind the device is `SERIAL.img`, so that whoever looks can compare two facts.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mockcloud.hypervisor.base import Busy, Machines
from mockcloud.hypervisor.images import HypervisorError, Images, run

VIRTIO_LINK: Final = "virtio-{serial}"
TOOLS: Final = ("losetup", "blockdev", "umount", "cp")
NVME_LINK: Final = "nvme-Alibaba_Cloud_Elastic_Block_Storage_{serial}"

NO_FILE: Final = (errno.ENOENT, errno.ENODEV, errno.ENXIO)
"""What the kernel answers of a loop device without a file, or one that loses it at this moment."""

GONE_PAUSES_S: Final = (0.005, 0.01, 0.02, 0.04, 0.08)
"""Between looks whether a device is gone: whoever lists devices opens each for a moment."""


@dataclass(slots=True, frozen=True)
class _Device:
    path: str
    link: Path


class LoopHypervisor(Machines):
    """Loop devices under one directory, which it alone uses.

    Args:
        root: made when it is missing; emptied of disks and snapshots at the end.
    """

    def __init__(self, *, root: Path) -> None:
        self._root = root
        self._images = Images(root=root)
        self._devices: dict[tuple[str, str], _Device] = {}

    def device_root(self, instance_id: str) -> Path:
        """The directory that stands for a machine's `/dev`."""
        return self._root / instance_id / "dev"

    def fits(self, size_gib: int) -> bool:
        """As long as a file may be."""
        return self._images.fits(size_gib)

    async def create(self, serial: str, size_gib: int) -> None:
        """A sparse file: it takes room as it is written."""
        self._images.create(serial, size_gib)

    async def restore(self, serial: str, snapshot_id: str, size_gib: int) -> None:
        """A copy of the snapshot, as long as the disk."""
        await self._images.restore(serial, snapshot_id, size_gib)

    async def attach(self, serial: str, instance_id: str, *, nvme: bool) -> None:
        """A loop device, and the link by which the machine finds it."""
        name = (NVME_LINK if nvme else VIRTIO_LINK).format(serial=serial)
        link = self.device_root(instance_id) / "disk" / "by-id" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        others = [device.path for key, device in self._devices.items() if key[0] == serial]
        path = others[0] if others else await self._loop(serial)
        link.unlink(missing_ok=True)
        link.symlink_to(path)
        self._devices[(serial, instance_id)] = _Device(path, link)

    async def detach(self, serial: str, instance_id: str) -> None:
        """Remove the link and the device; a device in use stays as it is."""
        device = self._devices.get((serial, instance_id))
        if device is None:
            return
        shared = any(key != (serial, instance_id) and key[0] == serial for key in self._devices)
        if not shared:
            await self._release(device.path, self._images.disk(serial))
        device.link.unlink(missing_ok=True)
        del self._devices[(serial, instance_id)]

    async def resize(self, serial: str, size_gib: int) -> None:
        """A longer file, told to the device."""
        self._images.resize(serial, size_gib)
        for path in {device.path for key, device in self._devices.items() if key[0] == serial}:
            await run("losetup", "--set-capacity", path)

    async def snapshot(self, serial: str, snapshot_id: str) -> None:
        """A sparse copy of what is on the disk now."""
        for path in {device.path for key, device in self._devices.items() if key[0] == serial}:
            # what the machine has handed to its device counts as written, as on a real disk
            await run("blockdev", "--flushbufs", path)
        await self._images.cut(serial, snapshot_id)

    async def delete(self, serial: str) -> None:
        """Remove the file."""
        self._images.delete(serial)

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove the copy."""
        self._images.delete_snapshot(snapshot_id)

    async def close(self) -> None:
        """Take away every device and file; what a machine still has mounted is unmounted first.

        It goes by what the kernel knows: a device whose making was cut short is found as well. One
        that a machine still holds goes when that machine lets go of it.
        """
        for path, image in self._loops():
            try:
                await _unmount_all(path)
                await run("losetup", "--detach", path)
                await _gone(path, image)
            except HypervisorError:
                if _backs(path, image):  # else it went meanwhile; the others must go all the same
                    logging.getLogger(__name__).exception("%s could not be taken away", path)
        for device in self._devices.values():
            device.link.unlink(missing_ok=True)
        self._devices.clear()
        for links in self._root.glob("*/dev/disk/by-id"):
            _prune(links, self._root)
        self._images.remove()

    def _loops(self) -> list[tuple[str, Path]]:
        """The loop devices over our disks, each with its file."""
        names = sorted(device.parts[3] for device in Path("/sys/block").glob("loop*/loop"))
        found = [(f"/dev/{name}", _seen(name)) for name in names]
        return [(path, image) for path, image in found if image and self._is_ours(image)]

    def _is_ours(self, image: Path) -> bool:
        return image.parent == self._images.disks.resolve()

    async def _loop(self, serial: str) -> str:
        output = await run("losetup", "--find", "--show", str(self._images.disk(serial)))
        return output.strip()

    async def _release(self, path: str, image: Path) -> None:
        """Detach the loop device, but only if nobody holds it.

        The kernel would take the request at any time and carry it out at the last close: the
        cloud would call a disk detached that a machine still writes to.
        """
        if _backs(path, image):  # or an earlier try was carried out late
            try:
                await asyncio.to_thread(_written_out, path)
            except OSError as error:
                raise Busy(f"{path}: {error.strerror}") from error
            await run("losetup", "--detach", path)
        if not await _gone(path, image):
            raise Busy(f"{path}: somebody has it open")


def _written_out(path: str) -> None:
    """Let what was written reach the file behind: a disk's next device reads it from there."""
    device = os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    try:
        os.fsync(device)
    finally:
        os.close(device)


def _backing(path: str) -> Path | None:
    """The file behind a loop device; None when there is none.

    Raises:
        OSError: it could not be looked at, which is no proof that it is free.
    """
    try:
        text = Path("/sys/block", Path(path).name, "loop", "backing_file").read_text()
    except OSError as error:
        if error.errno in NO_FILE:
            return None
        raise
    return Path(text.rstrip("\n"))


def _seen(path: str) -> Path | None:
    """As `_backing`, for a look at every device of the machine: a stranger's may be none that shows."""
    try:
        return _backing(path)
    except OSError as error:
        logging.getLogger(__name__).warning("%s can't be looked at: %s", path, error.strerror)
        return None


def _backs(path: str, image: Path) -> bool:
    """Whether the device may have that file behind it: a look that fails proves nothing."""
    try:
        return _backing(path) == image.resolve()
    except OSError:
        return True


async def _gone(path: str, image: Path) -> bool:
    """Whether the device has left its file, once those had time who look at every device."""
    for pause_s in GONE_PAUSES_S:
        if not _backs(path, image):
            return True
        await asyncio.sleep(pause_s)
    return not _backs(path, image)


def loop_missing() -> str:
    """What keeps this machine from loop devices; empty when nothing does."""
    if os.geteuid() != 0:
        return "loop devices need root; run it as root, or use --hypervisor=none"
    if not Path("/dev/loop-control").exists():
        return "there is no /dev/loop-control; load the module `loop`, or use --hypervisor=none"
    if absent := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return (
            f"there is no {', '.join(absent)} on PATH; install util-linux and coreutils, or use"
            " --hypervisor=none"
        )
    return ""


def _prune(directory: Path, root: Path) -> None:
    """Remove the directories from here up to the root that are empty."""
    while directory != root:
        try:
            directory.rmdir()
        except OSError:
            return
        directory = directory.parent


async def _unmount_all(device: str) -> None:
    """Unmount what is mounted of the device, the latest mount first."""
    table = await asyncio.to_thread(Path("/proc/self/mounts").read_text)
    places = [line.split(" ")[1] for line in table.splitlines() if line.startswith(f"{device} ")]
    for place in reversed(places):
        await run("umount", "--lazy", place.encode().decode("unicode_escape"))
