"""The local provider: the contract, and what only files can get wrong."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from diskcsi.model.errors import (
    Exhausted,
    InUse,
    NotFound,
    OutOfRange,
    Pending,
    UnknownOutcome,
    Unreachable,
    WrongState,
)
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.volume import DiskSpec, SnapshotSpec
from diskcsi.providers.local import cloud as local_cloud
from diskcsi.providers.local import loops, store
from diskcsi.providers.local.cloud import LocalCloud
from diskcsi.providers.local.copying import can_clone
from diskcsi.providers.local.rules import FILES, rules_for
from diskcsi.providers.local.settings import LocalSettings
from diskcsi.testing.contract import CloudProviderContract, World
from tests.edge.sockets import until

ONE, OTHER = NodeId("node-1"), NodeId("node-2")


def settings_in(directory: Path) -> LocalSettings:
    return LocalSettings(directory=str(directory), node_id=ONE, nodes=(ONE, OTHER))


def cloud_in(directory: Path) -> LocalCloud:
    return LocalCloud(settings=settings_in(directory), observer=lambda call: None)  # noqa: ARG005


def order(name: str = "pvc-1", **changes: object) -> DiskSpec:
    parameters = rules_for(LocalSettings()).volume_parameters({})
    given = {"name": name, "size_gib": 1, "kind": FILES, "parameters": parameters, **changes}
    return DiskSpec(**given)  # type: ignore[arg-type] # fields of DiskSpec


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Disks' home; loop devices over its files are taken down at the end."""
    yield tmp_path
    for image in (tmp_path / "disks").glob("*.img"):
        if device := loops.holder(image):
            loops.detach(device)


async def released(image: Path) -> None:
    """Wait until no device is over this file: whoever looks at all devices has it open for a moment."""
    await until(lambda: loops.holder(image) is None)


@pytest.fixture
def cloud(directory: Path) -> LocalCloud:
    """A fresh directory with two nodes."""
    return cloud_in(directory)


@pytest.fixture
def foreign_lock(directory: Path) -> Iterator[int]:
    """The directory's lock, taken by somebody else; closing it frees it."""
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield lock
    with suppress(OSError):
        os.close(lock)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of two MiB."""
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=2m", "disks", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["/bin/umount", tmp_path], check=True)


@pytest.mark.host
class TestLocal(CloudProviderContract):
    """Real files and loop devices."""

    @pytest.fixture
    def world(self) -> World:
        rules = rules_for(LocalSettings())
        return World(
            node=ONE,
            other_node=OTHER,
            zone="local",
            parameters=rules.volume_parameters({}),
            absent_volume=VolumeId("l-00000000000000000000"),
            absent_node=NodeId("node-9"),
            absent_snapshot=SnapshotId("s-00000000000000000000"),
            size_gib=1,
            larger_gib=2,
            poll_s=0.01,
        )


async def test_a_disk_outlives_its_controller(directory: Path) -> None:
    """The truth is on disk."""
    volume_id = await cloud_in(directory).create_disk(order())
    assert set(await cloud_in(directory).get_disks([volume_id])) == {volume_id}


async def test_an_order_that_was_cut_short_is_begun_anew(
    cloud: LocalCloud, directory: Path
) -> None:
    """An image without a record is no disk, and its bytes are nobody's."""
    volume_id = await cloud.create_disk(order())
    (directory / "disks" / f"{volume_id[2:]}.json").unlink()
    image = directory / "disks" / f"{volume_id[2:]}.img"
    image.write_bytes(b"half of a restore")
    assert await cloud.get_disks([volume_id]) == {}
    await cloud.create_disk(order())
    with image.open("rb") as file:
        assert file.read(32) == bytes(32)


@pytest.mark.host
async def test_a_node_finds_the_device_by_its_link(cloud: LocalCloud, directory: Path) -> None:
    """In its own device directory, under the serial that it is told."""
    volume_id = await cloud.create_disk(order())
    await cloud.attach_disk(volume_id, ONE)
    (disk,) = (await cloud.get_disks([volume_id])).values()
    link = directory / "nodes" / ONE / "dev/disk/by-id" / f"virtio-{disk.serial}"
    assert link.readlink().name == loops.holder(directory / "disks" / f"{disk.serial}.img")


@pytest.mark.host
async def test_a_disk_in_use_is_not_detached(cloud: LocalCloud, directory: Path) -> None:
    """Whoever holds the device would go on writing."""
    volume_id = await cloud.create_disk(order())
    await cloud.attach_disk(volume_id, ONE)
    device = loops.holder(directory / "disks" / f"{volume_id[2:]}.img")
    held = os.open(f"/dev/{device}", os.O_RDONLY | os.O_EXCL)  # as a mount holds it
    try:
        with pytest.raises(Pending, match="in use"):
            await cloud.detach_disk(volume_id, ONE)
    finally:
        os.close(held)
    assert (await cloud.get_disks([volume_id]))[volume_id].attached_to == {ONE}


