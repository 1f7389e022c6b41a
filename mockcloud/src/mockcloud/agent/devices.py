"""The device nodes and links of one machine.

Nodes are made in a directory of our own, `/dev/mockcloud`, under the kernel's names. A link in
`disk/by-id` that points into that directory is one of ours; nothing else is ever touched.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mockcloud.hypervisor.images import IMAGE_SUFFIX
from mockcloud.hypervisor.loopdev import LOOP_MAJOR, NO_DEVICE, LoopFile, backing_name, file_behind

OWN: Final = "mockcloud"
TO_OWN: Final = f"../../{OWN}/"
"""How links in `disk/by-id` lead to our directory."""

VIRTIO_LINK: Final = "virtio-{serial}"
NVME_LINK: Final = "nvme-Alibaba_Cloud_Elastic_Block_Storage_{serial}"
MODE: Final = 0o660


class Unable(Exception):  # noqa: N818 - reads as what is so
    """This machine can't have disks; the message tells why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A disk that the machine shall have: which loop device, and the file behind it."""

    serial: str
    number: int
    file: LoopFile
    nvme: bool

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> Wanted:
        """One entry of the server's list.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        serial = str(told["serial"])
        if not serial.isalnum():  # it becomes part of a path
            raise ValueError(f"{serial!r} is no serial")
        return cls(
            serial=serial,
            number=int(told["number"]),
            file=LoopFile(device=int(told["device"]), inode=int(told["inode"])),
            nvme=bool(told["nvme"]),
        )

    @property
    def node(self) -> str:
        """The kernel's name of the device."""
        return f"loop{self.number}"

    @property
    def link(self) -> str:
        """The name by which udev would link it."""
        return (NVME_LINK if self.nvme else VIRTIO_LINK).format(serial=self.serial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the machine has now, by serial, and what it could not get or give up."""

    there: frozenset[str]
    failed: dict[str, str]


@dataclass(slots=True, kw_only=True)
class _Held:
    disk: Wanted
    descriptor: int


@dataclass(slots=True, kw_only=True)
class Devices:
    """Brings one machine's `/dev` to what it shall be.

    It keeps each device open: so the device outlives a restart of the server, and is not given to
    another machine while this one can't be asked.

    Attributes:
        root: the machine's `/dev`.
    """

    root: Path
    _held: dict[str, _Held] = field(default_factory=dict)

    @property
    def own(self) -> Path:
        """Our directory of nodes."""
        return self.root / OWN

    @property
    def by_id(self) -> Path:
        """The directory of links."""
        return self.root / "disk" / "by-id"

    def prove(self) -> None:
        """See that nodes can be made here, and opened, and that no other agent makes any.

        Raises:
            Unable: they can't, or one does.
        """
        probe = self.own / ".probe"
        try:
            self.own.mkdir(parents=True, exist_ok=True)
            self.by_id.mkdir(parents=True, exist_ok=True)
            self._claim()
            probe.unlink(missing_ok=True)
            os.mknod(probe, stat.S_IFBLK | MODE, os.makedev(LOOP_MAJOR, 0))
            os.close(os.open(probe, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            if error.errno in NO_DEVICE:  # there is no such loop yet: well
                return
            raise Unable(
                f"device nodes can't be made or opened in {self.root}: {error.strerror}; run the"
                " agent as root in a privileged pod, with the node's /dev at --device-root"
            ) from error
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)

    def _claim(self) -> None:
        """Be the only agent here until this process ends, when the kernel closes what is open."""
        claim = os.open(self.own, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(claim)
            raise Unable(
                f"another agent has the disks in {self.root}, and each would take the other's away;"
                " give one of them another --device-root, and whoever uses its disks the same"
            ) from error

    def provide_loops(self, count: int) -> None:
        """Make the nodes that a machine's kernel would have for loop devices of its own.

        Kubelet attaches raw block volumes through one, and a container's `/dev` lacks those that
        came after the container's start.
        """
        for number in range(count):
            with contextlib.suppress(FileExistsError):
                os.mknod(
                    self.root / f"loop{number}", stat.S_IFBLK | MODE, os.makedev(LOOP_MAJOR, number)
                )

    def adopt(self) -> None:
        """Hold what a former agent has left, and take away what leads to no disk of its name.

        While nobody held it the kernel may have given the device's number to another disk, and
        whoever follows the link would read or write that one. What can't be told now is left to the
        server's next order.
        """
        for link in self._links():
            with contextlib.suppress(OSError):
                self._adopt(link)

    def _adopt(self, link: Path) -> None:
        node, serial = self.own / link.readlink().name, _serial(link)
        with contextlib.ExitStack() as undo:
            descriptor = _open_if_there(node)
            if descriptor is not None:
                undo.callback(os.close, descriptor)
                # what is open can't become another one any more
                if _has(node, serial) and (file := file_behind(descriptor)) is not None:
                    undo.pop_all()
                    disk = Wanted(
                        serial=serial, number=int(node.name.removeprefix("loop")), file=file,
                        nvme=link.name == NVME_LINK.format(serial=serial),
                    )  # fmt: skip
                    self._held[serial] = _Held(disk=disk, descriptor=descriptor)
                    return
            self._take_away(link, force=True)

    def converge(self, wanted: Sequence[Wanted], *, force: bool = False) -> Outcome:
        """Take away what is not wanted and not mounted, then make what is missing.

        Args:
            force: take away what is mounted as well, as the end of a machine does.
        """
        nodes = {disk.link: disk.node for disk in wanted}
        failed: dict[str, str] = {}
        for link in self._links():
            try:
                if link.readlink() != Path(TO_OWN, nodes.get(link.name, "")):
                    self._take_away(link, force=force)
            except OSError as error:
                failed[_serial(link)] = str(error)
        for disk in wanted:
            try:
                self._bring(disk)
            except OSError as error:
                failed[disk.serial] = str(error)
        self._close_unlinked()
        return Outcome(there=frozenset(map(_serial, self._links())), failed=failed)

    def _bring(self, disk: Wanted) -> None:
        self.own.mkdir(parents=True, exist_ok=True)
        self.by_id.mkdir(parents=True, exist_ok=True)
        node, link = self.own / disk.node, self.by_id / disk.link
        if link.is_symlink() and link.readlink() != Path(TO_OWN, disk.node):
            raise OSError(errno.EBUSY, f"{link} leads elsewhere, and that is in use")
        number = os.makedev(LOOP_MAJOR, disk.number)
        if not (node.is_block_device() and node.stat().st_rdev == number):
            node.unlink(missing_ok=True)
            os.mknod(node, stat.S_IFBLK | MODE, number)
        held = self._held.get(disk.serial)
        if held is None or held.disk != disk:
            self._hold(disk, node)
        if not link.is_symlink():
            link.symlink_to(Path(TO_OWN, disk.node))

    def _hold(self, disk: Wanted, node: Path) -> None:
        """Open the device, and see that it is the one that the server means."""
        descriptor = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
        if file_behind(descriptor) != disk.file:
            os.close(descriptor)
            raise OSError(errno.ENXIO, f"{disk.node} of this kernel has another file behind it")
        self._drop(disk.serial)
        self._held[disk.serial] = _Held(disk=disk, descriptor=descriptor)

    def _take_away(self, link: Path, *, force: bool) -> None:
        """Remove a link, its node and what we hold of it; one that is mounted stays."""
        node = self.own / link.readlink().name
        serial = _serial(link)
        if not force and _has(node, serial) and _mounted(node):
            return
        link.unlink(missing_ok=True)
        self._drop(serial)
        if not any(Path(_leads(other)).name == node.name for other in self._links()):
            node.unlink(missing_ok=True)

    def _close_unlinked(self) -> None:
        """Let go of what somebody else removed from the directories."""
        linked = {_serial(link) for link in self._links()}
        for serial in [one for one in self._held if one not in linked]:
            self._drop(serial)

    def _drop(self, serial: str) -> None:
        held = self._held.pop(serial, None)
        if held is not None:
            os.close(held.descriptor)

    def _links(self) -> Iterator[Path]:
        try:
            found = sorted(self.by_id.iterdir())
        except OSError:
            return
        for link in found:
            if _leads(link).startswith(TO_OWN):
                yield link


def _serial(link: Path) -> str:
    return link.name.replace("_", "-").rpartition("-")[2]


def _leads(link: Path) -> str:
    """Where a link leads; empty for what is none, or went meanwhile."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _has(node: Path, serial: str) -> bool:
    """Whether the node leads to this disk, and not to one that took the device's number later."""
    number = node.name.removeprefix("loop")
    return number.isdigit() and backing_name(int(number)) == f"{serial}{IMAGE_SUFFIX}"


def _open_if_there(node: Path, flags: int = 0) -> int | None:
    """A descriptor of the node; None where there is none, or no device behind it."""
    try:
        return os.open(node, os.O_RDONLY | os.O_CLOEXEC | flags)
    except OSError as error:
        if error.errno in (errno.ENOENT, *NO_DEVICE):
            return None
        raise


def _mounted(node: Path) -> bool:
    """Whether somebody has the device for itself, as a mount has; raises OSError if none can tell."""
    try:
        descriptor = _open_if_there(node, os.O_EXCL)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise
    if descriptor is not None:
        os.close(descriptor)
    return False
