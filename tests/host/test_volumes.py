"""Volumes on real filesystems: formatted, kept, grown, shown, taken away."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from diskcsi.host.linux.filesystems import LinuxFilesystems, may_grow_mounted_ext
from diskcsi.model.capabilities import AccessMode
from diskcsi.model.errors import AlreadyExists, NotFound, WrongState
from diskcsi.model.sizes import Capacity
from diskcsi.node.requests import Expand, Publish, Stage
from diskcsi.ports.host import FormatMark
from tests.host.loops import MIB, Disk, Machine, tool
from tests.rows import row

pytestmark = pytest.mark.host

FILESYSTEMS = ["ext3", "ext4", "xfs", "btrfs"]
THIS = Path(__file__).read_bytes()
READER = AccessMode.SINGLE_NODE_READER_ONLY


def _names(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir()]


def _publish(request: Stage, target: Path, *, read_only: bool = False) -> Publish:
    return Publish(
        volume_id=request.volume_id,
        staging_path=request.staging_path,
        target_path=str(target),
        capability=request.capability,
        read_only=read_only,
        publish_context=request.publish_context,
    )


def _expand(disk: Disk, path: Path) -> Expand:
    return Expand(
        volume_id=disk.volume_id,
        volume_path=str(path),
        capacity=Capacity(required_bytes=disk.size),
    )


def _shown(path: Path) -> set[str]:
    return set(tool("findmnt", "--noheadings", "--output", "OPTIONS", path).strip().split(","))


@pytest.mark.parametrize("fs_type", FILESYSTEMS)
async def test_data_survives_another_staging(node: Machine, fs_type: str) -> None:
    """A blank disk is formatted once; what is written is there the next time."""
    request = node.plug("kept").stage(node.staging, fs_type)
    await node.stager.stage(request)
    (node.staging / "file").write_bytes(b"written once")
    await node.stager.unstage(request.volume_id, request.staging_path)
    await node.stager.stage(request)
    assert (node.staging / "file").read_bytes() == b"written once"


@pytest.mark.parametrize("fs_type", FILESYSTEMS)
async def test_unstaging_leaves_nothing(node: Machine, fs_type: str) -> None:
    """No mount, and nothing in the directory, which is kubelet's."""
    request = node.plug("left").stage(node.staging, fs_type)
    await node.stager.stage(request)
    (node.staging / "file").touch()
    await node.stager.unstage(request.volume_id, request.staging_path)
    await node.stager.unstage(request.volume_id, request.staging_path)
    assert (node.mounts(), _names(node.staging)) == ([], [])


@pytest.mark.parametrize("fs_type", FILESYSTEMS)
@row("restore-larger")
async def test_a_disk_that_grew_is_filled_when_staged(node: Machine, fs_type: str) -> None:
    """Before or after mounting, as the filesystem wants; the data stays."""
    disk = node.plug("grown")
    await node.stager.stage(disk.stage(node.staging, fs_type))
    (node.staging / "file").write_bytes(b"kept")
    await node.stager.unstage(disk.volume_id, str(node.staging))
    disk.grow(1024)
    await node.stager.stage(disk.stage(node.staging, fs_type))
    told = await node.stats.usage(disk.volume_id, str(node.staging))
    kept = (node.staging / "file").read_bytes()
    assert (told.total_bytes > 900 * MIB, kept) == (True, b"kept")


@pytest.mark.parametrize("fs_type", ["xfs", "btrfs"])
async def test_a_mounted_filesystem_grows(node: Machine, fs_type: str) -> None:
    """Online, by NodeExpandVolume; a repeat is fine and tells the device's size."""
    disk = node.plug("online")
    await node.stager.stage(disk.stage(node.staging, fs_type))
    disk.grow(1024)
    sizes = [await node.expander.expand(_expand(disk, node.staging)) for _ in range(2)]
    told = await node.stats.usage(disk.volume_id, str(node.staging))
    assert (sizes, told.total_bytes > 900 * MIB) == ([1024 * MIB] * 2, True)


@pytest.mark.parametrize("fs_type", ["xfs", "btrfs"])
async def test_a_repeated_staging_grows_what_is_mounted(node: Machine, fs_type: str) -> None:
    """The first one may have ended before the growth; a third finds nothing to do."""
    disk = node.plug("again")
    await node.stager.stage(disk.stage(node.staging, fs_type))
    disk.grow(1024)
    for _ in range(2):
        await node.stager.stage(disk.stage(node.staging, fs_type))
    told = await node.stats.usage(disk.volume_id, str(node.staging))
    assert told.total_bytes > 900 * MIB


