"""Which ways of using a volume are served (CSI spec, VolumeCapability.AccessMode)."""

from __future__ import annotations

from collections.abc import Collection

from diskcsi.model.capabilities import (
    SUPPORTED_FILESYSTEMS,
    AccessMode,
    MountAccess,
    VolumeCapability,
)
from diskcsi.model.errors import InvalidArgument


def refuse_unserved(
    capabilities: Collection[VolumeCapability], *, multi_attach: bool, restored: bool = False
) -> None:
    """Refuse every way of use that a disk of this kind can't serve.

    A disk restored from a snapshot may hold any filesystem that the kernel mounts, so its name
    is not checked then.

    Raises:
        InvalidArgument: says which mode or filesystem, and what would be served.
    """
    if not capabilities:
        raise InvalidArgument("volume_capabilities is empty: at least one is required")
    for capability in capabilities:
        reason = _why_unserved(capability, multi_attach=multi_attach, restored=restored)
        if reason:
            raise InvalidArgument(reason)


def _why_unserved(capability: VolumeCapability, *, multi_attach: bool, restored: bool) -> str:
    mode, access = capability.mode, capability.access
    if mode.multi_node and not multi_attach:
        return (
            f"access mode {mode} needs a disk that several nodes may hold;"
            " use a class that makes such disks, or a single-node mode"
        )
    if mode.multi_node and mode is not AccessMode.MULTI_NODE_READER_ONLY and not capability.block:
        return (
            f"access mode {mode} is served for raw block volumes only:"
            " no filesystem here survives writers on several nodes"
        )
    if isinstance(access, MountAccess) and access.fs_type and not restored:
        return _why_filesystem_unserved(access.fs_type)
    return ""


def _why_filesystem_unserved(fs_type: str) -> str:
    if fs_type in SUPPORTED_FILESYSTEMS:
        return ""
    return f"filesystem {fs_type!r} is not served; allowed are {', '.join(SUPPORTED_FILESYSTEMS)}"
