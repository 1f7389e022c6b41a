"""How large a filesystem says it is, from its superblock (each format's on-disk documentation)."""

from __future__ import annotations

import struct
from typing import Final

READ_BYTES: Final = 65536 + 4096
"""From the start of a device to the end of the last superblock below, btrfs's."""

EXT_AT, EXT_MAGIC, EXT_64BIT = 1024, 0xEF53, 0x80
XFS_MAGIC: Final = b"XFSB"
BTRFS_AT, BTRFS_MAGIC = 65536, b"_BHRfS_M"


def size_bytes(start: bytes) -> int | None:
    """The size that the superblock in a device's first bytes tells; None without a known one."""
    for read in (_ext, _xfs, _btrfs):
        try:
            size = read(start)
        except struct.error:
            continue
        if size is not None:
            return size
    return None


def _ext(start: bytes) -> int | None:
    (magic,) = struct.unpack_from("<H", start, EXT_AT + 0x38)
    if magic != EXT_MAGIC:
        return None
    low: int
    shift: int
    (low,) = struct.unpack_from("<I", start, EXT_AT + 0x4)
    (shift,) = struct.unpack_from("<I", start, EXT_AT + 0x18)
    (incompatible,) = struct.unpack_from("<I", start, EXT_AT + 0x60)
    high: int
    (high,) = struct.unpack_from("<I", start, EXT_AT + 0x150)
    blocks = low | (high << 32 if incompatible & EXT_64BIT else 0)
    return blocks * (1024 << shift)


def _xfs(start: bytes) -> int | None:
    if start[:4] != XFS_MAGIC:
        return None
    block_bytes, blocks = struct.unpack_from(">IQ", start, 4)
    return int(block_bytes * blocks)


def _btrfs(start: bytes) -> int | None:
    if start[BTRFS_AT + 0x40 : BTRFS_AT + 0x48] != BTRFS_MAGIC:
        return None
    # of the first device's own item: the filesystem may span several
    (size,) = struct.unpack_from("<Q", start, BTRFS_AT + 0xC9 + 8)
    return int(size)
