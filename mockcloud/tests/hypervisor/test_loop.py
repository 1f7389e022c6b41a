"""Loop devices as disks: what a machine sees, and that nothing of it is left.

They are real ones, so all but the last tests need root.
"""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from account import I1, I2, account
from mockcloud.hypervisor.base import Busy
from mockcloud.hypervisor.images import HypervisorError
from mockcloud.hypervisor.images import run as run_tool
from mockcloud.hypervisor.loop import LoopHypervisor, loop_missing

GIB = 1024**3
PATIENCE_S, LOOK_S = 10.0, 0.02
SERIAL, COPY = "bp1loop", "bp1copy"
WORDS = b"words on a disk" * 300


@pytest.fixture
async def loops(tmp_path: Path) -> AsyncIterator[LoopHypervisor]:
    """Disks below the test's own directory; closed at the end, and seen to leave no device."""
    hypervisor = LoopHypervisor(root=tmp_path)
    yield hypervisor
    await hypervisor.close()
    await none_backed(tmp_path)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A place to mount at; whatever is mounted there is unmounted at the end."""
    place = tmp_path / "place"
    place.mkdir()
    yield place
    while is_mounted(place):
        run("umount", place)


def run(*command: str | Path) -> None:
    """Run a tool of the system, which must succeed."""
    subprocess.run(command, check=True)


def is_mounted(place: Path) -> bool:
    """Whether something is mounted there."""
    return os.path.ismount(place)


def in_directory(directory: Path) -> list[Path]:
    """What stands in a directory."""
    return list(directory.iterdir())


def backed_below(directory: Path) -> list[str]:
    """The loop devices whose files are below a directory."""
    found = []
    for path in sorted(Path("/sys/block").glob("loop*/loop/backing_file")):
        try:
            if path.read_text().startswith(f"{directory}/"):
                found.append(path.parts[3])
        except OSError:  # another test's device went meanwhile
            continue
    return found


async def none_backed(directory: Path) -> None:
    """Wait until no loop device is backed from a directory; other programs may look at any."""
    async with asyncio.timeout(PATIENCE_S):
        while backed_below(directory):  # noqa: ASYNC110 - the kernel has no event for it
            await asyncio.sleep(LOOK_S)


async def detach(loops: LoopHypervisor, machine: str = I1) -> None:
    """Detach as the cloud does: again for as long as some program looks at the device."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await loops.detach(SERIAL, machine)
            except Busy:
                await asyncio.sleep(LOOK_S)


def link(loops: LoopHypervisor, serial: str = SERIAL, machine: str = I1) -> Path:
    """Where a machine without NVMe finds a disk."""
    return loops.device_root(machine) / "disk/by-id" / f"virtio-{serial}"


def size_gib(device: Path) -> int:
    """How large a device says it is."""
    with device.open("rb") as opened:
        return opened.seek(0, os.SEEK_END) // GIB


def write(device: Path, words: bytes = WORDS) -> None:
    """Put words at the head of a device."""
    with device.open("r+b") as opened:
        opened.write(words)


def read(device: Path) -> bytes:
    """As many bytes from the head as `WORDS` has."""
    with device.open("rb") as opened:
        return opened.read(len(WORDS))


@pytest.mark.host
async def test_an_attach_makes_a_device_of_the_disks_size(loops: LoopHypervisor) -> None:
    """The link by serial leads to a block device that is blank."""
    await loops.create(SERIAL, 3)
    await loops.attach(SERIAL, I1, nvme=False)
    device = link(loops)
    assert device.is_block_device()
    assert (size_gib(device), read(device)) == (3, bytes(len(WORDS)))


@pytest.mark.host
async def test_a_link_has_the_form_of_its_machine(loops: LoopHypervisor) -> None:
    """NVMe disks are named by model and serial."""
    await loops.create(SERIAL, 1)
    await loops.attach(SERIAL, I1, nvme=True)
    (found,) = (loops.device_root(I1) / "disk/by-id").iterdir()
    assert found.name == f"nvme-Alibaba_Cloud_Elastic_Block_Storage_{SERIAL}"


@pytest.mark.host
async def test_a_detach_takes_device_and_link_away(loops: LoopHypervisor, tmp_path: Path) -> None:
    """The machine no longer has either."""
    await loops.create(SERIAL, 1)
    await loops.attach(SERIAL, I1, nvme=False)
    await detach(loops)
    await none_backed(tmp_path)
    assert not link(loops).is_symlink()


