"""What the cloud asks of a hypervisor, and the one that does nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Busy(Exception):  # noqa: N818 - reads as what is so
    """The machine still uses the device; it can't be taken away yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the cloud knows at its start.

    Attributes:
        held: for the serial of each disk, the machines that hold it.
        snapshots: ids of all snapshots.
        off: machines that are stopped.
    """

    held: Mapping[str, Collection[str]]
    snapshots: Collection[str]
    off: Collection[str]


class Machines(Protocol):
    """The machines themselves: there always, unless a hypervisor knows better."""

    def reachable(self, instance_id: str) -> bool:
        """Whether a device can be brought to this machine now."""
        del instance_id
        return True

    def fits(self, size_gib: int) -> bool:
        """Whether a disk of this size can be kept here."""
        del size_gib
        return True

    async def power(self, instance_id: str, *, on: bool) -> None:
        """Start or stop the machine: one that is off has no device nodes."""
        del instance_id, on

    async def forget(self, instance_id: str) -> None:
        """The machine is no more; so are its device nodes."""
        del instance_id

    async def adopt(self, told: Mapping[str, Any], known: Known) -> Collection[tuple[str, str]]:
        """Go on after a restart, from what `told` said and what the cloud knows.

        Returns:
            Disks and machines of attaches that have no device now, and are to be made again.
        """
        del told, known
        return ()

    def told(self) -> dict[str, Any]:
        """What is to be remembered beyond a restart."""
        return {}

    def shown(self) -> dict[str, Any]:
        """What people may want to see, by topic."""
        return {}


class Hypervisor(Machines, Protocol):
    """Carries out on a machine what the cloud has decided. Disks are named by serial."""

    async def create(self, serial: str, size_gib: int) -> None:
        """Make an empty disk."""
        ...

    async def restore(self, serial: str, snapshot_id: str, size_gib: int) -> None:
        """Make a disk with a snapshot's content."""
        ...

    async def attach(self, serial: str, instance_id: str, *, nvme: bool) -> None:
        """Let the device appear on a machine; raises `Busy` while it can't be brought there."""
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
        """End. Nothing is left on the machine, unless the cloud goes on later where it ended."""
        ...


class NoHypervisor(Machines):
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
