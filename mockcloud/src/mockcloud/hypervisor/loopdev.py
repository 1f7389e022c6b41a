"""Loop devices by the kernel's own calls, held open.

A device that this process holds clears itself when the last descriptor is closed, whatever becomes
of the process. No tool and no udev is needed, nor a `/dev` that follows the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mockcloud.hypervisor.images import HypervisorError

BLOCKS: Final = Path("/sys/block")

# linux/loop.h and linux/fs.h
LOOP_GET_STATUS64: Final = 0x4C05
LOOP_SET_CAPACITY: Final = 0x4C07
LOOP_CONFIGURE: Final = 0x4C0A
LOOP_CTL_GET_FREE: Final = 0x4C82
BLKFLSBUF: Final = 0x1261
LO_FLAGS_AUTOCLEAR: Final = 4
LOOP_MAJOR: Final = 7
CONTROL: Final = os.makedev(10, 237)
INFO: Final = struct.Struct("=5Q4I64s64s32s2Q")
CONFIG_HEAD: Final = struct.Struct("=2I")
CONFIG_TAIL_BYTES: Final = 64
NAME_BYTES: Final = 63

NO_DEVICE: Final = (errno.ENXIO, errno.ENODEV)
"""The errors by which the kernel says that there is none; any other says nothing of a device."""

TRIES: Final = 20
"""Another program may take the number that the kernel calls free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFile:
    """Which file is behind a loop device: what tells it from all others on this kernel."""

    device: int
    inode: int


@dataclass(slots=True, kw_only=True)
class HeldLoop:
    """A loop device that this process keeps open; `descriptor` is None once it let go."""

    number: int
    file: LoopFile
    descriptor: int | None


class LoopDevices:
    """Makes and finds loop devices.

    Args:
        nodes: where device nodes may be made for a moment, if `/dev` has them not.
    """

    def __init__(self, *, nodes: Path) -> None:
        self._nodes = nodes

    def prove(self) -> None:
        """See that devices can be made and opened here.

        Raises:
            HypervisorError: they can't.
        """
        try:
            os.close(self.open(self._free(), os.O_RDWR))
        except OSError as error:
            raise HypervisorError(
                f"loop devices can't be made here: {error.strerror}; run it as root, in a cluster in"
                f" a privileged pod, with {self._nodes} on a filesystem that takes device nodes"
            ) from error

    def make(self, image: Path, *, number: int | None = None) -> HeldLoop:
        """A device over the file, of this number if it is free.

        Raises:
            HypervisorError: the kernel makes none.
        """
        backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
        try:
            file = _file(backing)
            if number is not None and (held := self._configured(number, backing, file, image)):
                return held
            for _ in range(TRIES):
                if held := self._configured(self._free(), backing, file, image):
                    return held
        except OSError as error:
            raise HypervisorError(f"no loop device for {image}: {error.strerror}") from error
        finally:
            os.close(backing)
        raise HypervisorError(f"no loop device for {image}: each free one was taken by others")

    def adopted(self, image: Path) -> HeldLoop | None:
        """The device that is there already over the file, held from now on.

        Raises:
            OSError: that can't be told now.
        """
        try:
            status = image.stat()
        except FileNotFoundError:  # it is still to be made
            return None
        wanted = LoopFile(device=status.st_dev, inode=status.st_ino)
        for number in numbers_named(image.name):
            descriptor = self.open(number, os.O_RDWR)
            found = False
            try:
                found = file_behind(descriptor) == wanted
            finally:
                if not found:
                    os.close(descriptor)
            if found:
                return HeldLoop(number=number, file=wanted, descriptor=descriptor)
        return None

    def open(self, number: int, flags: int) -> int:
        """A descriptor of the device."""
        return self._opened(f"loop{number}", stat.S_IFBLK, os.makedev(LOOP_MAJOR, number), flags)

    def in_use(self, held: HeldLoop) -> bool:
        """Whether a mount, or another that wants the device for itself, has it.

        One that can't be opened may be: a disk that is taken for free goes to another machine.
        """
        try:
            os.close(self.open(held.number, os.O_RDONLY | os.O_EXCL))
        except OSError as error:
            return error.errno not in NO_DEVICE
        return False

    def backs(self, held: HeldLoop) -> bool:
        """Whether the device is still over its file, or may be, since nothing can be seen now."""
        try:
            if not backing_name(held.number):
                return False
            if held.descriptor is not None:
                return file_behind(held.descriptor) == held.file
            descriptor = self.open(held.number, os.O_RDONLY)
        except OSError:
            return True
        try:
            return file_behind(descriptor) == held.file
        except OSError:
            return True
        finally:
            os.close(descriptor)

    def flush(self, held: HeldLoop) -> None:
        """Let what machines have handed to the device reach the file; it may be let go of meanwhile."""
        descriptor = self.open(held.number, os.O_RDONLY)
        try:
            if file_behind(descriptor) == held.file:
                fcntl.ioctl(descriptor, BLKFLSBUF)
        finally:
            os.close(descriptor)

    def _configured(
        self, number: int, backing: int, file: LoopFile, image: Path
    ) -> HeldLoop | None:
        """The device over the file; None when its number was taken."""
        descriptor = self.open(number, os.O_RDWR)
        name = image.name.encode()[:NAME_BYTES]
        info = INFO.pack(0, 0, 0, 0, 0, number, 0, 0, LO_FLAGS_AUTOCLEAR, name, b"", b"", 0, 0)
        config = CONFIG_HEAD.pack(backing, 0) + info + bytes(CONFIG_TAIL_BYTES)
        try:
            fcntl.ioctl(descriptor, LOOP_CONFIGURE, config)
        except OSError as error:
            os.close(descriptor)
            if error.errno == errno.EBUSY:
                return None
            raise
        return HeldLoop(number=number, file=file, descriptor=descriptor)

    def _free(self) -> int:
        control = self._opened("loop-control", stat.S_IFCHR, CONTROL, os.O_RDWR)
        try:
            return fcntl.ioctl(control, LOOP_CTL_GET_FREE)
        finally:
            os.close(control)

    def _opened(self, name: str, kind: int, device: int, flags: int) -> int:
        usual = Path("/dev", name)
        with contextlib.suppress(FileNotFoundError):
            if usual.stat().st_rdev == device:
                return os.open(usual, flags | os.O_CLOEXEC)
        node = self._nodes / f".{name}.{os.getpid()}.{threading.get_ident()}"
        node.unlink(missing_ok=True)
        os.mknod(node, kind | 0o600, device)
        try:
            return os.open(node, flags | os.O_CLOEXEC)
        finally:
            node.unlink(missing_ok=True)


