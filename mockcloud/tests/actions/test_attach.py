"""Attaching disks, by the rows of the acceptance table."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from account import I1, I2, I3, N1, N2, NVME, G, H, account
from mockcloud.engine.world import Machine
from moves import REGIONAL, SHARED, Noted, attach, detach, held, no_attach, no_detach, parallel


async def test_row_26_the_status_goes_from_available_over_attaching_to_in_use() -> None:
    """It lags behind the call, and behind the attachment itself."""
    here = account()
    disk_id = await here.creates()
    await attach(here, disk_id, I1)
    seen = []
    for pause_s in (0.4, 0.2, 3.3, 0.2, 0.4):
        await here.passes(pause_s)
        seen.append((await here.status(disk_id), await held(here, disk_id)))
    assert seen == [
        ("Available", []),
        ("Attaching", []),
        ("Attaching", []),
        ("Attaching", [I1]),
        ("In_use", [I1]),
    ]


async def test_row_26_an_attached_disk_tells_its_machine_and_device() -> None:
    """Both in the list of attachments and, for a disk of one machine, above it."""
    here = account()
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    disk = await here.disk(disk_id)
    one = {"InstanceId": I1, "Device": "/dev/xvdb", "AttachedTime": disk["AttachedTime"]}
    assert disk["Attachments"] == {"Attachment": [one]}
    assert (disk["InstanceId"], disk["Device"]) == (I1, "/dev/xvdb")
    assert disk["AttachedTime"] > disk["CreationTime"]


async def test_row_26_the_device_appears_after_the_disk_reads_attached() -> None:
    """A machine sees it a while later than the cloud tells it."""
    machine = Noted()
    here = account(hypervisor=machine, steps={"device_lag": "10"})
    disk_id = await here.creates()
    await attach(here, disk_id, I1)
    await here.passes(6)
    before = (await here.status(disk_id), len(machine.there))
    await here.passes(10)
    assert (before, len(machine.there)) == (("In_use", 0), 1)


@pytest.mark.parametrize("other", [pytest.param(I1, id="row_27"), pytest.param(I2, id="row_28")])
async def test_a_disk_in_use_is_attached_to_nothing_else(other: str) -> None:
    """Neither again to its machine nor to another: it is never stolen."""
    here = account()
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    answer = await no_attach(here, disk_id, other)
    assert (answer, await held(here, disk_id)) == ("403 IncorrectDiskStatus", [I1])


async def test_row_29_a_machine_in_another_zone_is_refused() -> None:
    """A disk of a zone stays in its zone."""
    here = account()
    disk_id = await here.creates()
    assert await no_attach(here, disk_id, I3) == "403 ResourcesNotInSameZone"
    assert await here.status(disk_id) == "Available"


@pytest.mark.parametrize("status", ["Pending", "Starting", "Stopping"])
async def test_row_30_a_machine_on_its_way_is_refused(status: str) -> None:
    """It must run or stand still."""
    here = account(more_machines=(Machine(id="i-way", zone=G, status=status),))
    assert await no_attach(here, await here.creates(), "i-way") == "400 IncorrectInstanceStatus"


async def test_row_30_a_stopped_machine_takes_disks() -> None:
    """Standing still is as good as running."""
    here = account(more_machines=(Machine(id="i-still", zone=G, status="Stopped"),))
    disk_id = await here.creates()
    await here.holds(disk_id, "i-still")
    assert await held(here, disk_id) == ["i-still"]


async def test_row_31_a_machine_that_has_just_started_may_refuse() -> None:
    """It reads Running already; seconds later it takes the disk."""
    here = account(running_but_refused_s=100)
    disk_id = await here.creates()
    early = await no_attach(here, disk_id, I1)
    await here.passes(60)
    await here.holds(disk_id, I1)
    assert (early, await held(here, disk_id)) == ("400 IncorrectInstanceStatus", [I1])


@pytest.mark.parametrize(
    ("knobs", "answer"),
    [
        ({}, "403 InvalidOperation.Conflict"),
        ({"conflict_code": "OperationConflict"}, "409 OperationConflict"),
    ],
)
async def test_row_32_a_machine_takes_one_disk_at_a_time(
    knobs: dict[str, Any], answer: str
) -> None:
    """A second attach beside the first is refused, and its disk stays as it was."""
    here = account(**knobs)
    first, second = await here.creates(), await here.creates()
    await attach(here, first, I1)
    assert await no_attach(here, second, I1) == answer
    assert await here.status(second) == "Available"


async def test_row_32_another_machine_takes_a_disk_at_the_same_time() -> None:
    """The slot belongs to one machine."""
    here = account()
    first, second = await here.creates(), await here.creates()
    await attach(here, first, I1)
    await here.holds(second, I2)
    assert (await held(here, first), await held(here, second)) == ([I1], [I2])


async def test_a_detach_beside_an_attach_is_a_conflict_too() -> None:
    """Both share the machine's slot."""
    here = account()
    first, second = await here.creates(), await here.creates()
    await here.holds(first, I1)
    await attach(here, second, I1)
    assert await no_detach(here, first, I1) == "403 InvalidOperation.Conflict"


