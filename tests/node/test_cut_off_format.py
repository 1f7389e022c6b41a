"""A format is repeated only where its own note proves that nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diskcsi.model.capabilities import AccessMode
from diskcsi.model.errors import WrongState
from diskcsi.testing.host import FakeDisk
from tests.node.machine import (
    OTHER_SERIAL,
    RAW_STAGE,
    STAGE,
    STAGING,
    VOLUME,
    Machine,
    context,
    mounted,
)
from tests.rows import row

pytestmark = row("mkfs-interrupted")

CUT_OFF = TimeoutError("mkfs.ext4: no end in 280 s, it was killed")


async def _cut_off(node: Machine, **left: object) -> FakeDisk:
    disk = node.host.plug("one")
    node.host.fail("make", CUT_OFF)
    with pytest.raises(TimeoutError):
        await node.stager.stage(STAGE)
    disk.facts.update({"head_is_zero": False, **left})
    return disk


@pytest.mark.parametrize("left", [{}, {"signatures": ("ext4",)}, {"tail_is_zero": False}])
async def test_a_format_that_was_cut_off_here_is_repeated(
    node: Machine, left: dict[str, object]
) -> None:
    """The disk was proved blank in this attachment, and only this format has written since."""
    disk = await _cut_off(node, **left)
    await node.stager.stage(STAGE)
    assert (disk.done, node.host.paths_of(disk), node.host.marks) == (["make ext4"], [STAGING], {})


async def test_a_format_that_left_nothing_is_repeated(node: Machine) -> None:
    """A disk that is still proved blank needs no note."""
    disk = await _cut_off(node, head_is_zero=True)
    node.host.marks.clear()
    await node.stager.stage(STAGE)
    assert disk.done == ["make ext4"]


async def _refused(node: Machine, disk: FakeDisk) -> None:
    with pytest.raises(WrongState, match="format that was cut off, wipe all of it by hand"):
        await node.stager.stage(STAGE)
    assert (disk.done, node.host.mounted) == ([], [])


@pytest.mark.parametrize("attachment", ["start-1/2", "start-2/1", None])
async def test_a_disk_that_went_and_came_is_left_alone(
    node: Machine, attachment: str | None
) -> None:
    """Another machine may have written to it meanwhile."""
    disk = await _cut_off(node)
    disk.attachment = attachment
    await _refused(node, disk)


STRANGE: dict[str, dict[str, object]] = {
    "foreign-signature": {"signatures": ("crypto_LUKS",)},
    "one-foreign-signature": {"signatures": ("ext4", "LVM2_member")},
    "signatures-unread": {"signatures": None},
    "content-unread": {"filesystem": None},
    "head-unread": {"head_is_zero": None},
    "tail-unread": {"tail_is_zero": None},
    "partitions": {"partitions": ("vda1",)},
    "table": {"filesystem": "gpt", "signatures": ("gpt",)},
    "holders": {"holders": ("dm-0",)},
    "in-use": {"exclusive": False},
    "use-unknown": {"exclusive": None},
    "larger": {"size_bytes": 21 * 1024**3},
    "serial": {"serial": "two"},
}


@pytest.mark.parametrize("what", STRANGE)
async def test_what_a_format_can_not_have_left_is_left_alone(node: Machine, what: str) -> None:
    """A note excuses the traces of its own format and nothing else."""
    await _refused(node, await _cut_off(node, **STRANGE[what]))


async def test_without_a_note_nothing_is_formatted_again(node: Machine) -> None:
    """What looks half made may be somebody's data; the message says what to do."""
    disk = await _cut_off(node)
    node.host.marks.clear()
    await _refused(node, disk)


async def test_an_unstaging_forgets_the_note(node: Machine) -> None:
    """The disk may go to another machine from then on."""
    disk = await _cut_off(node)
    await node.stager.unstage(VOLUME, STAGING)
    await _refused(node, disk)


async def test_a_raw_staging_forgets_the_note(node: Machine) -> None:
    """What is on the device is the workload's own from then on."""
    disk = await _cut_off(node)
    await node.stager.stage(RAW_STAGE)
    node.host.reboot()
    await _refused(node, disk)


async def test_a_whole_filesystem_is_never_formatted_again(node: Machine) -> None:
    """Somebody may have helped by hand, and put data on it."""
    disk = await _cut_off(node)
    disk.facts.clear()
    disk.filesystem, disk.filesystem_bytes = "ext4", disk.size_bytes
    await node.stager.stage(STAGE)
    assert (disk.done, node.host.marks) == (["check ext4"], {})


async def test_a_disk_that_several_machines_hold_gets_no_note(node: Machine) -> None:
    """Another machine may write to it at any time."""
    node.host.plug("one")
    node.host.fail("make", CUT_OFF)
    shared = replace(STAGE, capability=mounted(mode=AccessMode.MULTI_NODE_MULTI_WRITER))
    with pytest.raises(TimeoutError):
        await node.stager.stage(shared)
    assert node.host.marks == {}


async def test_a_note_of_another_disk_proves_nothing(node: Machine) -> None:
    """A volume's note names the disk that it was made for."""
    disk = await _cut_off(node)
    disk.serial = OTHER_SERIAL
    with pytest.raises(WrongState):
        await node.stager.stage(replace(STAGE, publish_context=context(OTHER_SERIAL)))
    assert disk.done == []


async def test_a_note_that_can_not_be_kept_does_not_stop_the_format(node: Machine) -> None:
    """It only spares a person the decision, should the format be cut off."""
    disk = node.host.plug("one")
    node.host.fail("put", WrongState("no space left"))
    await node.stager.stage(STAGE)
    assert node.host.paths_of(disk) == [STAGING]


async def test_a_note_that_can_not_be_forgotten_stops_the_mount(node: Machine) -> None:
    """A note that stayed would be believed later, over data."""
    disk = node.host.plug("one")
    node.host.fail("forget", WrongState("read-only file system"))
    with pytest.raises(WrongState, match="read-only file system"):
        await node.stager.stage(STAGE)
    assert node.host.paths_of(disk) == []