def let_go(held: HeldLoop) -> None:
    """Close the device; the kernel clears it when nobody else has it open."""
    if held.descriptor is not None:
        descriptor, held.descriptor = held.descriptor, None
        os.close(descriptor)


def grow(held: HeldLoop) -> None:
    """Tell the device its file's new length."""
    if held.descriptor is not None:
        fcntl.ioctl(held.descriptor, LOOP_SET_CAPACITY)


def file_behind(descriptor: int) -> LoopFile | None:
    """The file behind an open loop device; None when there is none.

    Raises:
        OSError: that can't be told now.
    """
    told = bytearray(INFO.size)
    try:
        fcntl.ioctl(descriptor, LOOP_GET_STATUS64, told)
    except OSError as error:
        if error.errno in NO_DEVICE:
            return None
        raise
    device, inode = INFO.unpack(told)[:2]
    return LoopFile(device=device, inode=inode)


def backing_name(number: int) -> str:
    """The name of the file behind a device, as the kernel shows it; empty when there is none.

    The path before it is that of a mount namespace, and may mean nothing here.

    Raises:
        OSError: the kernel doesn't show it now.
    """
    try:
        text = (BLOCKS / f"loop{number}" / "loop" / "backing_file").read_text()
    except OSError as error:
        if error.errno in (*NO_DEVICE, errno.ENOENT):
            return ""
        raise
    return Path(text.rstrip("\n").removesuffix(" (deleted)")).name


def numbers_named(name: str) -> Iterator[int]:
    """Numbers of the devices over files of this name.

    Raises:
        OSError: of one that can't be looked at, once all others were: it may be another's.
    """
    unseen: OSError | None = None
    for path in sorted(BLOCKS.iterdir()):
        number = path.name.removeprefix("loop")
        try:
            ours = number.isdigit() and backing_name(int(number)) == name
        except OSError as error:
            ours, unseen = False, error
        if ours:
            yield int(number)
    if unseen is not None:
        raise unseen


def _file(descriptor: int) -> LoopFile:
    status = os.fstat(descriptor)
    return LoopFile(device=status.st_dev, inode=status.st_ino)
