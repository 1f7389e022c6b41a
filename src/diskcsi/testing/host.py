"""A machine in memory, behind the roles of `diskcsi.ports.host`.

It behaves like Linux where the rules lean on it: mounts stack, a bind mount shows the number of what
is bound, a mount on a missing directory fails, a mounted device is in use, a directory that is
mounted or filled is not removed. Failures are scripted and tools are held by name, so that a test
decides what happens while one runs.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final

from diskcsi.model.blank import DeviceFacts, same_family
from diskcsi.model.errors import Pending, WrongState
from diskcsi.model.ids import VolumeId
from diskcsi.ports.host import Device, FilesystemUsage, ForeignNote, FormatMark, Mount

GIB: Final = 1024**3
LOOK_S: Final = 0.1
DISK_MAJOR: Final = 252
SHOWN_FLAGS: Final = frozenset({"ro", "noatime", "nodiratime", "nosuid", "nodev", "noexec"})


@dataclass(kw_only=True)
class FakeDisk:
    """One block device and what is on it; a fact that is None can't be read.

    Attributes:
        filesystem: empty for a blank disk.
        filesystem_bytes: how much of the device the filesystem uses.
        done: what tools changed on it, in order, such as `make ext4` and `grow ext4`.
        facts: facts that differ from what the fields above would give.
        attachment: None where the machine can't tell one attachment from the next.
    """

    serial: str | None
    number: str
    size_bytes: int = 20 * GIB
    filesystem: str = ""
    filesystem_bytes: int = 0
    done: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    attachment: str | None = "start-1/1"

    @property
    def device(self) -> Device:
        """As the rules see it."""
        return Device(
            path=f"/dev/vd{self.number.replace(':', '-')}",
            number=self.number,
            size_bytes=self.size_bytes,
        )


class FakeHost:
    """Implements `BlockDevices`, `Filesystems`, `Mounts`, `FormatMarks`, `ForeignNotes`, `KubeletRecords`.

    Args:
        may_grow_ext: whether a mounted ext4 may grow here.
        wait_s: how long `find` waits for a device.

    Attributes:
        links: directories that are links, by where they lead.
        busy: paths that can't be unmounted.
        files: empty files; `directories` likewise, `filled` are those with other content.
        calls: the names of all calls, in order.
        recorded: volumes that kubelet has written down as staged.
        noted: the note of foreign disks.
    """

    def __init__(self, *, may_grow_ext: bool = False, wait_s: float = 30.0) -> None:
        self.may_grow_ext = may_grow_ext
        self.wait_s = wait_s
        self.disks: list[FakeDisk] = []
        self.mounted: list[Mount] = []
        self.links: dict[str, str] = {}
        self.busy: set[str] = set()
        self.foreign: set[str] = set()
        self.files: set[str] = set()
        self.directories: set[str] = {"/"}
        self.filled: set[str] = set()
        self.calls: list[str] = []
        self.recorded: set[VolumeId] = set()
        self.marks: dict[VolumeId, FormatMark] = {}
        self.noted: ForeignNote | None = None
        self._held: Counter[str] = Counter()
        self._failures: defaultdict[str, deque[Exception]] = defaultdict(deque)
        self._gates: dict[str, asyncio.Event] = {}

    def plug(self, serial: str | None, *, size_gib: int = 20, filesystem: str = "") -> FakeDisk:
        """A new disk, at the first number that is free; one with a filesystem is filled by it."""
        taken = {disk.number for disk in self.disks} | {*(+self._held)}
        numbers = (f"{DISK_MAJOR}:{minor}" for minor in count(step=16))
        disk = FakeDisk(
            serial=serial,
            number=next(number for number in numbers if number not in taken),
            size_bytes=size_gib * GIB,
            filesystem=filesystem,
            filesystem_bytes=size_gib * GIB if filesystem else 0,
        )
        self.disks.append(disk)
        return disk

    def unplug(self, disk: FakeDisk) -> None:
        """The device goes; its mounts stay, as on Linux."""
        self.disks.remove(disk)

    def reboot(self) -> None:
        """Mounts and what used them are gone; disks and directories stay."""
        self.mounted.clear()
        self.busy.clear()

    def fail(self, call: str, *errors: Exception) -> None:
        """The next calls of this name raise these, one each."""
        self._failures[call].extend(errors)

    def hold(self, call: str) -> asyncio.Event:
        """Calls of this name wait until the event is set."""
        return self._gates.setdefault(call, asyncio.Event())

    def paths_of(self, disk: FakeDisk) -> list[str]:
        """Where the disk is mounted."""
        return [mount.path for mount in self.mounted if mount.number == disk.number]

    async def find(
        self,
        serial: str,
        links: Sequence[str],  # noqa: ARG002 - only hints
    ) -> Device:
        """Looks every tenth of a second, up to the deadline."""
        await self._enter("find")
        with suppress(TimeoutError):
            async with asyncio.timeout(self.wait_s):
                while True:
                    found = [disk for disk in self.disks if disk.serial == serial]
                    if len(found) > 1:
                        raise WrongState(f"serial {serial} is told by two devices")
                    if found:
                        return found[0].device
                    await asyncio.sleep(LOOK_S)
        raise Pending(f"no device with serial {serial} appeared in {self.wait_s:g} s")

    async def numbered(self, number: str) -> Device | None:
        """By number."""
        await self._enter("numbered")
        return next((disk.device for disk in self.disks if disk.number == number), None)

    async def is_there(self, number: str) -> bool:
        """Any plugged disk, and whatever a test says is there beside them."""
        await self._enter("is_there")
        return number in self.foreign or any(disk.number == number for disk in self.disks)

    async def serial_of(self, device: Device) -> str | None:
        """What the disk was plugged with."""
        await self._enter("serial_of")
        return self._disk(device).serial

    async def attachment(self, device: Device) -> str | None:
        """The disk's field."""
        await self._enter("attachment")
        return self._disk(device).attachment

    @asynccontextmanager
    async def held(self, device: Device) -> AsyncIterator[None]:
        """Nobody else gets the number meanwhile."""
        await self._enter("held")
        if all(disk.number != device.number for disk in self.disks):
            raise Pending(f"{device.path}: no such device")
        self._held[device.number] += 1
        try:
            yield
        finally:
            self._held[device.number] -= 1

    async def put(self, volume_id: VolumeId, mark: FormatMark) -> None:
        """Kept over restarts."""
        await self._enter("put")
        self.marks[volume_id] = mark

    async def get(self, volume_id: VolumeId) -> FormatMark | None:
        """As it was put."""
        await self._enter("get")
        return self.marks.get(volume_id)

    async def forget(self, volume_id: VolumeId) -> None:
        """Absent is fine."""
        await self._enter("forget")
        self.marks.pop(volume_id, None)

    async def facts(self, device: Device) -> DeviceFacts:
        """What the fields give, but for what the disk's own `facts` say."""
        await self._enter("facts")
        disk = self._disk(device)
        mounts = tuple(mount.path for mount in self.mounted if _holds(mount, disk))
        facts = DeviceFacts(
            serial=disk.serial,
            size_bytes=disk.size_bytes,
            filesystem=disk.filesystem,
            signatures=(disk.filesystem,) if disk.filesystem else (),
            head_is_zero=not disk.filesystem,
            tail_is_zero=True,
            partitions=(),
            holders=(),
            mounts=mounts,
            exclusive=not mounts,
        )
        return replace(facts, **disk.facts)  # type: ignore[arg-type]

    async def make(self, device: Device, fs_type: str, options: Sequence[str] | None) -> None:
        """The whole device becomes one filesystem."""
        await self._enter("make")
        disk = self._change(device, " ".join(("make", fs_type, *(options or ()))))
        disk.filesystem, disk.filesystem_bytes = fs_type, disk.size_bytes

    async def check(self, device: Device, fs_type: str) -> None:
        """Finds nothing to mend."""
        await self._enter("check")
        if any(_holds(mount, self._disk(device)) for mount in self.mounted):
            raise WrongState(f"{device.path} is mounted")
        self._change(device, f"check {fs_type}")

    async def needs_growth(
        self,
        device: Device,
        fs_type: str,  # noqa: ARG002 - the disk knows
    ) -> bool:
        """Whether the device outgrew what is on it."""
        await self._enter("needs_growth")
        return self._disk(device).filesystem_bytes < device.size_bytes

    def can_grow_mounted(self, fs_type: str) -> bool:
        """Ext by permission, the others always."""
        return self.may_grow_ext or not same_family(fs_type, "ext4")

    async def grow(self, device: Device, fs_type: str, mounted_at: str | None) -> None:
        """Refuses the states that the real tools refuse."""
        await self._enter("grow")
        at_rest = mounted_at is None
        if at_rest != same_family(fs_type, "ext4") and not self.can_grow_mounted(fs_type):
            raise WrongState(f"{fs_type} can't grow in this state")
        if not at_rest and (there := self._top(mounted_at)) and there.read_only:
            raise WrongState(f"{mounted_at} is read-only")
        disk = self._change(device, f"grow {fs_type}")
        disk.filesystem_bytes = disk.size_bytes

    async def usage(self, path: str) -> FilesystemUsage:
        """A quarter is used."""
        await self._enter("usage")
        there = self._top(path)
        disk = next(disk for disk in self.disks if there and disk.number == there.number)
        total = disk.filesystem_bytes
        return FilesystemUsage(
            total_bytes=total,
            available_bytes=total // 2,
            used_bytes=total // 4,
            inodes_total=0 if disk.filesystem == "btrfs" else 1000,
            inodes_free=0 if disk.filesystem == "btrfs" else 900,
        )

    async def table(self) -> Sequence[Mount]:
        """In the order of mounting."""
        await self._enter("table")
        return tuple(self.mounted)

    async def mount(self, device: Device, path: str, fs_type: str, options: Sequence[str]) -> None:
        """Only what is on the device, and only on a directory."""
        await self._enter("mount")
        disk, place = self._disk(device), self._real(path)
        if place not in self.directories:
            raise WrongState(f"{path}: mount point does not exist")
        if not disk.filesystem or not same_family(disk.filesystem, fs_type):
            raise WrongState(f"{device.path}: wrong fs type")
        self.mounted.append(
            Mount(
                path=place,
                number=disk.number,
                fs_type=fs_type,
                options=SHOWN_FLAGS.intersection(options) or frozenset({"relatime"}),
            )
        )

    async def bind(self, source: str, path: str, *, read_only: bool) -> None:
        """Of a device's node, or of something mounted."""
        await self._enter("bind")
        place = self._real(path)
        there = self._top(source) or self._node(source)
        if there is None:
            raise WrongState(f"{source} is no mount")
        if place not in (self.files if there.raw else self.directories):
            raise WrongState(f"{path}: mount point does not exist")
        options = there.options | ({"ro"} if read_only else frozenset())
        self.mounted.append(replace(there, path=place, options=options))

    async def unmount(self, path: str) -> None:
        """The topmost one."""
        await self._enter("unmount")
        there = self._top(path)
        if there is None:
            raise WrongState(f"{path}: not mounted")
        if there.path in self.busy:
            raise WrongState(f"{path}: target is busy")
        self.mounted.remove(there)

    async def staged(self) -> Collection[VolumeId]:
        """As set."""
        await self._enter("staged")
        return self.recorded

    async def keep(self, note: ForeignNote) -> None:
        """In place of the former one."""
        await self._enter("keep")
        self.noted = note

    async def recall(self) -> ForeignNote | None:
        """As set or kept."""
        await self._enter("recall")
        return self.noted

    async def make_directory(self, path: str) -> None:
        """With its parents."""
        await self._enter("make_directory")
        place = self._real(path)
        self.directories.update(_parents(place), {place})

    async def make_file(self, path: str) -> None:
        """With its parents."""
        await self._enter("make_file")
        place = self._real(path)
        self.directories.update(_parents(place))
        self.files.add(place)

    async def remove(self, path: str) -> None:
        """Not what is mounted, and not what holds something."""
        await self._enter("remove")
        place = self._real(path)
        if self._top(place) is not None or place in self.filled:
            raise WrongState(f"{path} can't be removed")
        self.directories.discard(place)
        self.files.discard(place)

    async def resolve(self, path: str) -> str:
        """By the links."""
        await self._enter("resolve")
        return self._real(path)

    async def _enter(self, call: str) -> None:
        self.calls.append(call)
        if (gate := self._gates.get(call)) is not None:
            await gate.wait()
        if failures := self._failures[call]:
            raise failures.popleft()

    def _disk(self, device: Device) -> FakeDisk:
        for disk in self.disks:
            if disk.number == device.number:
                return disk
        raise WrongState(f"{device.path}: no such device")

    def _change(self, device: Device, what: str) -> FakeDisk:
        disk = self._disk(device)
        disk.done.append(what)
        return disk

    def _node(self, path: str) -> Mount | None:
        for disk in self.disks:
            if disk.device.path == path:
                return Mount(path=path, number=disk.number, fs_type="devtmpfs", raw=True)
        return None

    def _top(self, path: str | None) -> Mount | None:
        place = self._real(path or "")
        return next((mount for mount in reversed(self.mounted) if mount.path == place), None)

    def _real(self, path: str) -> str:
        for link, target in self.links.items():
            if path == link or path.startswith(f"{link}/"):
                path = target + path.removeprefix(link)
        return path.rstrip("/") or "/"


def _holds(mount: Mount, disk: FakeDisk) -> bool:
    """A node that is bound to a file doesn't hold its device."""
    return mount.number == disk.number and not mount.raw


def _parents(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:end]) or "/" for end in range(1, len(parts))}