@pytest.mark.host
async def test_a_disk_keeps_its_bytes_from_machine_to_machine(loops: LoopHypervisor) -> None:
    """What one has written the next one reads."""
    await loops.create(SERIAL, 1)
    await loops.attach(SERIAL, I1, nvme=False)
    write(link(loops))
    await detach(loops)
    await loops.attach(SERIAL, I2, nvme=False)
    assert read(link(loops, machine=I2)) == WORDS


@pytest.mark.host
async def test_a_device_in_use_is_not_taken_away(loops: LoopHypervisor, mounted: Path) -> None:
    """While a file system is mounted the machine keeps device and link."""
    await loops.create(SERIAL, 1)
    await loops.attach(SERIAL, I1, nvme=False)
    run("mkfs.ext4", "-q", link(loops))
    run("mount", link(loops), mounted)
    with pytest.raises(Busy):
        await loops.detach(SERIAL, I1)
    assert link(loops).is_block_device()


@pytest.mark.host
async def test_a_device_that_somebody_has_open_is_not_called_gone(loops: LoopHypervisor) -> None:
    """It goes at the last close; only then may its disk be free."""
    await loops.create(SERIAL, 1)
    await loops.attach(SERIAL, I1, nvme=False)
    holding = os.open(link(loops), os.O_RDONLY)
    with pytest.raises(Busy):
        await loops.detach(SERIAL, I1)
    os.close(holding)
    await detach(loops)
    assert not link(loops).is_symlink()


