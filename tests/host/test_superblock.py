from __future__ import annotations

import struct
from pathlib import Path

import pytest

from diskcsi.host.linux import superblock
from diskcsi.host.linux.filesystems import may_grow_mounted_ext

GIB = 1024**3


def _ext(blocks: int, *, shift: int = 2, wide: bool = True) -> bytes:
    start = bytearray(superblock.READ_BYTES)
    struct.pack_into("<I", start, 1024 + 0x4, blocks & 0xFFFFFFFF)
    struct.pack_into("<I", start, 1024 + 0x18, shift)
    struct.pack_into("<H", start, 1024 + 0x38, 0xEF53)
    struct.pack_into("<I", start, 1024 + 0x60, 0x80 if wide else 0)
    struct.pack_into("<I", start, 1024 + 0x150, blocks >> 32)
    return bytes(start)


def _xfs(blocks: int) -> bytes:
    return (b"XFSB" + struct.pack(">IQ", 4096, blocks)).ljust(superblock.READ_BYTES, b"\0")


def _btrfs(size: int) -> bytes:
    start = bytearray(superblock.READ_BYTES)
    start[65536 + 0x40 : 65536 + 0x48] = b"_BHRfS_M"
    struct.pack_into("<Q", start, 65536 + 0xC9 + 8, size)
    return bytes(start)


@pytest.mark.parametrize(
    ("start", "size"),
    [
        (_ext(5 * GIB // 4096), 5 * GIB),
        (_ext(1 << 33), (1 << 33) * 4096),
        (_ext((1 << 33) + 7, wide=False), 7 * 4096),
        (_ext(1000, shift=0), 1000 * 1024),
        (_xfs(5 * GIB // 4096), 5 * GIB),
        (_btrfs(5 * GIB), 5 * GIB),
        (bytes(superblock.READ_BYTES), None),
        (b"", None),
        (b"XFSB", None),
        (_ext(1)[:1100], None),
        (_btrfs(1)[:65700], None),
    ],
    ids=[
        "ext4", "ext4-above-16-tib", "ext4-without-64-bit", "ext4-small-blocks", "xfs", "btrfs",
        "zeros", "empty", "xfs-cut", "ext4-cut", "btrfs-cut",
    ],
)  # fmt: skip
def test_a_superblock_tells_its_filesystems_size(start: bytes, size: int | None) -> None:
    """Each format in its own place; what is unknown or cut tells nothing."""
    assert superblock.size_bytes(start) == size


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        ("Name:\tx\nCapEff:\t000001ffffffffff\n", True),
        ("Name:\tx\nCapEff:\t000001fffeffffff\n", False),
        ("Name:\tx\n", False),
    ],
)
def test_the_kernels_leave_is_read_from_the_process(
    tmp_path: Path, status: str, allowed: bool
) -> None:
    """Bit 24 of the effective capabilities is CAP_SYS_RESOURCE."""
    (tmp_path / "status").write_text(status)
    assert may_grow_mounted_ext(tmp_path / "status") is allowed