@pytest.mark.host
async def test_a_disk_is_held_until_its_device_is_closed(
    cloud: LocalCloud, directory: Path
) -> None:
    """A raw device may be open without being mounted: the kernel takes it down at the last close."""
    volume_id = await cloud.create_disk(order())
    await cloud.attach_disk(volume_id, ONE)
    device = loops.holder(directory / "disks" / f"{volume_id[2:]}.img")
    held = os.open(f"/dev/{device}", os.O_RDONLY)
    await cloud.detach_disk(volume_id, ONE)
    while_open = (await cloud.get_disks([volume_id]))[volume_id].attached_to
    os.close(held)
    await released(directory / "disks" / f"{volume_id[2:]}.img")
    closed = (await cloud.get_disks([volume_id]))[volume_id].attached_to
    assert (set(while_open), set(closed)) == ({ONE}, set())


@pytest.mark.host
async def test_a_directory_behind_a_link_is_the_same(directory: Path) -> None:
    """The kernel tells the names of files as they really are."""
    (directory / "linked").symlink_to(directory, target_is_directory=True)
    cloud = cloud_in(directory / "linked")
    volume_id = await cloud.create_disk(order())
    await cloud.attach_disk(volume_id, ONE)
    assert (await cloud.get_disks([volume_id]))[volume_id].attached_to == {ONE}


@pytest.mark.host
async def test_a_full_filesystem_takes_nothing_half_made(small: Path) -> None:
    """The order is refused as what it is, and its room is given back."""
    cloud = cloud_in(small)
    volume_id = await cloud.create_disk(order())
    with (small / "disks" / f"{volume_id[2:]}.img").open("r+b") as file:
        file.write(bytes(range(256)) * 5 * 1024)
    parameters = rules_for(LocalSettings()).snapshot_parameters({})
    spec = SnapshotSpec(name="snap", source_volume_id=volume_id, parameters=parameters)
    with pytest.raises(Exhausted, match="No space left"):
        await cloud.create_snapshot(spec)
    assert list((small / "snapshots").iterdir()) == []


