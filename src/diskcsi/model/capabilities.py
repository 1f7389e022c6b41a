"""How a volume may be used (CSI spec, VolumeCapability), and what a provider can do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class AccessMode(StrEnum):
    """Who may use a volume at once; the values are the spec's names."""

    SINGLE_NODE_WRITER = "SINGLE_NODE_WRITER"
    SINGLE_NODE_READER_ONLY = "SINGLE_NODE_READER_ONLY"
    SINGLE_NODE_SINGLE_WRITER = "SINGLE_NODE_SINGLE_WRITER"
    SINGLE_NODE_MULTI_WRITER = "SINGLE_NODE_MULTI_WRITER"
    MULTI_NODE_READER_ONLY = "MULTI_NODE_READER_ONLY"
    MULTI_NODE_SINGLE_WRITER = "MULTI_NODE_SINGLE_WRITER"
    MULTI_NODE_MULTI_WRITER = "MULTI_NODE_MULTI_WRITER"

    @property
    def multi_node(self) -> bool:
        """Whether several nodes may hold the volume at once."""
        return self.value.startswith("MULTI_NODE")

    @property
    def read_only(self) -> bool:
        """Whether nobody may write."""
        return self.value.endswith("READER_ONLY")

    @property
    def many_targets(self) -> bool:
        """Whether one node may publish the volume at several paths (CSI spec, NodePublishVolume)."""
        return self.multi_node or self is AccessMode.SINGLE_NODE_MULTI_WRITER


DEFAULT_FILESYSTEM: Final = "ext4"
"""Made when a workload names none; what the sidecars' own default is as well."""

SUPPORTED_FILESYSTEMS: Final = ("ext3", "ext4", "xfs", "btrfs")
"""Filesystems that a node makes, checks and grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockAccess:
    """The volume is handed over as a raw block device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MountAccess:
    """The volume is handed over as a mounted filesystem.

    Attributes:
        fs_type: the filesystem asked for; empty: the driver's default.
        mount_flags: options for mount(8); may hold secrets, so they are never logged.
    """

    fs_type: str = ""
    mount_flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeCapability:
    """One way in which a workload wants to use a volume."""

    mode: AccessMode
    access: BlockAccess | MountAccess

    @property
    def block(self) -> bool:
        """Whether a raw block device is wanted."""
        return isinstance(self.access, BlockAccess)


class Capability(StrEnum):
    """What a provider's cloud can do beyond disks and attachments; it decides what is advertised."""

    SNAPSHOTS = "snapshots"
    RESTORE = "restore"
    EXPAND = "expand"
    MULTI_ATTACH = "multi-attach"
    THROTTLES = "throttles"


EVERY_CAPABILITY: Final = frozenset(Capability)
