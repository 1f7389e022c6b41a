"""Mounts of this process's namespace, by mount(8) and umount(8)."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from diskcsi.host.linux import mountinfo
from diskcsi.host.linux.run import Done, run
from diskcsi.model.errors import WrongState
from diskcsi.ports.host import Device, Mount

TABLE: Final = Path("/proc/self/mountinfo")

NODE_FILESYSTEMS: Final = frozenset({"devtmpfs", "tmpfs"})
"""Where device nodes live: a part of one of these, mounted alone, may be a raw device."""


class LinuxMounts:
    """Implements `diskcsi.ports.host.Mounts`."""

    async def table(self) -> Sequence[Mount]:
        """Every mount; a raw device that is bound to a file appears by the device's number."""
        return await asyncio.to_thread(_table)

    async def mount(self, device: Device, path: str, fs_type: str, options: Sequence[str]) -> None:
        """Mount with exactly this filesystem type; nothing is guessed."""
        command = ["mount", "-t", fs_type]
        if options:
            command += ["-o", ",".join(options)]
        done = await run([*command, "--", device.path, path])
        if done.code:
            raise _without_options(done, options).failure(f"{fs_type} of {device.path} at {path}")

    async def bind(self, source: str, path: str, *, read_only: bool) -> None:
        """Bind, then make it read-only: the kernel takes both at once only when asked twice."""
        done = await run(["mount", "--bind", "--", source, path])
        if done.code:
            raise done.failure(f"{source} can't be shown at {path}")
        if not read_only:
            return
        done = await run(["mount", "-o", "remount,bind,ro", "--", path])
        if done.code:
            await self.unmount(path)
            raise done.failure(f"{path} can't be made read-only")

    async def unmount(self, path: str) -> None:
        """Unmount; never by force and never lazily, since both hide who still writes."""
        done = await run(["umount", "--", path])
        shown = await self.resolve(path)
        if done.code and any(mount.path == shown for mount in await self.table()):
            raise done.failure(
                f"{path} can't be unmounted", hint="something still uses it: stop that first"
            )

    async def make_directory(self, path: str) -> None:
        """Make it, readable by root alone where it is new."""
        await asyncio.to_thread(Path(path).mkdir, mode=0o750, parents=True, exist_ok=True)

    async def make_file(self, path: str) -> None:
        """Make an empty file to bind to."""

        def make() -> None:
            Path(path).parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            Path(path).touch(mode=0o640)

        await asyncio.to_thread(make)

    async def remove(self, path: str) -> None:
        """Remove an empty directory or a file; what holds data is not removed."""

        def remove() -> None:
            try:
                if Path(path).is_dir() and not Path(path).is_symlink():
                    Path(path).rmdir()
                else:
                    Path(path).unlink(missing_ok=True)
            except FileNotFoundError:
                return
            except OSError as error:
                raise WrongState(f"{path} can't be removed: {error.strerror}") from error

        await asyncio.to_thread(remove)

    async def resolve(self, path: str) -> str:
        """Follow links: kubelet's directory may be one, and the kernel shows where it leads."""
        return await asyncio.to_thread(os.path.realpath, path)


def _table() -> list[Mount]:
    return [_mount(entry) for entry in mountinfo.parse(TABLE.read_text(errors="surrogateescape"))]


def _mount(entry: mountinfo.Entry) -> Mount:
    number = _bound_device(entry)
    return Mount(
        path=entry.path,
        number=number or _number_of_source(entry),
        fs_type=entry.fs_type,
        options=entry.options | (entry.super_options & {"ro"}),
        raw=number is not None,
    )


def _bound_device(entry: mountinfo.Entry) -> str | None:
    """The number of the device whose node is mounted here, None when it is something else."""
    if entry.fs_type not in NODE_FILESYSTEMS or entry.root == "/":
        return None
    try:
        found = Path(entry.path).lstat()
    except OSError:
        return None
    if not stat.S_ISBLK(found.st_mode):
        return None
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _number_of_source(entry: mountinfo.Entry) -> str:
    """Btrfs shows a number of its own in the table; its device has another one."""
    if entry.fs_type != "btrfs":
        return entry.number
    try:
        found = Path(entry.source).stat()
    except OSError:
        return entry.number
    if not stat.S_ISBLK(found.st_mode):
        return entry.number
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _without_options(done: Done, options: Sequence[str]) -> Done:
    """mount(8) may repeat its options, and they may hold secrets."""
    errors = done.errors
    for option in options:
        if "=" in option:
            errors = errors.replace(option, f"{option.partition('=')[0]}=...")
    return Done(tool=done.tool, code=done.code, output="", errors=errors)