async def test_row_33_a_tagged_machine_takes_ten_disks_at_once() -> None:
    """All are accepted, and each has a device name of its own."""
    here = account(more_machines=(parallel("Attach"),))
    disks = [await here.creates() for _ in range(10)]
    await asyncio.gather(*(attach(here, disk_id, "i-many") for disk_id in disks))
    await here.passes()
    assert len({(await here.disk(disk_id))["Device"] for disk_id in disks} - {""}) == 10


async def test_row_33_a_tagged_machine_has_a_cap() -> None:
    """One more than the cap is refused."""
    here = account(more_machines=(parallel("Attach"),), parallel_attach=2)
    disks = [await here.creates() for _ in range(3)]
    for disk_id in disks[:2]:
        await attach(here, disk_id, "i-many")
    answer = await no_attach(here, disks[2], "i-many")
    assert answer == "400 OperationConflict.DisksAttachingParallellyExceed"


async def test_row_34_a_full_machine_takes_no_more() -> None:
    """Seventeen disks with the system's; once one is gone the next is taken."""
    here = account()
    disks = [await here.creates() for _ in range(17)]
    for disk_id in disks[:16]:
        await here.holds(disk_id, I1)
    full = await no_attach(here, disks[16], I1)
    await detach(here, disks[0], I1)
    await here.passes()
    await here.holds(disks[16], I1)
    assert (full, await held(here, disks[16])) == ("403 InstanceDiskLimitExceeded", [I1])


@pytest.mark.parametrize("action", ["AttachDisk", "DetachDisk"])
@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"DiskId": "d-none"}, "404 InvalidDiskId.NotFound"),
        ({"InstanceId": "i-none"}, "404 InvalidInstanceId.NotFound"),
        ({"DiskId": "d-none", "InstanceId": "i-none"}, "404 InvalidInstanceId.NotFound"),
        ({"DiskId": ""}, "400 MissingParameter"),
        ({"InstanceId": ""}, "400 MissingParameter"),
        ({"RegionId": "cn-nowhere"}, "400 InvalidRegionId.MalFormed"),
    ],
)
async def test_row_35_what_is_unknown_or_missing_is_told(
    action: str, change: dict[str, str], answer: str
) -> None:
    """The instance is looked at before the disk."""
    here = account()
    told = {"DiskId": await here.creates(), "InstanceId": I1, **change}
    assert await here.refused(action, told) == answer


async def test_no_region_is_needed_to_attach() -> None:
    """The disk is found by its id alone."""
    here = account()
    disk_id = await here.creates()
    await attach(here, disk_id, I1, RegionId=None)
    await here.passes()
    assert await held(here, disk_id) == [I1]


async def test_row_36_a_machine_type_takes_only_its_categories() -> None:
    """The newer types take none of the oldest disks."""
    here = account()
    disk_id = await here.creates(DiskCategory="cloud_efficiency")
    assert await no_attach(here, disk_id, N1) == "403 InvalidInstanceType.NotSupportDiskCategory"


async def test_row_37_a_shared_disk_is_on_two_machines() -> None:
    """They stand in the list of attachments, and none above it."""
    here = account()
    disk_id = await here.creates(SHARED)
    for instance_id in (N1, N2):
        await here.holds(disk_id, instance_id)
    disk = await here.disk(disk_id)
    assert await held(here, disk_id) == [N1, N2]
    assert (disk["InstanceId"], disk["Device"], disk["Status"]) == ("", "", "In_use")


async def test_a_shared_disk_stays_in_use_while_one_machine_holds_it() -> None:
    """A detach from one leaves the other."""
    here = account()
    disk_id = await here.creates(SHARED)
    for instance_id in (N1, N2):
        await here.holds(disk_id, instance_id)
    await detach(here, disk_id, N1)
    await here.passes()
    assert (await here.status(disk_id), await held(here, disk_id)) == ("In_use", [N2])