async def test_a_mounted_ext4_grows_where_the_kernel_allows_it(node: Machine) -> None:
    """Where it does not, the refusal says why and when it will grow; both are tested by machine."""
    disk = node.plug("ext")
    await node.stager.stage(disk.stage(node.staging))
    disk.grow(1024)
    try:
        await node.expander.expand(_expand(disk, node.staging))
        outcome = "grown"
    except WrongState as refused:
        outcome = str(refused)
    told = await node.stats.usage(disk.volume_id, str(node.staging))
    large = told.total_bytes > 900 * MIB
    assert (large, "CAP_SYS_RESOURCE" in outcome) == (
        (True, False) if may_grow_mounted_ext() else (False, True)
    )


async def test_the_kernel_is_asked_before_a_mounted_ext4_grows(node: Machine) -> None:
    """A tool that is sent nevertheless fails, and its words come through."""
    if may_grow_mounted_ext():
        pytest.skip("this machine lets a mounted ext4 grow")
    disk = node.plug("denied")
    await node.stager.stage(disk.stage(node.staging))
    disk.grow(1024)
    with pytest.raises(WrongState, match="resize2fs ended with 1"):
        await LinuxFilesystems(may_grow_ext=True, tool_s=50.0).grow(
            disk.device, "ext4", str(node.staging)
        )


@row("dirty-filesystem")
async def test_an_ext4_that_was_not_unmounted_is_checked_first(node: Machine) -> None:
    """A copy of a mounted filesystem has a journal to replay."""
    disk = node.plug("origin")
    await node.stager.stage(disk.stage(node.staging))
    (node.staging / "file").write_bytes(b"in the journal")
    os.sync()
    copy = node.plug("dirty", image=disk.image)
    before = tool("dumpe2fs", "-h", copy.path)
    await node.filesystems.check(copy.device, "ext4")
    after = tool("dumpe2fs", "-h", copy.path)
    assert ("needs_recovery" in before, "needs_recovery" in after) == (True, False)


@row("dirty-filesystem")
async def test_an_ext4_with_damage_is_left_to_a_person(node: Machine) -> None:
    """What can't be repaired without a decision is not mounted."""
    disk = node.plug("damaged")
    request = disk.stage(node.staging)
    await node.stager.stage(request)
    (node.staging / "directory").mkdir()
    await node.stager.unstage(request.volume_id, request.staging_path)
    tool("debugfs", "-w", "-R", "clri <2>", disk.path)
    tool("debugfs", "-w", "-R", "set_super_value state 2", disk.path)
    with pytest.raises(
        WrongState, match=r"(?s)is damaged: e2fsck ended with 4.*nothing was mounted"
    ):
        await node.stager.stage(request)
    assert node.mounts() == []


@row("restore-larger")
async def test_a_restored_xfs_is_mounted_beside_its_origin(node: Machine) -> None:
    """The copy has the same id, and xfs would refuse it."""
    disk = node.plug("first")
    await node.stager.stage(disk.stage(node.staging, "xfs"))
    (node.staging / "file").write_bytes(b"both")
    os.sync()
    copy = node.plug("second", image=disk.image)
    await node.stager.stage(copy.stage(node.directory / "restored", "xfs"))
    assert (node.directory / "restored" / "file").read_bytes() == b"both"


async def test_a_raw_device_is_handed_through(node: Machine) -> None:
    """What is written to the target is on the disk; afterwards no file is left."""
    disk = node.plug("raw", 64)
    request = disk.stage(node.staging, block=True)
    target = node.directory / "pod" / "device"
    await node.publisher.publish(_publish(request, target))
    tool("dd", "if=/dev/zero", f"of={target}", "bs=1M", "count=1", "conv=fsync", "status=none")
    tool("dd", f"if={__file__}", f"of={target}", "bs=1k", "count=1", "conv=fsync", "status=none")
    await node.publisher.unpublish(disk.volume_id, str(target))
    await node.stager.unstage(disk.volume_id, request.staging_path)
    left = (node.mounts(), target.exists(), _names(node.staging))
    with disk.image.open("rb") as file:
        content = file.read(1024)
    assert (content, left) == (THIS[:1024], ([], False, []))


async def test_a_raw_device_tells_its_size(node: Machine) -> None:
    """Usage of a raw device is its size, and it follows its growth."""
    disk = node.plug("rawsize", 64)
    await node.stager.stage(disk.stage(node.staging, block=True))
    disk.grow(128)
    place = node.staging / disk.volume_id
    told = await node.stats.usage(disk.volume_id, str(place))
    size = await node.expander.expand(_expand(disk, place))
    assert (told.total_bytes, size) == (128 * MIB, 128 * MIB)


