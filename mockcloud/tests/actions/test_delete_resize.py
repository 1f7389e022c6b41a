"""DeleteDisk and ResizeDisk, by the rows of the acceptance table that concern them."""

from __future__ import annotations

import pytest
from account import I1, Account, account
from mockcloud.hypervisor.base import NoHypervisor
from typing_extensions import override


async def deletes(lab: Account, disk_id: str) -> str:
    """`200 {}` or the refusal."""
    return await lab.refused("DeleteDisk", DiskId=disk_id)


async def resizes(lab: Account, disk_id: str, size_gib: int, how: str = "online") -> str:
    """`200 ...` or the refusal."""
    return await lab.refused("ResizeDisk", DiskId=disk_id, NewSize=size_gib, Type=how)


async def held(lab: Account, **told: object) -> str:
    """A disk that the first machine holds."""
    disk_id = await lab.creates(told)
    await lab.holds(disk_id, I1)
    return disk_id


class Sizes(NoHypervisor):
    """Notes the sizes that devices get."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    @override
    async def resize(self, serial: str, size_gib: int) -> None:
        self.seen.append(size_gib)


@pytest.mark.parametrize("code", ["IncorrectDiskStatus", "DiskStillAttached"])
async def test_row_48_an_attached_disk_is_not_deleted(code: str) -> None:
    """The code is a knob, the disk stays."""
    lab = account(in_use_delete_code=code)
    disk_id = await held(lab)
    assert await deletes(lab, disk_id) == f"403 {code}"
    assert await lab.status(disk_id) == "In_use"


async def test_row_49_a_new_disk_is_not_deleted_though_it_reads_available() -> None:
    """What initializes it can't be seen."""
    lab = account(steps={"create": "0", "hidden_init": "70"})
    disk_id = await lab.creates()
    before = (await lab.status(disk_id), await deletes(lab, disk_id))
    await lab.passes(10)
    assert before == ("Available", "403 IncorrectDiskStatus.Initializing")
    assert await deletes(lab, disk_id) == "200 {}"


async def test_row_50_a_deleted_disk_vanishes_at_once() -> None:
    """No status of it is ever shown."""
    lab = account()
    disk_id = await lab.creates()
    await deletes(lab, disk_id)
    assert await lab.disk(disk_id) is None


@pytest.mark.parametrize(("knob", "answer"), [(404, "404 InvalidDiskId.NotFound"), (200, "200 {}")])
async def test_row_50_a_disk_that_is_gone_is_told_so_or_not(knob: int, answer: str) -> None:
    """The cloud's pages say both."""
    lab = account(delete_unknown=knob)
    disk_id = await lab.creates()
    await deletes(lab, disk_id)
    assert await deletes(lab, disk_id) == answer


async def test_row_51_a_disk_is_left_alone_while_a_snapshot_is_made() -> None:
    """Neither deleted nor resized."""
    lab = account(snapshot_needs_attach=False)
    disk_id = await lab.creates()
    await lab.call("CreateSnapshot", DiskId=disk_id)
    answers = [await deletes(lab, disk_id), await resizes(lab, disk_id, 30)]
    assert answers == ["403 DiskCreatingSnapshot"] * 2


async def test_row_52_an_attached_disk_grows_while_it_is_used() -> None:
    """A search shows it at once, the machine a little later."""
    sizes = Sizes()
    lab = account(hypervisor=sizes, steps={"resize_device": "5"})
    disk_id = await held(lab)
    await resizes(lab, disk_id, 30)
    before = ((await lab.disk(disk_id))["Size"], list(sizes.seen))
    await lab.passes(5)
    assert (before, sizes.seen) == ((30, []), [30])


@pytest.mark.parametrize(
    ("size_gib", "answer"),
    [
        (20, "403 InvalidDiskSize"),
        (10, "403 InvalidDiskSize.TooSmall"),
        (65537, "403 InvalidDiskSize.TooLarge"),
    ],
)
async def test_row_53_a_disk_grows_within_its_bounds(size_gib: int, answer: str) -> None:
    """It never shrinks, and stays as it was."""
    lab = account()
    disk_id = await held(lab)
    assert await resizes(lab, disk_id, size_gib) == answer
    assert (await lab.disk(disk_id))["Size"] == 20


@pytest.mark.parametrize(
    ("status", "how", "answer"),
    [
        ("Stopped", "online", "403 InvalidInstanceStatus.NotRunning"),
        ("Stopped", "offline", "200"),
        ("Running", "offline", "200"),
        ("Starting", "offline", "403 IncorrectInstanceStatus"),
        ("Running", "sideways", "400 InvalidParam.Type"),
    ],
)
async def test_row_54_how_a_disk_grows_depends_on_its_machine(
    status: str, how: str, answer: str
) -> None:
    """Online wants it running, offline at rest or running."""
    lab = account()
    disk_id = await held(lab)
    lab.engine.instances[I1].status = status
    assert (await resizes(lab, disk_id, 30, how)).startswith(answer)


async def test_row_55_a_new_disk_is_not_resized_at_once() -> None:
    """Its order is still open; later it works."""
    lab = account(steps={"create": "0", "hidden_init": "70"})
    disk_id = await lab.creates()
    before = await resizes(lab, disk_id, 30)
    await lab.passes(10)
    assert before == "400 LastOrderProcessing"
    assert (await resizes(lab, disk_id, 30)).startswith("200")


@pytest.mark.parametrize("verb", ["attaching", "detaching"])
async def test_a_disk_on_its_way_is_neither_deleted_nor_resized(verb: str) -> None:
    """It must come to rest first."""
    lab = account()
    disk_id = await (held(lab) if verb == "detaching" else lab.creates())
    action = "DetachDisk" if verb == "detaching" else "AttachDisk"
    await lab.call(action, DiskId=disk_id, InstanceId=I1)
    answers = [await deletes(lab, disk_id), await resizes(lab, disk_id, 30)]
    assert answers == ["403 IncorrectDiskStatus"] * 2


async def test_the_same_resize_again_is_no_second_one() -> None:
    """A token makes a repeated request succeed, where the size is reached already."""
    lab = account()
    disk_id = await held(lab)
    first = await lab.refused("ResizeDisk", DiskId=disk_id, NewSize=30, ClientToken="T")
    assert await lab.refused("ResizeDisk", DiskId=disk_id, NewSize=30, ClientToken="T") == first


async def test_row_16_a_used_up_quota_refuses_growth() -> None:
    """It is the same quota."""
    lab = account(disk_capacity_gib=25)
    assert await resizes(lab, await held(lab), 30) == "400 QuotaExceed.DiskCapacity"


async def test_a_disk_does_not_grow_past_what_this_machine_can_keep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has the size that it had."""
    monkeypatch.setattr(NoHypervisor, "fits", lambda _, size_gib: size_gib < 30)
    lab = account()
    disk_id = await held(lab)
    before = lab.engine.disks[disk_id].size_gib
    assert await resizes(lab, disk_id, 30) == "400 QuotaExceed.DiskCapacity"
    assert lab.engine.disks[disk_id].size_gib == before


async def test_the_oldest_category_does_not_grow_online() -> None:
    """The others do."""
    lab = account()
    disk_id = await held(lab, DiskCategory="cloud")
    assert await resizes(lab, disk_id, 30) == "403 InvalidDiskCategory.NotSupported"


async def test_a_cloud_that_forgives_deletes_what_is_there_all_the_same() -> None:
    """Only of what is unknown it says nothing."""
    lab = account(delete_unknown=200)
    disk_id = await lab.creates()
    await lab.call("DeleteDisk", DiskId=disk_id)
    assert await lab.disk(disk_id) is None
