"""Mount options: what is handed to mount, and whether a mount that is there was made with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

SHOWN_FLAGS: Final = frozenset({
    "ro", "noatime", "nodiratime", "nosuid", "nodev", "noexec", "sync", "dirsync", "lazytime",
})  # fmt: skip
"""Options that the mount table shows as they were given; the others are the filesystem's own
business and can't be compared: it may rename, imply or hide them."""

OPPOSITES: Final = {
    "rw": "ro", "atime": "noatime", "relatime": "noatime", "strictatime": "noatime",
    "diratime": "nodiratime", "suid": "nosuid", "dev": "nodev", "exec": "noexec",
    "async": "sync", "nolazytime": "lazytime",
}  # fmt: skip


def mount_options(given: Sequence[str], *, fs_type: str, read_only: bool) -> tuple[str, ...]:
    """The options for mount, in order and without repeats.

    xfs refuses to mount a copy of a filesystem beside the original: `nouuid` allows it, which a
    restored snapshot needs. A copy is not told from an original, so it is always set.
    """
    flat = [part.strip() for flag in given for part in flag.split(",") if part.strip()]
    if fs_type == "xfs":
        flat.append("nouuid")
    if read_only:
        flat.append("ro")
    return tuple(dict.fromkeys(flat))


def same_flags(wanted: Collection[str], there: Collection[str]) -> bool:
    """Whether a mount with the options `there` is what `wanted` would give."""
    return effective(wanted) == effective(there)


def effective(options: Collection[str]) -> frozenset[str]:
    """The comparable flags that are in force; of opposites the later one wins."""
    found: set[str] = set()
    for option in options:
        if option in OPPOSITES:
            found.discard(OPPOSITES[option])
        elif option in SHOWN_FLAGS:
            found.add(option)
    if "noatime" in found:
        found.discard("nodiratime")  # implied, and shown by some kernels only
    return frozenset(found)
