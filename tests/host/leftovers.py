"""What a program has left of its own on this machine."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def left_below(directory: Path) -> list[str]:
    """The files of loop devices, and the mounts, that name this directory."""
    loops: list[str] = []
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with suppress(OSError):  # a device of another test went meanwhile
            loops.append(path.read_text().rstrip("\n"))
    mounts = Path("/proc/mounts").read_text().splitlines()
    return [line for line in (*loops, *mounts) if str(directory) in line]