async def test_row_38_a_shared_disk_is_on_sixteen_machines_at_most() -> None:
    """The seventeenth is refused."""
    many = tuple(Machine(id=f"i-shared-{n}", zone=G, type=NVME) for n in range(17))
    here = account(more_machines=many)
    disk_id = await here.creates(SHARED)
    for machine in many[:16]:
        await here.holds(disk_id, machine.id)
    assert await no_attach(here, disk_id, many[16].id) == "403 DiskAttachedNumberExceeded"


async def test_row_39_a_shared_disk_needs_an_nvme_machine() -> None:
    """Other types can't share."""
    here = account()
    answer = await no_attach(here, await here.creates(SHARED), I1)
    assert answer == "403 InvalidInstanceType.NotSupportMultiAttachDisk"


async def test_a_shared_disk_never_ends_with_a_machine() -> None:
    """The others would lose it."""
    here = account()
    answer = await no_attach(here, await here.creates(SHARED), N1, DeleteWithInstance=True)
    assert answer == "403 DeleteWithInstance.Conflict"


async def test_a_disk_that_is_being_attached_is_not_detached() -> None:
    """Its status says what is in the way."""
    here = account()
    disk_id = await here.creates()
    await attach(here, disk_id, I1)
    assert await no_detach(here, disk_id, I1) == "403 IncorrectDiskStatus"


async def test_a_disk_that_is_being_detached_is_not_attached() -> None:
    """It has to be free first."""
    here = account()
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    await detach(here, disk_id, I1)
    assert await no_attach(here, disk_id, I2) == "403 IncorrectDiskStatus"


async def test_a_knob_lets_an_attach_wait_for_the_end_of_a_detach() -> None:
    """The real cloud was seen to accept it."""
    here = account(attach_on_detaching="accept")
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    await detach(here, disk_id, I1)
    await here.holds(disk_id, I2)
    assert await held(here, disk_id) == [I2]


async def test_a_disk_that_is_being_made_is_not_attached() -> None:
    """It must be Available."""
    here = account()
    made = await here.call("CreateDisk", ZoneId=H, Size=20, DiskCategory="cloud_essd")
    assert await no_attach(here, made["DiskId"], I3) == "403 IncorrectDiskStatus"


async def test_what_ends_with_its_machine_is_told_and_forgotten_by_a_detach() -> None:
    """The flag belongs to the attachment."""
    here = account()
    disk_id = await here.creates()
    await attach(here, disk_id, I1, DeleteWithInstance=True)
    await here.passes()
    during = (await here.disk(disk_id))["DeleteWithInstance"]
    await detach(here, disk_id, I1)
    await here.passes()
    assert (during, (await here.disk(disk_id))["DeleteWithInstance"]) == (True, False)


async def test_more_disks_than_letters_have_names_of_their_own_too() -> None:
    """After z comes aa, as the kernel counts."""
    here = account()
    disks = [await here.creates() for _ in range(27)]
    for disk_id in disks:
        await here.holds(disk_id, N1)
    names = [(await here.disk(disk_id))["Device"] for disk_id in disks]
    assert names[23:] == ["/dev/xvdy", "/dev/xvdz", "/dev/xvdaa", "/dev/xvdab"]


async def test_a_shared_disk_is_never_taken_by_force() -> None:
    """Others hold it rightly."""
    here = account()
    disk_id = await here.creates(REGIONAL, MultiAttach="Enabled")
    answer = await no_attach(here, disk_id, N1, Force=True)
    assert answer == "400 InvalidParameterForce.MultiAttachDiskNotSupported"


async def test_an_ephemeral_disk_ends_with_its_machine() -> None:
    """It is attached so, or not at all, and never detached."""
    here = account()
    disk_id = await here.creates(DiskCategory="elastic_ephemeral_disk_standard", Size=64)
    kept = await no_attach(here, disk_id, I1)
    await attach(here, disk_id, I1, DeleteWithInstance=True)
    await here.passes()
    left = await no_detach(here, disk_id, I1)
    assert (kept, left) == (
        "403 InvalidParameter.DeleteWithInstance",
        "403 InvalidOperation.DiskCategoryUnsupported",
    )


async def test_a_disk_on_its_way_to_a_machine_takes_its_place() -> None:
    """Of those that are begun at once no more go through than the machine holds."""
    here = account(more_machines=(parallel("Attach"),))
    disks = [await here.creates() for _ in range(17)]
    for disk_id in disks[:16]:
        await attach(here, disk_id, "i-many")
    assert await no_attach(here, disks[16], "i-many") == "403 InstanceDiskLimitExceeded"
