"""Loop devices that stand for disks, and the rules of the node over the real machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from diskcsi.aio.flights import Flights
from diskcsi.aio.locks import KeyedLock
from diskcsi.host.linux import mountinfo
from diskcsi.host.linux.devices import LinuxDevices
from diskcsi.host.linux.filesystems import LinuxFilesystems, may_grow_mounted_ext
from diskcsi.host.linux.foreign import LinuxForeignNotes
from diskcsi.host.linux.identity import Identity
from diskcsi.host.linux.marks import LinuxMarks
from diskcsi.host.linux.mounts import LinuxMounts
from diskcsi.model.capabilities import AccessMode, BlockAccess, MountAccess, VolumeCapability
from diskcsi.model.ids import VolumeId
from diskcsi.node.deps import NodeDeps
from diskcsi.node.expand import NodeExpander
from diskcsi.node.foreign import ForeignDisks
from diskcsi.node.publish import Publisher
from diskcsi.node.requests import Stage
from diskcsi.node.stage import Stager
from diskcsi.node.stats import StatsReader
from diskcsi.ports.host import Device
from diskcsi.ports.provider import DeviceRules

MIB = 1024**2


def tool(*command: str | Path, told: str = "") -> str:
    """What a tool says to what it is told; it must succeed."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, input=told)
    return done.stdout


def digest_of(image: Path) -> str:
    """Of all bytes of a file."""
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, kw_only=True)
class Disk:
    """One file that is a loop device now."""

    serial: str
    image: Path
    path: str

    @property
    def volume_id(self) -> VolumeId:
        """As the tests' rules derive the serial."""
        return VolumeId(f"d-{self.serial}")

    @property
    def name(self) -> str:
        """The kernel's name."""
        return Path(self.path).name

    @property
    def size(self) -> int:
        """In bytes."""
        return self.image.stat().st_size

    @property
    def device(self) -> Device:
        """As `find` gives it."""
        number = Path(f"/sys/block/{self.name}/dev").read_text().strip()
        return Device(path=self.path, number=number, size_bytes=self.size)

    def digest(self) -> str:
        """Of all bytes, as they are on the disk."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        return digest_of(self.image)

    def write(self, offset: int, content: bytes) -> None:
        """Past the kernel's copies of the device."""
        with self.image.open("r+b") as file:
            file.seek(offset)
            file.write(content)

    def grow(self, size_mib: int) -> None:
        """As a cloud grows a disk."""
        os.truncate(self.image, size_mib * MIB)
        tool("losetup", "--set-capacity", self.path)

    def stage(
        self,
        path: Path,
        fs_type: str = "ext4",
        *,
        mode: AccessMode = AccessMode.SINGLE_NODE_MULTI_WRITER,
        flags: tuple[str, ...] = (),
        block: bool = False,
    ) -> Stage:
        """A request to stage it, with the size as it is now."""
        return Stage(
            volume_id=self.volume_id,
            staging_path=str(path),
            capability=VolumeCapability(
                mode=mode,
                access=BlockAccess() if block else MountAccess(fs_type=fs_type, mount_flags=flags),
            ),
            publish_context={"serialNumber": self.serial, "sizeBytes": str(self.size)},
        )


@dataclass(kw_only=True)
class Machine:
    """A directory that stands for one machine's devices, and the rules over it."""

    directory: Path
    stack: ExitStack
    tasks: asyncio.TaskGroup

    def __post_init__(self) -> None:
        """The directories, and the rules."""
        self.by_id.mkdir(parents=True)
        self.devices = LinuxDevices(
            identity=self.identity(), own_paths=("/",), wait_s=1.0, random=Random(1)
        )
        self.filesystems = LinuxFilesystems(may_grow_ext=may_grow_mounted_ext(), tool_s=50.0)
        self.deps = NodeDeps(
            devices=self.devices,
            filesystems=self.filesystems,
            mounts=LinuxMounts(),
            marks=LinuxMarks(directory=self.directory / "marks"),
            rules=DeviceRules(
                serial=lambda volume_id, _: volume_id.removeprefix("d-"),
                by_id_patterns=("virtio-{serial}",),
            ),
            flights=Flights(tasks=self.tasks),
            volumes=KeyedLock(),
            default_fs_type="ext4",
            check_filesystems=True,
            flight_s=60.0,
        )
        notes = LinuxForeignNotes(path=self.directory / "foreign-disks.json")
        self.stager = Stager(deps=self.deps, foreign=ForeignDisks(notes=notes))
        self.publisher = Publisher(deps=self.deps, stager=self.stager)
        self.expander = NodeExpander(deps=self.deps)
        self.stats = StatsReader(deps=self.deps)

    @property
    def by_id(self) -> Path:
        """Where links to devices are."""
        return self.directory / "dev" / "disk" / "by-id"

    @property
    def staging(self) -> Path:
        """A place to stage at."""
        return self.directory / "staging"

    def identity(self, *sources: str) -> Identity:
        """Over this machine's links and the real sysfs."""
        return Identity(
            device_root=self.directory / "dev",
            sysfs_root=Path("/sys"),
            sources=sources or ("loop",),
        )

    def plug(self, serial: str, size_mib: int = 512, *, image: Path | None = None) -> Disk:
        """A new disk with a link; a copy of `image` where one is given."""
        path = self.directory / f"{serial}.img"
        if image is None:
            path.touch()
            os.truncate(path, size_mib * MIB)
        else:
            tool("cp", "--sparse=always", image, path)
        return self._attached(serial, path)

    def plug_again(self, disk: Disk) -> Disk:
        """The same bytes in an attachment of its own, at whatever device is free."""
        detach(disk.image)
        (self.by_id / f"virtio-{disk.serial}").unlink()
        return self._attached(disk.serial, disk.image)

    def _attached(self, serial: str, image: Path) -> Disk:
        loop = tool("losetup", "--find", "--show", image).strip()
        self.stack.callback(detach, image)
        (self.by_id / f"virtio-{serial}").symlink_to(loop)
        return Disk(serial=serial, image=image, path=loop)

    def mounts(self) -> list[str]:
        """What is mounted below this machine's directory."""
        return [
            entry.path for entry in mountinfo.read() if entry.path.startswith(f"{self.directory}/")
        ]


def detach(image: Path) -> None:
    """By its file: the device's name may be another test's by now."""
    for loop in tool("losetup", "--noheadings", "--output=NAME", "--associated", image).split():
        tool("losetup", "--detach", loop)


@contextmanager
def machine(directory: Path, tasks: asyncio.TaskGroup) -> Iterator[Machine]:
    """A machine; afterwards nothing of it is mounted or attached."""
    with ExitStack() as stack:
        made = Machine(directory=directory.resolve(), stack=stack, tasks=tasks)
        try:
            yield made
        finally:
            for path in reversed(made.mounts()):
                tool("umount", "--", path)
