"""Detaching disks, and taking them by force, by the rows of the acceptance table.

What row 46 says of I/O errors in the guest that lost its disk is left out: here the device behind a
disk stays the same file.
"""

from __future__ import annotations

from typing import Any

import pytest
from account import I1, I2, I3, N1, account
from moves import REGIONAL, Noted, attach, detach, held, no_attach, no_detach, parallel


async def test_row_40_a_detach_shows_detaching_with_its_machine_then_available() -> None:
    """The call answers at once; the machine stands there until the disk is free."""
    here = account()
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    await detach(here, disk_id, I1)
    during = await here.disk(disk_id)
    await here.passes(6)
    after = await here.disk(disk_id)
    assert (during["Status"], during["InstanceId"]) == ("Detaching", I1)
    assert (after["Status"], after["InstanceId"], after["Device"]) == ("Available", "", "")
    assert after["DetachedTime"] > after["AttachedTime"]


@pytest.mark.parametrize(
    ("knob", "shown"),
    [
        ("absent", "no such key"),
        ("empty", {"Attachment": []}),
        ("null", {"Attachment": None}),
    ],
)
async def test_row_40_a_free_disk_has_no_attachments(knob: str, shown: object) -> None:
    """The cloud is known to leave the key out; a client must take the other forms as well."""
    here = account(null_attachments=knob)
    disk = await here.disk(await here.creates())
    assert disk.get("Attachments", "no such key") == shown


async def test_row_40_the_device_goes_with_the_disk() -> None:
    """A machine no longer has what the cloud calls Available."""
    machine = Noted()
    here = account(hypervisor=machine)
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    await detach(here, disk_id, I1)
    await here.passes()
    assert machine.there == set()


async def test_row_41_a_second_detach_is_refused_while_the_first_runs() -> None:
    """The disk is on its way already."""
    here = account()
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    await detach(here, disk_id, I1)
    answer = await no_detach(here, disk_id, I1)
    assert answer == "403 InvalidOperation.DiskDetachingFromThisEcs"


async def test_row_42_a_free_disk_is_detached_already() -> None:
    """Clients take this for done."""
    here = account()
    assert await no_detach(here, await here.creates(), I1) == "404 InvalidDisk.AlreadyDetached"


async def test_row_43_a_disk_of_another_machine_stays_there() -> None:
    """Whoever asks for the wrong machine changes nothing."""
    here = account()
    disk_id = await here.creates()
    await here.holds(disk_id, I2)
    answer = await no_detach(here, disk_id, I1)
    assert (answer, await held(here, disk_id)) == ("403 DependencyViolation", [I2])


@pytest.mark.parametrize(
    ("knobs", "answer"),
    [
        ({}, "400 DisksDetachingOnEcsExceeded"),
        ({"detach_conflict_code": "InvalidOperation.Conflict"}, "403 InvalidOperation.Conflict"),
    ],
)
async def test_row_44_a_machine_lets_one_disk_go_at_a_time(
    knobs: dict[str, Any], answer: str
) -> None:
    """The second stays in use."""
    here = account(**knobs)
    first, second = await here.creates(), await here.creates()
    for disk_id in (first, second):
        await here.holds(disk_id, I1)
    await detach(here, first, I1)
    assert await no_detach(here, second, I1) == answer
    assert await here.status(second) == "In_use"


async def test_a_tagged_machine_lets_several_disks_go_up_to_its_cap() -> None:
    """One more than the cap is refused."""
    here = account(more_machines=(parallel("Detach"),), parallel_detach=2)
    disks = [await here.creates() for _ in range(3)]
    for disk_id in disks:
        await here.holds(disk_id, "i-many")
    for disk_id in disks[:2]:
        await detach(here, disk_id, "i-many")
    assert await no_detach(here, disks[2], "i-many") == "400 DisksDetachingOnEcsExceeded"


async def test_a_shared_disk_is_not_told_to_end_with_a_machine_by_a_detach() -> None:
    """The machines that still hold it would lose it."""
    here = account()
    disk_id = await here.creates(MultiAttach="Enabled")
    await here.holds(disk_id, N1)
    told = {"DiskId": disk_id, "InstanceId": N1, "DeleteWithInstance": True}
    assert await here.refused("DetachDisk", told) == "403 DeleteWithInstance.Conflict"
    assert await held(here, disk_id) == [N1]


async def test_row_45_a_machine_on_its_way_lets_nothing_go() -> None:
    """The same code as for an attach, with another status."""
    here = account()
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    here.engine.instances[I1].status = "Stopping"
    assert await no_detach(here, disk_id, I1) == "403 IncorrectInstanceStatus"


async def test_row_46_a_machine_that_never_lets_go_keeps_its_disk_detaching() -> None:
    """For as long as it uses the device, and no longer."""
    machine = Noted()
    here = account(hypervisor=machine)
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    machine.held = True
    await detach(here, disk_id, I1)
    await here.passes(3600)
    stuck = await here.status(disk_id)
    machine.held = False
    await here.passes(1)
    assert (stuck, await here.status(disk_id)) == ("Detaching", "Available")


async def test_row_46_a_detach_may_be_stuck_for_a_told_time() -> None:
    """The step `detach_stuck` comes on top of the usual time."""
    here = account(steps={"detach_stuck": "1000"})
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    await detach(here, disk_id, I1)
    await here.passes(1002)
    before = await here.status(disk_id)
    await here.passes(2)
    assert (before, await here.status(disk_id)) == ("Detaching", "Available")


async def test_row_46_a_regional_disk_is_taken_by_force_to_another_zone() -> None:
    """A detach that was stuck is void once the disk is elsewhere."""
    machine = Noted()
    here = account(hypervisor=machine)
    disk_id = await here.creates(REGIONAL)
    await here.holds(disk_id, I1)
    machine.held = True
    await detach(here, disk_id, I1)
    await here.passes()
    await attach(here, disk_id, I3, Force=True)
    await here.passes()
    assert (await here.status(disk_id), await held(here, disk_id)) == ("In_use", [I3])


async def test_row_46_a_disk_of_a_zone_is_never_taken_by_force() -> None:
    """Only a regional one is."""
    here = account()
    disk_id = await here.creates()
    await here.holds(disk_id, I1)
    answer = await no_attach(here, disk_id, I2, Force=True)
    assert answer == "400 InvalidParameterForce.DiskCategoryNotSupported"


async def test_row_47_force_is_for_another_zone() -> None:
    """Within a zone one detaches first."""
    here = account()
    disk_id = await here.creates(REGIONAL)
    await here.holds(disk_id, I1)
    answer = await no_attach(here, disk_id, I2, Force=True)
    assert (answer, await held(here, disk_id)) == ("403 InvalidInstance.ZoneConflict", [I1])


async def test_row_46_the_old_machine_is_free_after_its_disk_was_taken() -> None:
    """The detach that hung holds its slot no longer, and never ends later."""
    here = account(steps={"detach_stuck": "1000"})
    disk_id = await here.creates(REGIONAL)
    await here.holds(disk_id, I1)
    await detach(here, disk_id, I1)
    await attach(here, disk_id, I3, Force=True)
    await attach(here, await here.creates(), I1)
    await here.passes(2000)
    assert await held(here, disk_id) == [I3]
