"""What the node's rules ask of the machine they run on.

Six roles: block devices, filesystems, mounts, notes of formats that run and of disks that are no
volumes, and what kubelet has written down. An implementation tells what is there and does
what it is told; whether that is wise is decided above it. Errors are those of
`diskcsi.model.errors`; a tool that fails gives `WrongState` with the tool's own words.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from diskcsi.model.blank import DeviceFacts
from diskcsi.model.ids import NodeId, VolumeId


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A block device that was found, its serial compared.

    Attributes:
        path: its node, such as `/dev/vdb`; no link.
        number: the kernel's `major:minor`.
    """

    path: str
    number: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of the mount table.

    Attributes:
        path: where it is mounted.
        number: `major:minor` of the mounted filesystem; for a raw device that is bound to a
            file, of that device.
        options: of this mount, such as `ro` and `noatime`.
        raw: whether a device node is bound here, not a filesystem.
    """

    path: str
    number: str
    fs_type: str
    options: frozenset[str] = frozenset()
    raw: bool = False

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written through this mount."""
        return "ro" in self.options


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemUsage:
    """What statfs tells; `inodes_total` is 0 where inodes are made as needed."""

    total_bytes: int
    available_bytes: int
    used_bytes: int
    inodes_total: int
    inodes_free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatMark:
    """A note that a device, proved blank, is being formatted.

    Attributes:
        attachment: as `BlockDevices.attachment` told it when the device was proved blank.
    """

    serial: str
    fs_type: str
    attachment: str


class FormatMarks(Protocol):
    """Notes of this machine that outlive the process, one for each volume."""

    async def put(self, volume_id: VolumeId, mark: FormatMark) -> None:
        """Keep it; it is durable on return.

        Raises:
            WrongState: it can't be kept.
        """
        ...

    async def get(self, volume_id: VolumeId) -> FormatMark | None:
        """The note, None when there is none that can be read."""
        ...

    async def forget(self, volume_id: VolumeId) -> None:
        """Remove the note; absent is fine.

        Raises:
            WrongState: it is there and can't be removed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignNote:
    """Which disks were no volumes when they were looked at last.

    Attributes:
        node_id: the machine that they were attached to.
    """

    node_id: NodeId
    serials: frozenset[str]


class ForeignNotes(Protocol):
    """The one note of this kind, which outlives the process."""

    async def keep(self, note: ForeignNote) -> None:
        """Replace what was kept.

        Raises:
            WrongState: it can't be kept.
        """
        ...

    async def recall(self) -> ForeignNote | None:
        """The note, None when there is none that can be read."""
        ...


class BlockDevices(Protocol):
    """Devices, recognized by their serial alone."""

    async def find(self, serial: str, links: Sequence[str]) -> Device:
        """The one device with this serial; waits for it to appear, up to the host's deadline.

        Args:
            serial: what the device itself must say.
            links: names in `disk/by-id` where it may be found sooner; never believed unseen.

        Raises:
            Pending: it did not appear; the message tells which serials are there.
            WrongState: two devices have this serial, or it holds the machine's own files.
        """
        ...

    async def numbered(self, number: str) -> Device | None:
        """The device of this `major:minor`, None when the kernel has none."""
        ...

    async def is_there(self, number: str) -> bool:
        """Whether the kernel has a device of this number, be it one that may be used here or not."""
        ...

    async def serial_of(self, device: Device) -> str | None:
        """What the device says of itself, None when it says nothing."""
        ...

    async def attachment(self, device: Device) -> str | None:
        """A word for this very attachment, None when it can't be told.

        It is another one once the device went and came back, or the machine was restarted.
        """
        ...

    def held(self, device: Device) -> AbstractAsyncContextManager[None]:
        """Keep path and number of a device for it alone, even when it goes meanwhile.

        Only what is judged, formatted and mounted under one hold is one and the same disk: the number
        of a device that went is given to the next one that comes.

        Raises:
            Pending: the device is gone, is another one by now, or doesn't answer.
            Unreachable: the machine has no descriptor to spare.
            WrongState: this process may not open it.
        """
        ...

    async def facts(self, device: Device) -> DeviceFacts:
        """Everything that bears on whether it is blank; what can't be read is None."""
        ...


class Filesystems(Protocol):
    """Make, check, grow, measure."""

    async def make(self, device: Device, fs_type: str, options: Sequence[str] | None) -> None:
        """Format; `options` replace the filesystem's default ones where given.

        Raises:
            WrongState: mkfs failed.
            InvalidArgument: this machine has no mkfs for `fs_type`.
        """
        ...

    async def check(self, device: Device, fs_type: str) -> None:
        """Repair what can be repaired without a loss, on a device that is not mounted.

        Raises:
            WrongState: the damage needs a person's decision; the message has the tool's words.
        """
        ...

    async def needs_growth(self, device: Device, fs_type: str) -> bool:
        """Whether the device has room that the filesystem on it doesn't use."""
        ...

    def can_grow_mounted(self, fs_type: str) -> bool:
        """Whether this process may grow such a filesystem while it is mounted."""
        ...

    async def grow(self, device: Device, fs_type: str, mounted_at: str | None) -> None:
        """Let it fill its device; at rest when `mounted_at` is None.

        Raises:
            WrongState: the tool failed, or this filesystem can't grow in this state.
        """
        ...

    async def usage(self, path: str) -> FilesystemUsage:
        """How full the filesystem at `path` is."""
        ...


class Mounts(Protocol):
    """The mount table, and the paths that mounts need."""

    async def table(self) -> Sequence[Mount]:
        """Every mount of this process's namespace, in the kernel's order; the last one wins."""
        ...

    async def mount(self, device: Device, path: str, fs_type: str, options: Sequence[str]) -> None:
        """Mount a device's filesystem.

        Raises:
            WrongState: mount failed; the message has its words, without the options.
        """
        ...

    async def bind(self, source: str, path: str, *, read_only: bool) -> None:
        """Show what is at `source` at `path` too.

        Raises:
            WrongState: it can't be shown, or not read-only; nothing is mounted then.
            Pending: it is mounted, and can neither be made read-only nor unmounted.
        """
        ...

    async def unmount(self, path: str) -> None:
        """Unmount the topmost mount at `path`.

        Raises:
            WrongState: it is busy.
        """
        ...

    async def make_directory(self, path: str) -> None:
        """Make a directory and its parents; one that exists is fine."""
        ...

    async def make_file(self, path: str) -> None:
        """Make an empty file and its parents, for a raw device to be bound to."""
        ...

    async def remove(self, path: str) -> None:
        """Remove an empty directory, or a file; absent is fine.

        Raises:
            WrongState: the directory holds something.
        """
        ...

    async def resolve(self, path: str) -> str:
        """The path as the mount table shows it: absolute, without links; it need not exist."""
        ...


class KubeletRecords(Protocol):
    """What kubelet has written down, and keeps when the machine is restarted."""

    async def staged(self) -> Collection[VolumeId]:
        """Volumes of this driver that are staged, or were when the machine stopped.

        Raises:
            WrongState: what is written down can't be read now.
        """
        ...
