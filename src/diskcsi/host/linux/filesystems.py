"""Filesystems, by the tools that belong to each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from diskcsi.host.linux import superblock
from diskcsi.host.linux.patience import Patience
from diskcsi.host.linux.run import run
from diskcsi.model.errors import InvalidArgument, NotFound, WrongState
from diskcsi.ports.host import Device, FilesystemUsage

DEFAULT_OPTIONS: Final = {
    "ext3": ("-F", "-m0"), "ext4": ("-F", "-m0"), "xfs": ("-f",), "btrfs": ("-f",),
}  # fmt: skip
"""No question asked, since the device was proved blank, and nothing kept back for root alone."""

EXT: Final = frozenset({"ext2", "ext3", "ext4"})
ONLINE: Final = frozenset({"xfs", "btrfs"})

UNUSED_WORTH_BYTES: Final = 128 * 1024**2
"""Room that a filesystem leaves on purpose, by rounding, is smaller; disks grow by whole GiB."""

E2FSCK_REPAIRED: Final = 3
"""e2fsck's status bits 1 and 2: errors were corrected, all of them (e2fsck(8))."""

CAP_SYS_RESOURCE: Final = 24
"""The bit of the capability by which the kernel lets a mounted ext4 grow (capability.h)."""


class LinuxFilesystems:
    """Implements `diskcsi.ports.host.Filesystems`.

    Args:
        may_grow_ext: whether this process may grow a mounted ext4; asked of the kernel once.
        tool_s: seconds for a tool that writes or walks a whole filesystem; less than the budget
            of the work around it, so that the error names the tool.
    """

    def __init__(self, *, may_grow_ext: bool, tool_s: float) -> None:
        self._tool_s = tool_s
        self._may_grow_ext = may_grow_ext
        self._patience = Patience()

    async def make(self, device: Device, fs_type: str, options: Sequence[str] | None) -> None:
        """Format with the type's own mkfs."""
        if fs_type not in DEFAULT_OPTIONS:
            raise InvalidArgument(
                f"filesystem {fs_type!r} can't be made here;"
                f" allowed are {', '.join(DEFAULT_OPTIONS)}"
            )
        given = DEFAULT_OPTIONS[fs_type] if options is None else tuple(options)
        done = await run([f"mkfs.{fs_type}", *given, "--", device.path], timeout_s=self._tool_s)
        if done.code:
            raise done.failure(f"{device.path} can't be formatted")

    async def check(self, device: Device, fs_type: str) -> None:
        """ext: repair what is safe. xfs and btrfs replay their log when they are mounted."""
        if fs_type in EXT:
            await self._check_ext(device, force=False)

    async def needs_growth(self, device: Device, fs_type: str) -> bool:
        """Compare the superblock's size with the device's."""
        if fs_type not in EXT | ONLINE:
            return False
        question = f"superblock of {device.path}"
        known = await self._patience.ask(question, lambda: _filesystem_bytes(device))
        return known is not None and device.size_bytes - known >= UNUSED_WORTH_BYTES

    def can_grow_mounted(self, fs_type: str) -> bool:
        """Xfs and btrfs always; ext by the kernel's leave."""
        return fs_type in ONLINE or (fs_type in EXT and self._may_grow_ext)

    async def grow(self, device: Device, fs_type: str, mounted_at: str | None) -> None:
        """Grow to the whole device."""
        if fs_type in EXT:
            if mounted_at is None:
                await self._check_ext(device, force=True)  # resize2fs asks for it
            command = ["resize2fs", device.path]
        elif mounted_at is None:
            raise WrongState(f"{fs_type} of {device.path} grows only while it is mounted")
        elif fs_type == "xfs":
            command = ["xfs_growfs", mounted_at]
        elif fs_type == "btrfs":
            command = ["btrfs", "filesystem", "resize", "max", mounted_at]
        else:
            raise WrongState(f"{fs_type} of {device.path} can't be grown by this driver")
        done = await run(command, timeout_s=self._tool_s)
        if done.code:
            raise done.failure(f"{fs_type} of {device.path} can't be grown")

    async def usage(self, path: str) -> FilesystemUsage:
        """By statvfs, which a dead disk may never answer."""
        try:
            told = await self._patience.ask(f"usage of {path}", lambda: os.statvfs(path))
        except FileNotFoundError:
            raise NotFound(f"nothing is at {path}") from None
        except TimeoutError:
            raise
        except OSError as error:
            raise WrongState(f"the usage of {path} can't be read: {error.strerror}") from error
        return FilesystemUsage(
            total_bytes=told.f_blocks * told.f_frsize,
            available_bytes=told.f_bavail * told.f_frsize,
            used_bytes=(told.f_blocks - told.f_bfree) * told.f_frsize,
            inodes_total=told.f_files,
            inodes_free=told.f_ffree,
        )

    async def _check_ext(self, device: Device, *, force: bool) -> None:
        how = ["-f", "-p"] if force else ["-p"]
        done = await run(["e2fsck", *how, device.path], timeout_s=self._tool_s)
        if done.code & ~E2FSCK_REPAIRED:
            raise done.failure(
                f"the filesystem on {device.path} is damaged",
                hint="nothing was mounted; run e2fsck by hand on the node, or restore a snapshot",
            )


def may_grow_mounted_ext(status: Path = Path("/proc/self/status")) -> bool:
    """Whether this process has CAP_SYS_RESOURCE in effect (proc(5), CapEff)."""
    for line in status.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> CAP_SYS_RESOURCE & 1)
    return False


def _filesystem_bytes(device: Device) -> int | None:
    try:
        with open(device.path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered
            return superblock.size_bytes(file.read(superblock.READ_BYTES))
    except OSError:
        return None
