"""The cloud behind the provider: sparse files, loop devices, and links that say who holds them.

`SERIAL.img` is a disk, `SERIAL.name` beside it its CSI name; the serial is made of the name, so
that a repeated order finds the same disk. `NODE/dev` stands for a machine's `/dev`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from diskcsi.spi import (
    GIB,
    AlreadyExists,
    CallObserver,
    Capability,
    CloudCall,
    Disk,
    DiskError,
    DiskSpec,
    DiskState,
    InUse,
    Node,
    NodeId,
    NoSnapshots,
    NotFound,
    OutOfRange,
    Pending,
    UnknownOutcome,
    Unreachable,
    VolumeId,
    WrongState,
)

if TYPE_CHECKING:
    from diskcsi_folder import FolderSettings

ID = re.compile(r"vol-([0-9a-f]{20})")
LOSETUP_S = 10.0  # it takes milliseconds, unless the kernel is stuck


class FolderCloud(NoSnapshots):
    """Disks in a folder."""

    capabilities = frozenset({Capability.EXPAND})
    read_batch = 100  # files are read one by one, so any number would do

    def __init__(self, settings: FolderSettings, observer: CallObserver, *, zone: str) -> None:
        self._folder = Path(settings.folder).resolve()  # as the kernel tells of backing files
        self._nodes = frozenset(settings.nodes)
        self._observer = observer
        self._zone = zone
        self._one_change = asyncio.Lock()

    async def check(self) -> None:
        """The folder can be read."""
        async with self._call("check", mutating=False):
            next(self._folder.iterdir(), None)

    async def find_disks(self, name: str) -> Sequence[Disk]:
        """The disk of this name, or none."""
        return list((await self.get_disks([_id(name)])).values())

    async def get_disks(self, volume_ids: Collection[VolumeId]) -> Mapping[VolumeId, Disk]:
        """Those that exist; an odd id is one that doesn't."""
        async with self._call("get_disks", mutating=False):
            return {id_: disk for id_ in volume_ids if (disk := self._disk(id_))}

    async def create_disk(self, spec: DiskSpec) -> VolumeId:
        """A sparse file, and then its name: without it a file is no disk."""
        async with self._call("create_disk", mutating=True):
            id_ = _id(spec.name)
            existing = self._disk(id_)
            if existing and existing.size_gib != spec.size_gib:
                raise AlreadyExists(f"disk {id_} has the name, and {existing.size_gib} GiB")
            if not existing:
                self._image(id_).unlink(missing_ok=True)  # of an order that was cut short
                self._image(id_).touch(mode=0o600)
                os.truncate(self._image(id_), spec.size_gib * GIB)
                unfinished = self._image(id_).with_suffix(".new")
                unfinished.write_text(spec.name)
                unfinished.replace(self._name(id_))
            return id_

    async def delete_disk(self, volume_id: VolumeId) -> None:
        """First the name goes, then the bytes."""
        async with self._call("delete_disk", mutating=True):
            disk = self._existing(volume_id)
            if disk.attached_to:
                raise InUse(f"disk {volume_id} is attached", by=min(disk.attached_to))
            self._name(volume_id).unlink()
            self._image(volume_id).unlink()

    async def resize_disk(self, volume_id: VolumeId, size_gib: int) -> None:
        """Lengthen the file, and tell the device where there is one."""
        async with self._call("resize_disk", mutating=True):
            disk = self._existing(volume_id)
            if size_gib < disk.size_gib:
                raise OutOfRange(f"disk {volume_id} has {disk.size_gib} GiB and never shrinks")
            os.truncate(self._image(volume_id), size_gib * GIB)
            if device := self._device(volume_id):
                await _losetup("--set-capacity", device)

    async def attach_disk(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """A loop device, and a link to it in the machine's device directory."""
        async with self._call("attach_disk", mutating=True):
            disk = self._existing(volume_id)
            if node_id not in self._nodes:
                raise NotFound(f"node {node_id} is none of {', '.join(sorted(self._nodes))}")
            if disk.attached_to:
                raise InUse(f"disk {volume_id} is attached", by=min(disk.attached_to))
            self._forget_links(volume_id)  # a reboot may have left one
            device = self._device(volume_id) or await _losetup(
                "--find", "--show", str(self._image(volume_id))
            )
            link = self._link(volume_id, node_id)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(device)

    async def detach_disk(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """Take the device down, unless it is in use: losetup would only promise to."""
        async with self._call("detach_disk", mutating=True):
            device = self._device(volume_id)
            if node_id not in self._existing(volume_id).attached_to or not device:
                raise WrongState(f"disk {volume_id} is not attached to {node_id}")
            _refuse_in_use(device)
            await _losetup("--detach", device)
            if not self._device(volume_id):  # else it is open, and goes when it is closed
                self._forget_links(volume_id)

    async def get_node(self, node_id: NodeId) -> Node | None:
        """One that the settings name."""
        return Node(id=node_id, zone=self._zone) if node_id in self._nodes else None

    @asynccontextmanager
    async def _call(self, action: str, *, mutating: bool) -> AsyncIterator[None]:
        """Tell the observer of a call, and say of a failure what is known after it."""
        begun_s, code = time.monotonic(), "OK"
        try:
            async with self._one_change:
                yield
        except DiskError as error:
            code = type(error).__name__
            raise
        except OSError as error:
            code = type(error).__name__
            kind = UnknownOutcome if mutating else Unreachable
            raise kind(f"{action} in {self._folder}: {error}") from error
        finally:
            self._observer(
                CloudCall(
                    action=action,
                    mutating=mutating,
                    code=code,
                    request_id="",
                    duration_s=time.monotonic() - begun_s,
                )
            )

    def _disk(self, volume_id: VolumeId) -> Disk | None:
        if not ID.fullmatch(volume_id) or not self._name(volume_id).exists():
            return None
        device = self._device(volume_id)
        holders = [node for node in self._nodes if self._holds(node, volume_id, device)]
        return Disk(
            id=volume_id,
            name=self._name(volume_id).read_text(),
            size_gib=self._image(volume_id).stat().st_size // GIB,
            state=DiskState.IN_USE if holders else DiskState.AVAILABLE,
            zone=self._zone,
            attached_to=frozenset(map(NodeId, holders)),
            serial=_serial(volume_id),
        )

    def _existing(self, volume_id: VolumeId) -> Disk:
        if disk := self._disk(volume_id):
            return disk
        raise NotFound(f"disk {volume_id} is absent")

    def _holds(self, node: str, volume_id: VolumeId, device: str | None) -> bool:
        """Whether a machine's link points at the device that is over the file now."""
        link = self._link(volume_id, node)
        return device is not None and link.is_symlink() and str(link.readlink()) == device

    def _device(self, volume_id: VolumeId) -> str | None:
        """The loop device over the disk's file: the kernel is asked, since a reboot ends them."""
        for told in Path("/sys/block").glob("loop*/loop/backing_file"):
            try:
                if told.read_text().rstrip("\n") == str(self._image(volume_id)):
                    return f"/dev/{told.parent.parent.name}"
            except OSError:
                continue  # taken down in this moment
        return None

    def _forget_links(self, volume_id: VolumeId) -> None:
        for node in self._nodes:
            self._link(volume_id, node).unlink(missing_ok=True)

    def _image(self, volume_id: VolumeId) -> Path:
        return self._folder / f"{_serial(volume_id)}.img"  # nodes compare the file's name

    def _name(self, volume_id: VolumeId) -> Path:
        return self._image(volume_id).with_suffix(".name")

    def _link(self, volume_id: VolumeId, node: str) -> Path:
        return self._folder / node / "dev/disk/by-id" / f"virtio-{_serial(volume_id)}"


def _id(name: str) -> VolumeId:
    return VolumeId(f"vol-{sha256(name.encode()).hexdigest()[:20]}")


def _serial(volume_id: VolumeId) -> str:
    return volume_id.removeprefix("vol-")


def _refuse_in_use(device: str) -> None:
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL))  # the kernel refuses while it is mounted
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Pending(f"{device} is in use, such as by a mount") from error
        raise


async def _losetup(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "losetup", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(LOSETUP_S):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise UnknownOutcome(f"losetup {' '.join(arguments)}: no end in {LOSETUP_S} s") from error
    finally:
        if process.returncode is None:  # it is late, or nobody waits for it any more
            process.kill()
            await process.wait()
    if process.returncode:
        raise UnknownOutcome(f"losetup {' '.join(arguments)}: {errors.decode().strip()}")
    return output.decode().strip()
