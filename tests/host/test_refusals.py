"""Devices that must not be touched: each is refused, and every byte stays as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from diskcsi.host.linux import facts
from diskcsi.model.errors import Pending, WrongState
from diskcsi.model.ids import VolumeId
from tests.host.loops import MIB, Disk, Machine, tool
from tests.rows import row

pytestmark = pytest.mark.host

LVM_LABEL = b"LABELONE" + (1).to_bytes(8, "little") + b"\0" * 8 + b"LVM2 001"
LUKS_HEADER = b"LUKS\xba\xbe\x00\x01" + b"aes".ljust(32, b"\0") + b"xts-plain64".ljust(32, b"\0")
MD_SUPERBLOCK = (0xA92B4EFC).to_bytes(4, "little") + (1).to_bytes(4, "little")


def _table(label: str) -> Callable[[Disk], None]:
    script = f"label: {label}\n,64M\n,\n"
    return lambda disk: void(tool("sfdisk", "--quiet", disk.path, told=script))


def _made(*command: str) -> Callable[[Disk], None]:
    return lambda disk: void(tool(*command, disk.path))


def _bytes(offset: int, content: bytes) -> Callable[[Disk], None]:
    return lambda disk: disk.write(offset + (disk.size if offset < 0 else 0), content)


def void(_: object) -> None:
    """Nothing, whatever a tool said."""


def _two_filesystems(disk: Disk) -> None:
    tool("mkfs.ext4", "-q", "-F", disk.path)
    disk.write(65536 + 64, b"_BHRfS_M")
    disk.write(0, b"XFSB\x00\x00\x10\x00")


STRANGE: dict[str, tuple[Callable[[Disk], None], str]] = {
    "gpt": (_table("gpt"), "partition table"),
    "mbr": (_table("dos"), "partition table"),
    "swap": (_made("mkswap"), "it carries swap"),
    "lvm": (_bytes(512, LVM_LABEL), "LVM2_member"),
    "luks": (_bytes(0, LUKS_HEADER.ljust(4096, b"\0")), "crypto_LUKS|not zero"),
    "md": (_bytes(4096, MD_SUPERBLOCK.ljust(4096, b"\1")), "not zero"),
    "garbage-at-head": (_bytes(100, b"somebody's data"), "its first bytes are not zero"),
    "garbage-below-4-mib": (_bytes(4 * MIB - 1, b"x"), "its first bytes are not zero"),
    "garbage-at-tail": (_bytes(-1, b"x"), "its last bytes are not zero"),
    "garbage-4-mib-before-the-end": (_bytes(-4 * MIB, b"x"), "its last bytes are not zero"),
    "xfs-for-ext4": (_made("mkfs.xfs", "-q"), "carries xfs, and ext4 is asked for"),
    "btrfs-for-ext4": (_made("mkfs.btrfs", "-q"), "carries btrfs, and ext4 is asked for"),
    "signatures-that-contradict": (_two_filesystems, "can't be identified|and also"),
}


@pytest.mark.parametrize("what", STRANGE)
async def test_a_device_with_something_on_it_is_refused_unchanged(node: Machine, what: str) -> None:
    """Whatever the content, no byte of it changes and nothing is mounted."""
    write, reason = STRANGE[what]
    disk = node.plug("strange", 320)  # xfs takes no less
    write(disk)
    before = disk.digest()
    with pytest.raises(WrongState, match=reason):
        await node.stager.stage(disk.stage(node.staging))
    assert (disk.digest(), node.mounts()) == (before, [])


@row("unreadable-probe")
async def test_a_device_that_cannot_be_read_is_not_blank(node: Machine) -> None:
    """Reads that fail say nothing about the content."""
    disk = node.plug("broken", 64)
    request = disk.stage(node.staging)
    os.truncate(disk.image, MIB)  # below a device that still has its size: reads behind it fail
    before = disk.digest()
    with pytest.raises(WrongState, match="can't be told whether its last bytes are not zero"):
        await node.stager.stage(request)
    assert (disk.digest(), node.mounts()) == (before, [])


async def test_a_copy_in_the_kernels_memory_is_not_believed(node: Machine) -> None:
    """What is on the disk now counts, not what was read from it before."""
    disk = node.plug("changed", 64)
    tool("dd", f"if={disk.path}", "of=/dev/null", "bs=1M", "status=none")
    disk.write(MIB, b"written by another machine")
    with pytest.raises(WrongState, match="its first bytes are not zero"):
        await node.stager.stage(disk.stage(node.staging))


async def test_zeros_are_read_past_the_kernels_copies(node: Machine) -> None:
    """A copy made between the flush and the look is not believed either."""
    disk = node.plug("cached", 64)
    device = disk.device
    with open(disk.path, "rb") as holder:  # noqa: ASYNC230, PTH123 - open, it keeps the copies
        holder.read(4 * MIB)
        disk.write(MIB, b"written by another machine")
        assert facts._edges(device) == (False, True)


async def test_a_device_in_use_is_not_formatted(node: Machine) -> None:
    """Somebody else holds it exclusively: a mount of another namespace, or a kernel driver."""
    disk = node.plug("held")
    holder = os.open(disk.path, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(WrongState, match="something else in the system uses it"):
            await node.stager.stage(disk.stage(node.staging))
    finally:
        os.close(holder)


@pytest.mark.parametrize("told_mib", [256, 1024])
async def test_a_blank_device_of_another_size_is_not_formatted(
    node: Machine, told_mib: int
) -> None:
    """The size that the controller told must be the device's, to the byte."""
    disk = node.plug("sized")
    request = disk.stage(node.staging)
    told = {**request.publish_context, "sizeBytes": str(told_mib * MIB)}
    with pytest.raises(WrongState, match="has 536870912 bytes, expected"):
        await node.stager.stage(replace(request, publish_context=told))
    assert node.mounts() == []


