"""What a device says of itself: its serial, as the kernel shows it in sysfs.

Links in `disk/by-id` are made by other programs, late at times and at times pointing to a device
that was there before. They tell where to look first; what counts is the serial in sysfs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCES: Final = ("virtio", "nvme", "loop")
"""Kinds of devices whose word is understood."""

IMAGE_SUFFIX: Final = ".img"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Reads serials.

    Attributes:
        device_root: where this machine's device nodes and links are, such as `/dev`.
        sysfs_root: `/sys`.
        sources: which kinds of devices count.
    """

    device_root: Path
    sysfs_root: Path
    sources: Collection[str]

    def names(self) -> list[str]:
        """The kernel's names of all block devices.

        A hidden one is a path of another device, with the same serial (nvme multipath).
        """
        try:
            found = sorted((self.sysfs_root / "block").iterdir())
        except OSError:
            return []
        return [block.name for block in found if _text(block / "hidden") != "1"]

    def serial(self, name: str) -> str | None:
        """The serial of the device with this kernel name, None when it tells none that counts."""
        block = self.sysfs_root / "block" / name
        if name.startswith("nvme"):
            return _text(block / "device" / "serial") if "nvme" in self.sources else None
        if name.startswith("loop"):
            return self._loop_serial(name, block) if "loop" in self.sources else None
        return _text(block / "serial") if "virtio" in self.sources else None

    def linked(self, links: Collection[str]) -> Iterator[str]:
        """Kernel names that the given links in `disk/by-id` point at."""
        for link in links:
            try:
                yield (self.device_root / "disk" / "by-id" / link).resolve(strict=True).name
            except (OSError, RuntimeError):
                continue

    def _loop_serial(self, name: str, block: Path) -> str | None:
        """A loop device has no serial: two facts stand for it, and they must agree.

        Its backing file is named after the disk, and a link of this machine's own device
        directory with that name in it points at the device. The second one keeps machines that
        share a kernel from taking each other's disks.
        """
        backing = _text(block / "loop" / "backing_file")
        if backing is None or not backing.endswith(IMAGE_SUFFIX):
            return None
        serial = Path(backing).name.removesuffix(IMAGE_SUFFIX)
        by_id = self.device_root / "disk" / "by-id"
        ends = (f"-{serial}", f"_{serial}")  # virtio's links, and those that begin with a model
        try:
            links = [link.name for link in by_id.iterdir() if link.name.endswith(ends)]
        except OSError:
            return None
        return serial if serial and name in self.linked(links) else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip() or None
    except OSError:
        return None
