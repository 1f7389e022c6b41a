"""Who holds a disk: a loop device over its image, and a link to it in one node's device directory.

The kernel's word decides. After a reboot there are links and no devices, and nobody holds anything.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from diskcsi.providers.local import loops
from diskcsi.providers.local.store import Record, Shelf
from diskcsi.spi import NodeId


class Holding:
    """The devices and links of one directory.

    Args:
        disks: whose images are held.
        directory: has `NODE/dev`, which stands for a node's `/dev`.
        nodes: that may hold disks.
    """

    def __init__(self, *, disks: Shelf, directory: Path, nodes: Collection[str]) -> None:
        self._disks = disks
        self._directory = directory
        self._nodes = nodes

    def by(self, record: Record) -> frozenset[NodeId]:
        """Nodes whose link points at the device that the kernel has over the disk's image now."""
        device = loops.holder(self._disks.image(record.id))
        if device is None:
            return frozenset()
        return frozenset(
            NodeId(node)
            for node in self._nodes
            if _target(self._link(record, node)) == f"/dev/{device}"
        )

    def take(self, record: Record, node_id: str) -> None:
        """Let the node hold a disk that nobody holds.

        Raises:
            Unreachable: this machine, or this process, can't make loop devices.
            Exhausted: no device can be had.
        """
        self._unlink(record)  # first: what a reboot left may name the device that is made now
        image = self._disks.image(record.id)
        # one that an attach left that was cut short, or a new one
        device = loops.holder(image) or loops.attach(image)
        link = self._link(record, node_id)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"/dev/{device}")

    def release(self, record: Record) -> bool:
        """Whether the device has gone; while others have it open, the link tells whose it is.

        Raises:
            Pending: somebody uses it alone, such as a mount.
        """
        image = self._disks.image(record.id)
        if device := loops.holder(image):
            loops.detach(device)
        gone = loops.holder(image) is None
        if gone:
            self._unlink(record)
        return gone

    def _link(self, record: Record, node: str) -> Path:
        return self._directory / node / "dev/disk/by-id" / f"virtio-{record.serial}"

    def _unlink(self, record: Record) -> None:
        for node in self._nodes:
            self._link(record, node).unlink(missing_ok=True)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
