"""Sparse copies of images: by reference where the filesystem can, else only what holds data."""

from __future__ import annotations

import errno
import os
from fcntl import ioctl
from pathlib import Path
from typing import Final

FICLONE: Final = 0x40049409
"""Share all blocks with another file, in one step (ioctl_ficlone(2))."""

NO_CLONES: Final = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS)


def clone(source: int, target: int) -> bool:
    """Whether the target became the source in one step."""
    try:
        ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in NO_CLONES:
            return False
        raise
    return True


def copy(source: Path, target: Path) -> None:
    """Copy an image to a file that doesn't exist yet; in one step where the filesystem can."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    read = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    write = os.open(target, flags, 0o600)
    try:
        if not clone(read, write):
            size = os.fstat(read).st_size
            os.truncate(write, size)
            _copy_data(read, write, size)
    finally:
        os.close(read)
        os.close(write)


def can_clone(source: Path, directory: Path) -> bool:
    """Whether a copy of `source` in `directory` is one step."""
    probe = directory / f".{source.name}.probe"
    read = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    write = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        return clone(read, write)
    finally:
        os.close(read)
        os.close(write)
        probe.unlink()


def _copy_data(read: int, write: int, size: int) -> None:
    """Copy what holds data and leave the holes (lseek(2), SEEK_DATA and SEEK_HOLE)."""
    at = 0
    while at < size:
        try:
            begin = os.lseek(read, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # nothing but a hole up to the end
            raise
        at = os.lseek(read, begin, os.SEEK_HOLE)
        while begin < at:
            copied = os.copy_file_range(read, write, at - begin, begin, begin)
            if not copied:
                raise OSError(errno.EIO, "the image became shorter while it was copied")
            begin += copied