@pytest.mark.host
async def test_a_device_that_cant_be_looked_at_is_not_called_gone(
    loops: LoopHypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that may open no more files proves nothing of it."""

    def fails(_: str) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    await loops.create(SERIAL, 1)
    await loops.attach(SERIAL, I1, nvme=False)
    with monkeypatch.context() as patched, pytest.raises(Busy):
        patched.setattr("mockcloud.hypervisor.loop._backing", fails)
        await loops.detach(SERIAL, I1)
    assert link(loops).is_block_device()


@pytest.mark.host
async def test_a_detach_writes_out_what_was_written(loops: LoopHypervisor, tmp_path: Path) -> None:
    """Even where somebody keeps the device open, the file behind it has the bytes."""
    await loops.create(SERIAL, 1)
    await loops.attach(SERIAL, I1, nvme=False)
    holding = os.open(link(loops), os.O_RDONLY)
    write(link(loops))
    with pytest.raises(Busy):
        await loops.detach(SERIAL, I1)
    found = read(tmp_path / "disks" / f"{SERIAL}.img")
    os.close(holding)
    assert found == WORDS


@pytest.mark.host
async def test_a_resize_grows_the_device_of_a_machine_that_runs(loops: LoopHypervisor) -> None:
    """Nothing is attached anew, and the bytes stay."""
    await loops.create(SERIAL, 1)
    await loops.attach(SERIAL, I1, nvme=False)
    write(link(loops))
    await loops.resize(SERIAL, 2)
    assert (size_gib(link(loops)), read(link(loops))) == (2, WORDS)


@pytest.mark.host
async def test_a_snapshot_has_the_bytes_of_its_moment(loops: LoopHypervisor) -> None:
    """What is written later isn't in the disk that is made from it."""
    await loops.create(SERIAL, 1)
    await loops.attach(SERIAL, I1, nvme=False)
    write(link(loops))
    await loops.snapshot(SERIAL, "s-1")
    write(link(loops), bytes(len(WORDS)))
    await loops.restore(COPY, "s-1", 2)
    await loops.attach(COPY, I2, nvme=False)
    device = link(loops, COPY, I2)
    assert (size_gib(device), read(device)) == (2, WORDS)


@pytest.mark.host
async def test_a_snapshot_outlives_its_disk(loops: LoopHypervisor) -> None:
    """Its content is its own."""
    await loops.create(SERIAL, 1)
    await loops.attach(SERIAL, I1, nvme=False)
    write(link(loops))
    await loops.snapshot(SERIAL, "s-1")
    await detach(loops)
    await loops.delete(SERIAL)
    await loops.restore(COPY, "s-1", 1)
    await loops.attach(COPY, I1, nvme=False)
    assert read(link(loops, COPY)) == WORDS


@pytest.mark.host
async def test_a_shared_disk_is_one_device_on_two_machines(
    loops: LoopHypervisor, tmp_path: Path
) -> None:
    """What one writes the other reads, and the first to leave leaves the other its device."""
    await loops.create(SERIAL, 1)
    for machine in (I1, I2):
        await loops.attach(SERIAL, machine, nvme=False)
    write(link(loops))
    await detach(loops)
    assert read(link(loops, machine=I2)) == WORDS
    assert len(backed_below(tmp_path)) == 1


@pytest.mark.host
async def test_closing_leaves_nothing_even_of_a_mounted_disk(
    loops: LoopHypervisor, tmp_path: Path, mounted: Path
) -> None:
    """Mount, device, link and files are gone."""
    await loops.create(SERIAL, 1)
    await loops.attach(SERIAL, I1, nvme=False)
    await loops.snapshot(SERIAL, "s-1")
    run("mkfs.ext4", "-q", link(loops))
    run("mount", link(loops), mounted)
    await loops.close()
    assert not is_mounted(mounted)
    await none_backed(tmp_path)
    assert in_directory(tmp_path) == [mounted]


@pytest.mark.host
async def test_closing_finds_a_device_whose_making_was_cut_short(
    loops: LoopHypervisor, tmp_path: Path
) -> None:
    """It goes by what the kernel knows, not by what was noted."""
    await loops.create(SERIAL, 1)
    image = tmp_path / "disks" / f"{SERIAL}.img"
    run("losetup", "--find", image)
    await loops.close()
    await none_backed(tmp_path)


@pytest.mark.host
async def test_a_disk_of_the_cloud_stays_detaching_while_its_device_is_in_use(
    loops: LoopHypervisor,
) -> None:
    """The cloud doesn't call a disk Available that a machine still holds open."""
    here = account(hypervisor=loops)
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    holding = os.open(link(loops, disk_id.removeprefix("d-")), os.O_RDONLY | os.O_EXCL)
    await here.call("DetachDisk", DiskId=disk_id, InstanceId=I1)
    await here.passes(60)
    during = await here.status(disk_id)
    os.close(holding)
    await here.passes(60)
    assert (during, await here.status(disk_id)) == ("Detaching", "Available")


@pytest.mark.host
async def test_row_52_a_grown_disk_is_seen_by_its_machine(loops: LoopHypervisor) -> None:
    """The call answers at once, the device follows within five seconds."""
    here = account(hypervisor=loops, steps={"resize_device": "5"})
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    device = link(loops, disk_id.removeprefix("d-"))
    await here.call("ResizeDisk", DiskId=disk_id, NewSize=30, Type="online")
    told, before = (await here.disk(disk_id))["Size"], size_gib(device)
    await here.passes(5)
    assert (told, before, size_gib(device)) == (30, 20, 30)


@pytest.mark.host
def test_a_machine_with_root_and_tools_lacks_nothing() -> None:
    """Nobody is told of a tool that is there."""
    assert loop_missing() == ""


async def test_a_disk_is_a_sparse_file(tmp_path: Path) -> None:
    """It takes room as it is written, and nobody else may read it."""
    await LoopHypervisor(root=tmp_path).create(SERIAL, 1000)
    facts = (tmp_path / "disks" / f"{SERIAL}.img").stat()
    assert (facts.st_size, facts.st_blocks, facts.st_mode & 0o777) == (1000 * GIB, 0, 0o600)


async def test_closing_leaves_files_that_are_not_the_clouds(tmp_path: Path) -> None:
    """Whoever names a directory in use loses nothing by it."""
    loops = LoopHypervisor(root=tmp_path)
    await loops.create("bp1" + "a" * 17, 1)
    precious = tmp_path / "disks" / "precious.img"
    precious.write_text("kept")
    await loops.close()
    assert [path.name for path in (tmp_path / "disks").iterdir()] == ["precious.img"]


async def test_a_deleted_disk_leaves_no_file(tmp_path: Path) -> None:
    """Deleting it twice is fine."""
    loops = LoopHypervisor(root=tmp_path)
    await loops.create(SERIAL, 1)
    for _ in range(2):
        await loops.delete(SERIAL)
    assert in_directory(tmp_path / "disks") == []


async def test_a_tool_that_nobody_waits_for_ends(tmp_path: Path) -> None:
    """Else it would go on to write a file that its successor writes as well."""
    told = tmp_path / "told"
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        tool = tasks.create_task(run_tool("sh", "-c", f"echo $$ > {told}; exec sleep 1000"))
        while not (told.exists() and told.read_text()):  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(LOOK_S)
        tool.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


async def test_a_tool_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    """The error names the command, what it was about, and what it said."""
    loops = LoopHypervisor(root=tmp_path)
    with pytest.raises(HypervisorError, match=r"cp .*s-none\.img .* ended with 1: .*No such file"):
        await loops.restore(SERIAL, "s-none", 1)
