"""What the cloud asks of a hypervisor, and the one that does nothing."""

from __future__ import annotations

from typing import Protocol


class Busy(Exception):  # noqa: N818 - reads as what is so
    """The machine still uses the device; it can't be taken away yet."""


class Hypervisor(Protocol):
    """Carries out on a machine what the cloud has decided. Disks are named by serial."""

    async def create(self, serial: str, size_gib: int) -> None:
        """Make an empty disk."""
        ...

    async def restore(self, serial: str, snapshot_id: str, size_gib: int) -> None:
        """Make a disk with a snapshot's content."""
        ...

    async def attach(self, serial: str, instance_id: str, *, nvme: bool) -> None:
        """Let the device appear on a machine."""
        ...

    async def detach(self, serial: str, instance_id: str) -> None:
        """Take the device away; raises `Busy` while the machine uses it."""
        ...

    async def resize(self, serial: str, size_gib: int) -> None:
        """Grow the disk, and its device where it is attached."""
        ...

    async def snapshot(self, serial: str, snapshot_id: str) -> None:
        """Keep the disk's content of this moment."""
        ...

    async def delete(self, serial: str) -> None:
        """Destroy the disk."""
        ...

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Destroy the snapshot."""
        ...

    async def close(self) -> None:
        """Take all devices away and destroy everything."""
        ...


class NoHypervisor:
    """Attaches are words alone; no device appears anywhere."""

    async def create(self, serial: str, size_gib: int) -> None:
        """Nothing to do."""

    async def restore(self, serial: str, snapshot_id: str, size_gib: int) -> None:
        """Nothing to do."""

    async def attach(self, serial: str, instance_id: str, *, nvme: bool) -> None:
        """Nothing to do."""

    async def detach(self, serial: str, instance_id: str) -> None:
        """Nothing to do."""

    async def resize(self, serial: str, size_gib: int) -> None:
        """Nothing to do."""

    async def snapshot(self, serial: str, snapshot_id: str) -> None:
        """Nothing to do."""

    async def delete(self, serial: str) -> None:
        """Nothing to do."""

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""
