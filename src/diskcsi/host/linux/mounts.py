"""Mounts of this process's namespace, by mount(8) and umount(8)."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from diskcsi.host.linux import mountinfo
from diskcsi.host.linux.run import Done, run
from diskcsi.model.errors import DiskError, Pending, WrongState
from diskcsi.ports.host import Device, Mount

NODE_FILESYSTEMS: Final = frozenset({"devtmpfs", "tmpfs"})
"""Where device nodes live: a part of one of these, mounted alone, may be a raw device."""

SHARED_FLAGS: Final = frozenset({"ro", "sync", "dirsync", "lazytime"})
"""Options that mount(8) takes like those of a mount, and the kernel keeps for the filesystem."""


class LinuxMounts:
    """Implements `diskcsi.ports.host.Mounts`."""

    async def table(self) -> Sequence[Mount]:
        """Every mount; a raw device that is bound to a file appears by the device's number."""
        return await asyncio.to_thread(_table)

    async def mount(self, device: Device, path: str, fs_type: str, options: Sequence[str]) -> None:
        """Mount with exactly this filesystem type; nothing is guessed.

        A directory that holds something is refused: kubelet gives empty ones, and what a mount
        hides, such as `/etc`, may be what the machine runs on.
        """
        await asyncio.to_thread(_refuse_full, Path(path))
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
        try:
            # of a path alone, mount(8) looks its other options up and keeps them
            done = await run(["mount", "-o", "remount,bind,ro", "--", path])
            if done.code:
                raise done.failure(f"{path} can't be made read-only")
        except (DiskError, TimeoutError) as failure:
            try:
                await self.unmount(path)
            except DiskError as stuck:
                raise Pending(f"{failure}; and it stays mounted, writable: {stuck}") from failure
            raise

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

        def make() -> None:
            Path(path).mkdir(mode=0o750, parents=True, exist_ok=True)

        await asyncio.to_thread(_told, f"{path} can't be made", make)

    async def make_file(self, path: str) -> None:
        """Make an empty file to bind to."""

        def make() -> None:
            Path(path).parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            Path(path).touch(mode=0o640)

        await asyncio.to_thread(_told, f"{path} can't be made", make)

    async def remove(self, path: str) -> None:
        """Remove an empty directory or a file; what holds data is not removed."""
        await asyncio.to_thread(_told, f"{path} can't be removed", lambda: _remove(Path(path)))

    async def resolve(self, path: str) -> str:
        """Follow links: kubelet's directory may be one, and the kernel shows where it leads."""
        try:
            return await asyncio.to_thread(os.path.realpath, path)
        except ValueError:  # a NUL in it: no such path can be there
            return path


def _refuse_full(path: Path) -> None:
    try:
        full = any(path.iterdir())
    except OSError:
        return  # mount(8) tells better what ails it
    if full:
        raise WrongState(
            f"{path} holds files, which a mount would hide: no volume is mounted there"
        )


def _told(what: str, change: Callable[[], None]) -> None:
    try:
        change()
    except OSError as error:
        raise WrongState(f"{what}: {error.strerror}") from error


def _remove(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        path.rmdir()
    elif stat.S_ISREG(found.st_mode) and found.st_size:
        raise WrongState(f"{path} can't be removed: it is a file that holds data")
    else:
        path.unlink(missing_ok=True)


def _table() -> list[Mount]:
    return [_mount(entry) for entry in mountinfo.read()]


def _mount(entry: mountinfo.Entry) -> Mount:
    number = _bound_device(entry)
    options = entry.options | (entry.super_options & SHARED_FLAGS)
    return Mount(
        path=entry.path,
        number=number or entry.device_number,
        fs_type=entry.fs_type,
        options=options - {"rw"} if "ro" in options else options,
        raw=number is not None,
    )


def _bound_device(entry: mountinfo.Entry) -> str | None:
    """The number of the device whose node is mounted here, None when it is something else."""
    if entry.fs_type not in NODE_FILESYSTEMS or entry.root == "/":
        return None
    return mountinfo.number_of_node(entry.path)


def _without_options(done: Done, options: Sequence[str]) -> Done:
    """mount(8) may repeat its options, and they may hold secrets."""
    errors = done.errors
    for option in options:
        if "=" in option:
            errors = errors.replace(option, f"{option.partition('=')[0]}=...")
    return Done(tool=done.tool, code=done.code, output="", errors=errors)