@row("stale-device-link")
async def test_a_device_with_another_serial_is_not_the_disk(node: Machine) -> None:
    """A link with the right name that leads to another disk is not believed."""
    other = node.plug("other", 64)
    (node.by_id / "virtio-wanted").symlink_to(other.path)
    request = replace(other.stage(node.staging), volume_id=VolumeId("d-wanted"))
    before = other.digest()
    with pytest.raises(Pending, match=r"no device with serial wanted appeared.*with other"):
        await node.stager.stage(request)
    assert other.digest() == before


@row("two-volumes-one-device")
async def test_two_devices_with_one_serial_are_both_left_alone(node: Machine) -> None:
    """Which one is meant can't be told."""
    disk = node.plug("twin")
    (node.directory / "elsewhere").mkdir()
    copy = node.directory / "elsewhere" / "twin.img"
    copy.touch()
    os.truncate(copy, disk.size)
    loop = tool("losetup", "--find", "--show", copy).strip()
    node.stack.callback(tool, "losetup", "--detach", loop)
    (node.by_id / "scsi-twin").symlink_to(loop)
    with pytest.raises(WrongState, match="serial twin is told by loop"):
        await node.stager.stage(disk.stage(node.staging))


@row("two-volumes-one-device")
async def test_one_device_is_never_staged_twice(node: Machine) -> None:
    """A second place is refused while the first one is mounted."""
    disk = node.plug("shared")
    await node.stager.stage(disk.stage(node.staging))
    with pytest.raises(WrongState, match=f"is mounted at {node.staging}"):
        await node.stager.stage(disk.stage(node.directory / "second"))
    assert node.mounts() == [str(node.staging)]


async def test_a_raw_device_of_another_size_is_refused(node: Machine) -> None:
    """A smaller device is not the disk, whatever is on it."""
    disk = node.plug("raw")
    request = disk.stage(node.staging, block=True)
    told = {**request.publish_context, "sizeBytes": str(1024 * MIB)}
    with pytest.raises(WrongState, match="is not disk d-raw: it has 536870912 bytes, expected"):
        await node.stager.stage(replace(request, publish_context=told))
    assert node.mounts() == []
