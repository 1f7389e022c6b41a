"""Gathers what bears on whether a device is blank; what can't be read stays None.

blkid and wipefs know the same signatures and look in different ways: blkid judges what the device
is, wipefs lists every magic number there is. Neither is believed alone. What they read must be what
the disk holds now: the kernel's copies are dropped first, and the zeros are read past them.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from diskcsi.host.linux import mountinfo
from diskcsi.host.linux.patience import Patience
from diskcsi.host.linux.run import run
from diskcsi.model.blank import DeviceFacts
from diskcsi.model.errors import DiskError
from diskcsi.ports.host import Device

Answer = TypeVar("Answer")

EDGE_BYTES: Final = 4 * 1024**2
"""Read at head and tail. Partition tables, volume managers and filesystems begin within the first
MiB or two, and keep copies within the last one."""

CHUNK_BYTES: Final = 256 * 1024
"""One read; larger ones took twice as long, since they leave the processor's cache."""

NOTHING_FOUND: Final = 2
"""blkid's status for a device that it could read and found nothing on (blkid(8)); it gives it too
for one that it could not open, and then says so."""

BLKFLSBUF: Final = 0x1261
"""Write back and drop what the kernel keeps of a device (linux/fs.h)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What this process sees for itself."""

    size_bytes: int | None = None
    head_is_zero: bool | None = None
    tail_is_zero: bool | None = None
    partitions: tuple[str, ...] | None = None
    holders: tuple[str, ...] | None = None
    mounts: tuple[str, ...] | None = None
    exclusive: bool | None = None


async def gather(
    device: Device, *, serial: str | None, attachment: str | None, sysfs: Path, patience: Patience
) -> DeviceFacts:
    """Read everything; no fact that fails keeps another from being read.

    What is asked of one attachment is never answered by a look at another one, that hung until now.
    """
    which = f"{device.path} with {serial} ({attachment})"
    fresh = await _asked(patience, f"flush {which}", lambda: _flush(device), default=False)
    seeing = f"look at {which}"
    async with asyncio.TaskGroup() as tasks:
        filesystem = tasks.create_task(_filesystem(device))
        signatures = tasks.create_task(_signatures(device))
        seen = await _asked(patience, seeing, lambda: _look(device, sysfs), default=_Seen())
    return DeviceFacts(
        serial=serial,
        size_bytes=seen.size_bytes,
        filesystem=filesystem.result() if fresh else None,
        signatures=signatures.result() if fresh else None,
        head_is_zero=seen.head_is_zero,
        tail_is_zero=seen.tail_is_zero,
        partitions=seen.partitions,
        holders=seen.holders,
        mounts=seen.mounts,
        exclusive=seen.exclusive,
    )


async def _asked(
    patience: Patience, question: str, look: Callable[[], Answer], *, default: Answer
) -> Answer:
    try:
        return await patience.ask(question, look)
    except TimeoutError:
        return default


async def _filesystem(device: Device) -> str | None:
    try:
        done = await run(["blkid", "--probe", "--output", "export", "--", device.path])
    except (DiskError, TimeoutError):
        return None
    if done.code == NOTHING_FOUND and not (done.output.strip() or done.errors.strip()):
        return ""
    if done.code:
        return None  # several signatures contradict each other, or it could not be read
    told = dict(line.split("=", 1) for line in done.output.splitlines() if "=" in line)
    return told.get("TYPE") or told.get("PTTYPE")


async def _signatures(device: Device) -> tuple[str, ...] | None:
    try:
        done = await run(["wipefs", "--no-act", "--json", "--", device.path])
    except (DiskError, TimeoutError):
        return None
    if done.code or done.errors.strip():
        return None
    if not done.output.strip():
        return ()
    try:
        found = json.loads(done.output)["signatures"]
        return tuple(dict.fromkeys(str(one["type"]) for one in found))
    except (ValueError, KeyError, TypeError):
        return None


def _look(device: Device, sysfs: Path) -> _Seen:
    head, tail = _edges(device)
    return _Seen(
        size_bytes=_size(device),
        head_is_zero=head,
        tail_is_zero=tail,
        partitions=_partitions(sysfs),
        holders=_names(sysfs / "holders"),
        mounts=_mounts(device),
        exclusive=_exclusive(device),
    )


def _flush(device: Device) -> bool:
    try:
        with _opened(device) as file:
            fcntl.ioctl(file, BLKFLSBUF, 0)
    except OSError:
        return False
    return True


def _edges(device: Device) -> tuple[bool | None, bool | None]:
    size = min(EDGE_BYTES, device.size_bytes)
    try:
        with _opened(device, os.O_DIRECT) as file:
            return _is_zero(file, 0, size), _is_zero(file, device.size_bytes - size, size)
    except OSError:
        return None, None


def _is_zero(file: int, offset: int, size: int) -> bool | None:
    """Whether this part holds zeros only; the buffer is a page's own, as a direct read wants."""
    zeros = bytes(CHUNK_BYTES)
    end = offset + size
    with mmap.mmap(-1, CHUNK_BYTES) as buffer:
        while offset < end:
            try:
                with memoryview(buffer)[: end - offset] as part:
                    got = os.preadv(file, [part], offset)
            except OSError:
                return None
            if not got:
                return None
            if buffer[:got] != zeros[:got]:
                return False
            offset += got
    return True


def _size(device: Device) -> int | None:
    try:
        with _opened(device) as file:
            return os.lseek(file, 0, os.SEEK_END)
    except OSError:
        return None


@contextmanager
def _opened(device: Device, flags: int = 0) -> Iterator[int]:
    file = os.open(device.path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        yield file
    finally:
        os.close(file)


def _partitions(sysfs: Path) -> tuple[str, ...] | None:
    try:
        return tuple(
            sorted(entry.name for entry in sysfs.iterdir() if (entry / "partition").exists())
        )
    except OSError:
        return None


def _names(directory: Path) -> tuple[str, ...] | None:
    try:
        return tuple(sorted(entry.name for entry in directory.iterdir()))
    except OSError:
        return None


def _mounts(device: Device) -> tuple[str, ...] | None:
    try:
        table = mountinfo.read()
    except OSError:
        return None
    return tuple(
        entry.path
        for entry in table
        if entry.number == device.number or entry.source == device.path
    )


def _exclusive(device: Device) -> bool | None:
    """Whether an exclusive open succeeds: mounts and holders of any kind refuse it (open(2))."""
    try:
        with _opened(device, os.O_EXCL):
            return True
    except OSError as error:
        return False if error.errno == errno.EBUSY else None
