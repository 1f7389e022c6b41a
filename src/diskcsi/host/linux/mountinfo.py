"""The kernel's mount table, read (proc(5), /proc/[pid]/mountinfo)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

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


def parse(table: str) -> Iterator[Entry]:
    """The entries in the kernel's order; a line of an unknown form is left out."""
    for line in table.splitlines():
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
    return OCTAL.sub(lambda match: chr(int(match[1], 8)), text)
