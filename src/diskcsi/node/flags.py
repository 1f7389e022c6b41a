"""Mount options: what is handed to mount, and whether a mount that is there was made with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from diskcsi.model.blank import same_family
from diskcsi.model.capabilities import MountAccess
from diskcsi.ports.host import Mount

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


def made_for(access: MountAccess, there: Mount, *, read_only: bool) -> bool:
    """Whether a mount has the filesystem and the comparable flags that are asked for."""
    if access.fs_type and not same_family(access.fs_type, there.fs_type):
        return False
    wanted = mount_options(access.mount_flags, fs_type=there.fs_type, read_only=read_only)
    return effective(wanted) == _comparable(SHOWN_FLAGS & there.options)


def effective(options: Sequence[str]) -> frozenset[str]:
    """The comparable flags that these options put in force; of opposites the later one wins."""
    found: set[str] = set()
    for option in options:
        if option in OPPOSITES:
            found.discard(OPPOSITES[option])
        elif option in SHOWN_FLAGS:
            found.add(option)
    return _comparable(found)


def _comparable(flags: Collection[str]) -> frozenset[str]:
    """Without what is implied, and shown by some kernels only."""
    return frozenset(flags) - ({"nodiratime"} if "noatime" in flags else set())
