"""Whether a device may be formatted: a pure verdict over facts that a host has gathered.

Data that was overwritten can't be had back, so the proof runs one way: a device is `Blank` only
when every fact is known and every one says so. A fact that could not be read is None, and None
never counts as "nothing there".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

FAMILIES: Final = {"ext2": "ext", "ext3": "ext", "ext4": "ext"}
"""Filesystems that tools name differently by their features, though they are one format."""

MOUNTABLE: Final = ("ext2", "ext3", "ext4", "xfs", "btrfs")
"""Contents that are handed to mount. Swap, volume managers, encryption and foreign filesystems are
somebody's data in a form that this driver doesn't serve."""

TABLES: Final = frozenset({"dos", "gpt", "PMBR", "atari", "mac", "sun", "sgi", "bsd"})
"""Partition tables, as blkid and wipefs name them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the controller told of the disk.

    Attributes:
        size_bytes: None where an attachment is older than this fact.
    """

    serial: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """Everything that bears on whether a device is blank; None stands for "could not be read".

    Attributes:
        filesystem: what blkid calls the content, be it a filesystem, a volume manager or a
            partition table; empty when it finds nothing.
        signatures: every signature that wipefs finds anywhere on the device.
        head_is_zero: whether the first part of the device holds zeros only.
        partitions: names of the partitions that the kernel sees on it.
        holders: devices built on it, such as a volume group or an array.
        mounts: places where it is mounted.
        exclusive: whether it could be opened for exclusive use: nothing in the kernel holds it.
    """

    serial: str | None
    size_bytes: int | None
    filesystem: str | None
    signatures: tuple[str, ...] | None
    head_is_zero: bool | None
    tail_is_zero: bool | None
    partitions: tuple[str, ...] | None
    holders: tuple[str, ...] | None
    mounts: tuple[str, ...] | None
    exclusive: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Blank:
    """Every fact says that nothing is on the device: it may be formatted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Formatted:
    """The device carries one filesystem, and nothing contradicts it: it may be mounted."""

    fs_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Neither is proved; the reasons say which facts stand against it.

    Attributes:
        outdated: whether nothing stands against a blank device but the size that its attachment
            tells, and a new attachment tells it anew.
    """

    reasons: tuple[str, ...]
    outdated: bool = False


Verdict: TypeAlias = Blank | Formatted | Refused


def same_family(one: str, other: str) -> bool:
    """Whether two names stand for one filesystem format."""
    return FAMILIES.get(one, one) == FAMILIES.get(other, other)


def judge(facts: DeviceFacts, expected: Expected) -> Verdict:
    """The verdict on a device that should be the disk that `expected` describes."""
    if identity := identity_doubts(facts, expected):
        return Refused(reasons=identity)
    if facts.filesystem:
        doubts = tuple(_filesystem_doubts(facts, facts.filesystem))
        return Refused(reasons=doubts) if doubts else Formatted(fs_type=facts.filesystem)
    outdated = tuple(_size_doubts(facts, expected))
    doubts = tuple(_blankness_doubts(facts))
    if outdated or doubts:
        return Refused(reasons=outdated + doubts, outdated=not doubts)
    return Blank()


def is_half_made(facts: DeviceFacts, expected: Expected, fs_type: str) -> bool:
    """Whether a format with `fs_type` that was cut off explains all that speaks against blankness.

    It proves nothing alone: ask only where the device was proved blank before, and has been neither
    mounted nor handed out nor away since. What a tool recognizes as a whole is never called so.
    """
    if facts.filesystem != "" or facts.signatures is None:
        return False
    if facts.head_is_zero is None or facts.tail_is_zero is None:
        return False
    if any(not same_family(name, fs_type) for name in facts.signatures):
        return False
    without = replace(facts, signatures=(), head_is_zero=True, tail_is_zero=True)
    return judge(without, expected) == Blank()


def identity_doubts(facts: DeviceFacts, expected: Expected) -> tuple[str, ...]:
    """What speaks against this device being the disk at all; nothing, when it surely is.

    A device may be larger than told: the disk may have grown since it was attached.
    """
    return tuple(_identity_doubts(facts, expected))


def _identity_doubts(facts: DeviceFacts, expected: Expected) -> Iterator[str]:
    if facts.serial is None:
        yield "its serial can't be read"
    elif facts.serial != expected.serial:
        yield f"its serial is {facts.serial!r}, expected {expected.serial!r}"
    if facts.size_bytes is None:
        yield "its size can't be read"
    elif expected.size_bytes is not None and facts.size_bytes < expected.size_bytes:
        yield f"it has {facts.size_bytes} bytes, expected {expected.size_bytes}"


def _filesystem_doubts(facts: DeviceFacts, fs_type: str) -> Iterator[str]:
    if fs_type in TABLES:
        yield f"it carries a partition table ({fs_type}), and only whole disks are used"
    elif fs_type not in MOUNTABLE:
        yield f"it carries {fs_type}; what can be mounted is {', '.join(MOUNTABLE)}"
    if facts.signatures is None:
        yield "its signatures can't be read"
    elif others := [name for name in facts.signatures if not same_family(name, fs_type)]:
        yield f"it carries {fs_type} and also {', '.join(others)}"
    elif not facts.signatures:
        yield f"one tool finds {fs_type}, another one finds nothing"
    yield from _presence_doubts(facts, "partitions", "holders")
    if not facts.mounts:  # a mount holds it as well, and whose mount that is decides the rule above
        yield from _use_doubts(facts)


def _size_doubts(facts: DeviceFacts, expected: Expected) -> Iterator[str]:
    """Of a device that isn't smaller than told."""
    if expected.size_bytes is None:
        yield "the attachment tells no size to compare"
    elif facts.size_bytes != expected.size_bytes:
        yield (
            f"it has {facts.size_bytes} bytes, expected exactly {expected.size_bytes}:"
            " the disk has grown since it was attached"
        )


def _blankness_doubts(facts: DeviceFacts) -> Iterator[str]:
    if facts.filesystem is None:
        yield "its content can't be identified"
    yield from _presence_doubts(facts, "signatures", "partitions", "holders", "mounts")
    for known, contradiction in (
        (facts.head_is_zero, "its first bytes are not zero"),
        (facts.tail_is_zero, "its last bytes are not zero"),
    ):
        if known is None:
            yield f"it can't be told whether {contradiction}"
        elif not known:
            yield contradiction
    yield from _use_doubts(facts)


def _use_doubts(facts: DeviceFacts) -> Iterator[str]:
    if facts.exclusive is None:
        yield "it can't be told whether something else in the system uses it"
    elif not facts.exclusive:
        yield "something else in the system uses it"


def _presence_doubts(facts: DeviceFacts, *names: str) -> Iterator[str]:
    for name in names:
        known: tuple[str, ...] | None = getattr(facts, name)
        if known is None:
            yield f"its {name} can't be read"
        elif known:
            yield f"it has {name}: {', '.join(known)}"
