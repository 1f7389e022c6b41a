"""Disks and snapshots as sparse files of one directory."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

GIB: Final = 1024**3
IMAGE_SUFFIX: Final = ".img"
OWN_IMAGE: Final = re.compile(r"(s-)?[0-9a-z]{20}\.img")
"""A disk's file is named by its serial, a snapshot's by its id."""


class HypervisorError(Exception):
    """A tool or the kernel failed; the message has its words."""


class Images:
    """The files below one directory, which nobody else uses.

    Args:
        root: made when it is missing.
    """

    def __init__(self, *, root: Path) -> None:
        self.disks = root / "disks"
        self.snapshots = root / "snapshots"
        self._made: set[Path] = set()
        for directory in (self.disks, self.snapshots):
            directory.mkdir(parents=True, exist_ok=True)

    def disk(self, serial: str) -> Path:
        """The file of a disk."""
        return self._own(self.disks / f"{serial}{IMAGE_SUFFIX}")

    def snapshot(self, snapshot_id: str) -> Path:
        """The file of a snapshot."""
        return self._own(self.snapshots / f"{snapshot_id}{IMAGE_SUFFIX}")

    def fits(self, size_gib: int) -> bool:
        """Whether the filesystem takes a file so long, which needs no such room: it is sparse."""
        with tempfile.TemporaryFile(dir=self.disks) as file:
            try:
                os.truncate(file.fileno(), size_gib * GIB)
            except OSError as error:
                if error.errno != errno.EFBIG:
                    raise
                return False
        return True

    def create(self, serial: str, size_gib: int) -> None:
        """A sparse file: it takes room as it is written."""
        path = self.disk(serial)
        path.touch(mode=0o600)
        os.truncate(path, size_gib * GIB)

    async def restore(self, serial: str, snapshot_id: str, size_gib: int) -> None:
        """A copy of the snapshot, as long as the disk."""
        await _copy(self.snapshot(snapshot_id), self.disk(serial))
        os.truncate(self.disk(serial), size_gib * GIB)

    def resize(self, serial: str, size_gib: int) -> None:
        """A longer file."""
        os.truncate(self.disk(serial), size_gib * GIB)

    async def cut(self, serial: str, snapshot_id: str) -> None:
        """A sparse copy of what is in the disk's file now."""
        await _copy(self.disk(serial), self.snapshot(snapshot_id))

    def delete(self, serial: str) -> None:
        """Remove a disk's file."""
        self.disk(serial).unlink(missing_ok=True)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot's file."""
        self.snapshot(snapshot_id).unlink(missing_ok=True)

    def found(self) -> Iterator[Path]:
        """Files of ours that are there, a predecessor's as well; another's file is none."""
        for directory in (self.disks, self.snapshots):
            for path in directory.glob(f"*{IMAGE_SUFFIX}"):
                if path in self._made or OWN_IMAGE.fullmatch(path.name):
                    yield path

    def keep_only(self, names: Collection[str]) -> list[str]:
        """Remove the files of ours that are none of these disks and snapshots; gives their names."""
        removed = [path for path in self.found() if path.stem not in names]
        for path in removed:
            path.unlink(missing_ok=True)
        return [path.stem for path in removed]

    def remove(self) -> None:
        """Remove all files of ours, and the directories if nothing else is in them."""
        self.keep_only(())
        for directory in (self.disks, self.snapshots):
            with contextlib.suppress(OSError):
                directory.rmdir()

    def _own(self, path: Path) -> Path:
        self._made.add(path)
        return path


async def run(*command: str) -> str:
    """The output of a tool that must succeed; it ends when this is cancelled.

    Raises:
        HypervisorError: it failed.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:  # nobody waits for it any more
            process.kill()
            await process.wait()
    if process.returncode:
        raise HypervisorError(
            f"{' '.join(command)} ended with {process.returncode}: {errors.decode().strip()}"
        )
    return output.decode()


async def _copy(source: Path, target: Path) -> None:
    await run("cp", "--reflink=auto", "--sparse=always", str(source), str(target))