@pytest.mark.parametrize("fs_type", ["ext4", "xfs", "btrfs"])
async def test_usage_is_what_the_filesystem_says(node: Machine, fs_type: str) -> None:
    """Bytes and inodes agree with df(1)."""
    disk = node.plug("used")
    await node.stager.stage(disk.stage(node.staging, fs_type))
    (node.staging / "file").write_bytes(bytes(10 * MIB))
    os.sync()
    told = await node.stats.usage(disk.volume_id, str(node.staging))
    shown = tool("df", "--block-size=1", "--output=size,used,avail,itotal,iavail", node.staging)
    size, used, available, inodes, free = shown.splitlines()[1].replace("-", "0").split()
    assert [
        told.total_bytes, told.used_bytes, told.available_bytes,
        told.inodes_total or 0, told.inodes_free,
    ] == [int(size), int(used), int(available), int(inodes), int(free)]  # fmt: skip


@pytest.mark.parametrize(
    "flags",
    [
        ("noatime", "nodiratime"),
        ("nosuid,nodev", "noexec"),
        ("sync", "dirsync", "lazytime"),
        ("defaults", "discard"),
    ],
)
async def test_flags_reach_the_kernel_and_a_repeat_is_equal(
    node: Machine, flags: tuple[str, ...]
) -> None:
    """The kernel shows some of a mount and some of the filesystem; both are compared."""
    request = node.plug("flags").stage(node.staging, flags=flags)
    await node.stager.stage(request)
    await node.stager.stage(request)
    wanted = {part for flag in flags for part in flag.split(",")} - {"defaults"}
    assert (wanted - _shown(node.staging), len(node.mounts())) == (set(), 1)


async def test_a_repeat_with_other_flags_is_refused(node: Machine) -> None:
    """Row 22, with what the real mount table shows."""
    disk = node.plug("flags")
    await node.stager.stage(disk.stage(node.staging))
    with pytest.raises(AlreadyExists):
        await node.stager.stage(disk.stage(node.staging, flags=("noexec",)))
    assert "noexec" not in _shown(node.staging)


async def test_a_read_only_target_keeps_the_other_flags(node: Machine) -> None:
    """Making a bind mount read-only must not make its programs executable again."""
    request = node.plug("flags").stage(node.staging, flags=("nosuid", "nodev", "noexec", "noatime"))
    target = node.directory / "target"
    for _ in range(2):
        await node.publisher.publish(_publish(request, target, read_only=True))
    assert {"ro", "nosuid", "nodev", "noexec", "noatime"} <= _shown(target)


@pytest.mark.parametrize("fs_type", ["ext4", "xfs", "btrfs"])
async def test_a_reader_can_not_write(node: Machine, fs_type: str) -> None:
    """Neither through the staging nor through a target of it, and a repeat is equal."""
    disk = node.plug("reader")
    await node.stager.stage(disk.stage(node.staging, fs_type))
    await node.stager.unstage(disk.volume_id, str(node.staging))
    request = disk.stage(node.staging, fs_type, mode=READER)
    target = node.directory / "target"
    for _ in range(2):
        await node.publisher.publish(_publish(request, target))
    refused = []
    for place in (node.staging, target):
        with pytest.raises(OSError, match="Read-only file system"):
            (place / "file").touch()
        refused.append(place)
    assert len(refused) == 2


async def test_a_path_with_odd_characters_is_staged_and_unstaged(node: Machine) -> None:
    """The kernel escapes them in its table; a mount that is overlooked would be mounted twice."""
    path = node.directory / "a b\tc\\d#e\u2028f\x0bg\u00e9"
    request = node.plug("odd").stage(path)
    await node.stager.stage(request)
    await node.stager.stage(request)
    seen = node.mounts()
    await node.stager.unstage(request.volume_id, str(path))
    assert (seen, node.mounts()) == ([str(path)], [])


async def test_a_path_behind_a_link_is_staged_once_and_unstaged(node: Machine) -> None:
    """Kubelet's directory may be a link to a larger disk."""
    (node.directory / "data").mkdir()
    (node.directory / "kubelet").symlink_to(node.directory / "data")
    request = node.plug("linked").stage(node.directory / "kubelet" / "staging")
    await node.stager.stage(request)
    await node.stager.stage(request)
    seen = node.mounts()
    await node.stager.unstage(request.volume_id, request.staging_path)
    assert (seen, node.mounts()) == ([f"{node.directory}/data/staging"], [])