async def test_an_order_that_fails_at_its_very_end_leaves_no_record(
    cloud: LocalCloud, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record without an image would be a disk without a file."""
    flush = store._flush

    def full(path: Path) -> None:
        if path.is_dir():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(path)

    monkeypatch.setattr(store, "_flush", full)
    with pytest.raises(Exhausted, match="No space left"):
        await cloud.create_disk(order())
    assert list((directory / "disks").iterdir()) == []


async def test_a_change_waits_for_the_lock(cloud: LocalCloud, foreign_lock: int) -> None:
    """Most holders are done in a moment."""
    asyncio.get_running_loop().call_later(0.1, os.close, foreign_lock)
    volume_id = await cloud.create_disk(order())
    assert set(await cloud.get_disks([volume_id])) == {volume_id}


async def test_a_change_that_gets_no_lock_says_who_has_it(
    cloud: LocalCloud, directory: Path, foreign_lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for again, and an operator can look for the holder."""
    del foreign_lock
    monkeypatch.setattr(local_cloud, "LOCK_WAIT_S", 0.0)
    with pytest.raises(Pending, match=f"holds the lock {directory}/lock"):
        await cloud.create_disk(order())


@pytest.mark.host
def test_a_process_ends_while_another_has_the_lock(cloud: LocalCloud, foreign_lock: int) -> None:
    """Neither the check nor a change leaves a thread behind that an end would wait for."""
    freed = threading.Event()

    def free() -> None:
        freed.set()
        os.close(foreign_lock)

    async def give_up() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await cloud.create_disk(order())
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await cloud.check()

    rescue = threading.Timer(3.0, free)  # a failure shall end as well
    rescue.start()
    asyncio.run(give_up())  # its end waits for the threads
    rescue.cancel()
    assert not freed.is_set()


@pytest.mark.host
async def test_after_a_reboot_nothing_is_attached(cloud: LocalCloud, directory: Path) -> None:
    """Links are left then, and devices are not: the kernel is asked."""
    volume_id = await cloud.create_disk(order())
    await cloud.attach_disk(volume_id, ONE)
    device = loops.holder(directory / "disks" / f"{volume_id[2:]}.img")
    assert device is not None
    loops.detach(device)
    await released(directory / "disks" / f"{volume_id[2:]}.img")
    assert (await cloud.get_disks([volume_id]))[volume_id].attached_to == frozenset()
    await cloud.attach_disk(volume_id, OTHER)
    assert (await cloud.get_disks([volume_id]))[volume_id].attached_to == {OTHER}


@pytest.mark.host
async def test_an_attach_that_was_cut_short_is_finished_by_the_next(
    cloud: LocalCloud, directory: Path
) -> None:
    """The device was made and the link was not: no second device over one file."""
    volume_id = await cloud.create_disk(order())
    image = directory / "disks" / f"{volume_id[2:]}.img"
    device = loops.attach(image)
    await cloud.attach_disk(volume_id, ONE)
    assert loops.holder(image) == device
    await cloud.detach_disk(volume_id, ONE)
    await released(image)


@pytest.mark.host
async def test_a_snapshot_of_an_attached_disk_is_of_one_moment_or_refused(
    cloud: LocalCloud, directory: Path
) -> None:
    """A copy that takes its time while somebody writes is no snapshot."""
    volume_id = await cloud.create_disk(order())
    await cloud.attach_disk(volume_id, ONE)
    parameters = rules_for(LocalSettings()).snapshot_parameters({})
    spec = SnapshotSpec(name="snap", source_volume_id=volume_id, parameters=parameters)
    if can_clone(directory / "disks" / f"{volume_id[2:]}.img", directory):
        assert await cloud.create_snapshot(spec)
    else:
        with pytest.raises(WrongState, match="detach the disk"):
            await cloud.create_snapshot(spec)


async def test_a_restored_disk_has_the_snapshots_bytes(cloud: LocalCloud, directory: Path) -> None:
    """And holes where there was nothing."""
    source = await cloud.create_disk(order("source"))
    with (directory / "disks" / f"{source[2:]}.img").open("r+b") as file:
        file.seek(512 * 1024**2)
        file.write(b"in the middle")
    parameters = rules_for(LocalSettings()).snapshot_parameters({})
    snapshot_id = await cloud.create_snapshot(
        SnapshotSpec(name="snap", source_volume_id=source, parameters=parameters)
    )
    restored = await cloud.create_disk(order("copy", size_gib=2, snapshot_id=snapshot_id))
    image = directory / "disks" / f"{restored[2:]}.img"
    with image.open("rb") as file:
        file.seek(512 * 1024**2)
        assert file.read(13) == b"in the middle"
    assert (image.stat().st_size, image.stat().st_blocks < 4096) == (2 * 1024**3, True)


async def test_a_disk_is_not_deleted_under_its_holder(
    cloud: LocalCloud, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal names the node."""
    volume_id = await cloud.create_disk(order())
    link = directory / "nodes" / ONE / "dev/disk/by-id" / f"virtio-{volume_id[2:]}"
    link.parent.mkdir(parents=True)
    link.symlink_to("/dev/loop77")
    monkeypatch.setattr(loops, "holder", lambda image: "loop77")  # noqa: ARG005
    with pytest.raises(InUse) as refused:
        await cloud.delete_disk(volume_id)
    assert refused.value.by == ONE


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "l-1", "colour": "red"}'])
async def test_a_record_of_another_hand_is_no_absence(
    cloud: LocalCloud, directory: Path, text: str
) -> None:
    """The disk may well be there, so nothing final is said of it."""
    volume_id = await cloud.create_disk(order())
    (directory / "disks" / f"{volume_id[2:]}.json").write_text(text)
    with pytest.raises(Unreachable, match=r"\.json is no record"):
        await cloud.get_disks([volume_id])


async def test_a_change_that_the_machine_fails_may_have_happened(
    cloud: LocalCloud, directory: Path
) -> None:
    """Whatever the kernel said in the middle of it."""
    (directory / "disks").write_text("no directory")
    with pytest.raises(UnknownOutcome, match="create_disk in "):
        await cloud.create_disk(order())


async def test_every_call_is_told_with_its_outcome(directory: Path) -> None:
    """Metrics and finality are built on it."""
    calls: list[tuple[str, bool, str]] = []
    cloud = LocalCloud(
        settings=settings_in(directory),
        observer=lambda call: calls.append((call.action, call.mutating, call.code)),
    )
    volume_id = await cloud.create_disk(order())
    with pytest.raises(OutOfRange):
        await cloud.resize_disk(volume_id, 0)
    await cloud.get_disks([volume_id])
    assert calls == [
        ("create_disk", True, "OK"),
        ("resize_disk", True, "OutOfRange"),
        ("get_disks", False, "OK"),
    ]


@pytest.mark.parametrize("node", ["", "..", "a/b"])
def test_a_node_that_is_no_directorys_name_stops_the_start(node: str) -> None:
    """It would lead out of the directory."""
    with pytest.raises(ValueError, match="allowed are names"):
        LocalSettings(node_id="n", nodes=(node,))


async def test_an_absent_disk_is_told_as_such(cloud: LocalCloud) -> None:
    """Also before the directory is there."""
    with pytest.raises(NotFound):
        await cloud.resize_disk(VolumeId("l-00000000000000000000"), 5)
