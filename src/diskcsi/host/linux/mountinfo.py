"""The kernel's mount table, read (proc(5), /proc/[pid]/mountinfo)."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TABLE: Final = Path("/proc/self/mountinfo")
"""The mounts of this process's namespace."""

OCTAL: Final = re.compile(r"\\([0-7]{3})")
SEPARATOR: Final = "-"
FIELDS_BEFORE_OPTIONAL: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line.

    Attributes:
        number: `major:minor` of the filesystem.
        root: the part of the filesystem that is mounted; `/` for all of it.
        options: of this mount; `super_options` are those of the filesystem itself.
    """

    number: str
    root: str
    path: str
    fs_type: str
    source: str
    options: frozenset[str]
    super_options: frozenset[str]

    @property
    def device_number(self) -> str:
        """`major:minor` of the device behind it.

        btrfs shows a number of its own in the table; its device, the source, has another one.
        """
        if self.fs_type != "btrfs":
            return self.number
        return number_of_node(self.source) or self.number


def read() -> list[Entry]:
    """The table now."""
    return list(parse(os.fsdecode(TABLE.read_bytes())))


def number_of_node(path: str) -> str | None:
    """`major:minor` of the device whose node is at `path`, None when none is."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    if not stat.S_ISBLK(found.st_mode):
        return None
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def parse(table: str) -> Iterator[Entry]:
    """The entries in the kernel's order; a line of an unknown form is left out."""
    for line in table.split("\n"):  # a path may hold what else passes for the end of a line
        fields = line.split(" ")
        try:
            at = fields.index(SEPARATOR, FIELDS_BEFORE_OPTIONAL)
            fs_type, source, super_options = fields[at + 1 : at + 4]
        except ValueError:
            continue
        yield Entry(
            number=fields[2],
            root=_plain(fields[3]),
            path=_plain(fields[4]),
            fs_type=fs_type,
            source=_plain(source),
            options=frozenset(fields[5].split(",")),
            super_options=frozenset(super_options.split(",")),
        )


def _plain(text: str) -> str:
    """Without the escapes that stand for spaces, tabs, newlines and backslashes."""
    if "\\" not in text:  # a node has thousands of mounts, and hardly one with an escape
        return text
    return OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