@row("node-reboot-staged")
async def test_a_staging_that_was_lost_is_restored_with_its_data(node: Machine) -> None:
    """A pod's volume is published although nothing is mounted any more."""
    request = node.plug("lost").stage(node.staging)
    target = node.directory / "target"
    await node.publisher.publish(_publish(request, target))
    (target / "file").write_bytes(b"before")
    tool("umount", target)
    tool("umount", node.staging)
    await node.publisher.publish(_publish(request, target))
    assert (target / "file").read_bytes() == b"before"


async def test_a_volume_in_use_is_not_unstaged(node: Machine) -> None:
    """A file that is open keeps the mount, and the refusal says what to do."""
    request = node.plug("busy").stage(node.staging)
    await node.stager.stage(request)
    with (node.staging / "file").open("w"):
        with pytest.raises(WrongState, match=r"can't be unmounted.*something still uses it"):
            await node.stager.unstage(request.volume_id, request.staging_path)
        assert node.mounts() == [str(node.staging)]


async def test_a_target_with_data_is_not_removed(node: Machine) -> None:
    """What a workload wrote below a lost mount is somebody's data."""
    target = node.directory / "target"
    target.write_bytes(b"data")
    with pytest.raises(WrongState, match="it is a file that holds data"):
        await node.publisher.unpublish(node.plug("data", 64).volume_id, str(target))
    assert target.read_bytes() == b"data"


async def test_a_mount_that_fails_tells_no_option_values(node: Machine) -> None:
    """Options may hold secrets; the message has the tool's words without them."""
    request = node.plug("options").stage(node.staging, flags=("journal_path=canary-secret",))
    with pytest.raises(WrongState) as refused:
        await node.stager.stage(request)
    assert "canary-secret" not in str(refused.value)


async def test_a_missing_mkfs_or_type_is_told(node: Machine) -> None:
    """Options that mkfs refuses come back as its words, and the disk stays blank."""
    request = node.plug("options").stage(node.staging)
    with pytest.raises(WrongState, match=r"can't be formatted: mkfs.ext4 ended with 1"):
        await node.stager.stage(replace(request, volume_context={"mkfsOptions": "-b 999"}))
    await node.stager.stage(request)
    assert node.mounts() == [str(node.staging)]


HALF_MADE = {
    "ext4": (1024, bytes(1024), "its first bytes are not zero"),  # the superblock comes last
    "xfs": (126, b"\x01", "can't be mounted|ended with 32"),  # it is marked as being made
}


@pytest.mark.parametrize("fs_type", HALF_MADE)
@row("mkfs-interrupted")
async def test_a_half_made_filesystem_is_refused_unchanged(node: Machine, fs_type: str) -> None:
    """It can't be told from somebody's data, so a person has to decide."""
    offset, content, reason = HALF_MADE[fs_type]
    disk = node.plug("half")
    await node.filesystems.make(disk.device, fs_type, None)
    disk.digest()
    disk.write(offset, content)
    before = disk.digest()
    with pytest.raises(WrongState, match=reason):
        await node.stager.stage(disk.stage(node.staging, fs_type))
    assert (disk.digest(), node.mounts()) == (before, [])


@pytest.mark.parametrize("again", ["here", "came-back"])
@row("mkfs-interrupted")
async def test_a_format_that_was_cut_off_is_repeated_in_its_own_attachment_alone(
    node: Machine, again: str
) -> None:
    """The kernel's word for the attachment changes when the device comes back."""
    disk = node.plug("marked")
    attachment = await node.devices.attachment(disk.device)
    assert attachment is not None
    mark = FormatMark(serial="marked", fs_type="ext4", attachment=attachment)
    await node.deps.marks.put(disk.volume_id, mark)
    await node.filesystems.make(disk.device, "ext4", None)
    disk.digest()
    disk.write(1024, bytes(1024))
    if again == "came-back":
        disk = node.plug_again(disk)
        with pytest.raises(WrongState, match="its first bytes are not zero"):
            await node.stager.stage(disk.stage(node.staging))
        assert node.mounts() == []
    else:
        await node.stager.stage(disk.stage(node.staging))
        assert await node.deps.marks.get(disk.volume_id) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"serial": "x"}'])
async def test_a_note_that_can_not_be_read_proves_nothing(node: Machine, content: str) -> None:
    """Whatever a crash left of it."""
    disk = node.plug("torn", 64)
    await node.deps.marks.put(
        disk.volume_id, FormatMark(serial="torn", fs_type="ext4", attachment="a")
    )
    for note in (node.directory / "marks").iterdir():
        note.write_text(content)
    assert await node.deps.marks.get(disk.volume_id) is None


async def test_a_path_that_can_not_be_is_not_found(node: Machine) -> None:
    """A NUL ends every path that the kernel knows."""
    with pytest.raises(NotFound):
        await node.stats.usage(node.plug("nul", 64).volume_id, "/a\0b")
