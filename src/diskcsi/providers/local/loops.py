"""Loop devices by ioctl (Linux, include/uapi/linux/loop.h), and who of them holds a file.

A provider starts no processes, so losetup is not for it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path
from typing import Final

from diskcsi.spi import Exhausted, Pending, Unreachable

LOOP_CTL_GET_FREE: Final = 0x4C82
LOOP_SET_FD: Final = 0x4C00
LOOP_CLR_FD: Final = 0x4C01
LOOP_SET_CAPACITY: Final = 0x4C07

CONTROL: Final = Path("/dev/loop-control")
TRIES: Final = 20
"""Another process may take the free device first; so often in a row it doesn't."""


def holder(image: Path) -> str | None:
    """The kernel's name of the loop device over this file, such as `loop3`; None without one."""
    for block in Path("/sys/block").glob("loop*"):
        try:
            backing = (block / "loop" / "backing_file").read_text().rstrip("\n")
        except OSError:
            continue  # it is not set up, or was taken down in this moment
        if backing == str(image):
            return block.name
    return None


def attach(image: Path) -> str:
    """A loop device over the file; its kernel name.

    Raises:
        Unreachable: this machine, or this process, can't make loop devices.
        Exhausted: no device can be had.
    """
    try:
        control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise Unreachable(
            f"{CONTROL} can't be opened: {error.strerror}",
            hint="run as root, and load the kernel module loop",
        ) from error
    try:
        with _opened(image, os.O_RDWR) as file:
            for _ in range(TRIES):
                name = f"loop{ioctl(control, LOOP_CTL_GET_FREE)}"
                if _set_up(name, file):
                    return name
    finally:
        os.close(control)
    raise Exhausted(f"no loop device is free for {image.name}")


def _set_up(name: str, file: int) -> bool:
    """Whether the device took the file; not when another process was faster."""
    with _opened(_node(name), os.O_RDWR) as device:
        try:
            ioctl(device, LOOP_SET_FD, file)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return False
            raise
    return True


def detach(name: str) -> None:
    """Take the device down; one that others have open goes when the last of them closes it.

    Raises:
        Pending: somebody uses it alone, such as a mount, and will for long.
    """
    try:
        device = os.open(_node(name), os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Pending(f"/dev/{name} is in use, such as by a mount") from error
        raise
    try:
        ioctl(device, LOOP_CLR_FD, 0)
    finally:
        os.close(device)


def tell_size(name: str) -> None:
    """Let the device see that its file has grown."""
    with _opened(_node(name), os.O_RDONLY) as device:
        ioctl(device, LOOP_SET_CAPACITY, 0)


def flush(name: str) -> None:
    """Write what the kernel keeps of the device into its file."""
    with _opened(_node(name), os.O_RDWR) as device:
        os.fsync(device)


def _node(name: str) -> Path:
    return Path("/dev", name)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
