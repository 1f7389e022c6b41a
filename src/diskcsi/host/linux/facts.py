"""Gathers what bears on whether a device is blank; what can't be read stays None.

blkid and wipefs know the same signatures and look in different ways: blkid judges what the device
is, wipefs lists every magic number there is. Neither is believed alone.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Final

from diskcsi.host.linux import mountinfo
from diskcsi.host.linux.mounts import TABLE
from diskcsi.host.linux.run import run
from diskcsi.model.blank import DeviceFacts
from diskcsi.model.errors import DiskError
from diskcsi.ports.host import Device

EDGE_BYTES: Final = 4 * 1024**2
"""Read at head and tail. Partition tables, volume managers and filesystems begin within the first
MiB or two, and keep copies within the last one."""

NOTHING_FOUND: Final = 2
"""blkid's status for a device that it could read and found nothing on (blkid(8))."""


async def gather(device: Device, *, serial: str | None, sysfs: Path) -> DeviceFacts:
    """Read everything; no fact that fails keeps another from being read."""
    filesystem = await _filesystem(device)
    signatures = await _signatures(device)
    head, tail = await asyncio.to_thread(_edges, device)
    return DeviceFacts(
        serial=serial,
        size_bytes=await asyncio.to_thread(_size, device),
        filesystem=filesystem,
        signatures=signatures,
        head_is_zero=head,
        tail_is_zero=tail,
        partitions=await asyncio.to_thread(_partitions, sysfs),
        holders=await asyncio.to_thread(_names, sysfs / "holders"),
        mounts=await asyncio.to_thread(_mounts, device),
        exclusive=await asyncio.to_thread(_exclusive, device),
    )


async def _filesystem(device: Device) -> str | None:
    try:
        done = await run(["blkid", "--probe", "--output", "export", "--", device.path])
    except (DiskError, TimeoutError):
        return None
    if done.code == NOTHING_FOUND and not done.output.strip():
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


def _edges(device: Device) -> tuple[bool | None, bool | None]:
    head = _is_zero(device, 0, EDGE_BYTES)
    return head, _is_zero(device, max(device.size_bytes - EDGE_BYTES, 0), EDGE_BYTES)


def _is_zero(device: Device, offset: int, size: int) -> bool | None:
    expected = min(size, device.size_bytes - offset)
    try:
        with open(device.path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered
            # what is in the page cache may be older than the disk behind it
            os.posix_fadvise(file.fileno(), offset, expected, os.POSIX_FADV_DONTNEED)
            file.seek(offset)
            found = bytearray()
            while len(found) < expected:
                part = file.read(expected - len(found))
                if not part:
                    return None
                found += part
    except OSError:
        return None
    return not any(found)


def _size(device: Device) -> int | None:
    try:
        with open(device.path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered
            return file.seek(0, os.SEEK_END)
    except OSError:
        return None


def _partitions(sysfs: Path) -> tuple[str, ...] | None:
    try:
        return tuple(sorted(entry.parent.name for entry in sysfs.glob("*/partition")))
    except OSError:
        return None


def _names(directory: Path) -> tuple[str, ...] | None:
    try:
        return tuple(sorted(entry.name for entry in directory.iterdir()))
    except OSError:
        return None


def _mounts(device: Device) -> tuple[str, ...] | None:
    try:
        table = TABLE.read_text(errors="surrogateescape")
    except OSError:
        return None
    return tuple(
        entry.path
        for entry in mountinfo.parse(table)
        if entry.number == device.number or entry.source == device.path
    )


def _exclusive(device: Device) -> bool | None:
    """Whether an exclusive open succeeds: mounts and holders of any kind refuse it (open(2))."""
    try:
        os.close(os.open(device.path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except BlockingIOError:
        return None
    except OSError as error:
        return False if error.errno == 16 else None  # noqa: PLR2004 - EBUSY
    return True
