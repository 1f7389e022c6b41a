"""StartInstance, StopInstance, DeleteInstance."""

from __future__ import annotations

import pytest
from account import I1, I2, Account, account
from moves import Noted, attach, detach, held

ROW_DRY = "400 DryRunOperation"


async def status(here: Account, instance_id: str = I1) -> str:
    """What a search shows of a machine; empty when it shows none."""
    told = await here.call("DescribeInstances", InstanceIds=f'["{instance_id}"]')
    return next((str(one["Status"]) for one in told["Instances"]["Instance"]), "")


async def test_a_machine_stops_and_starts_in_its_time() -> None:
    """On the way it is Stopping, and Starting."""
    here, seen = account(steps={"stop": "5", "start": "5"}), []
    for action in ("StopInstance", "StartInstance"):
        await here.call(action, InstanceId=I1)
        seen.append(await status(here))
        await here.passes(5)
        seen.append(await status(here))
    assert seen == ["Stopping", "Stopped", "Starting", "Running"]


@pytest.mark.parametrize(
    ("stopped", "action", "told", "answer"),
    [
        (False, "StartInstance", {}, "403 IncorrectInstanceStatus"),
        (True, "StopInstance", {}, "403 IncorrectInstanceStatus"),
        (False, "DeleteInstance", {}, "403 IncorrectInstanceStatus"),
        (False, "StopInstance", {"InstanceId": "i-none"}, "404 InvalidInstanceId.NotFound"),
        (True, "StartInstance", {"DryRun": True}, ROW_DRY),
        (False, "StopInstance", {"DryRun": True}, ROW_DRY),
        (False, "DeleteInstance", {"DryRun": True, "Force": True}, ROW_DRY),
        (False, "DeleteInstance", {"RegionId": "cn-none"}, "400 InvalidRegionId.MalFormed"),
    ],
)
async def test_a_call_that_does_not_fit_is_refused(
    stopped: bool, action: str, told: dict[str, object], answer: str
) -> None:
    """The machine stays as it is."""
    here = account()
    if stopped:
        await here.call("StopInstance", InstanceId=I1)
        await here.passes()
    before = await status(here)
    assert await here.refused(action, {"InstanceId": I1, **told}) == answer
    await here.passes()
    assert await status(here) == before


async def test_a_stopped_machine_goes_without_force() -> None:
    """A search no longer shows it."""
    here = account()
    await here.call("StopInstance", InstanceId=I1)
    await here.passes()
    await here.call("DeleteInstance", InstanceId=I1)
    assert await status(here) == ""


async def test_disks_of_a_deleted_machine_end_with_it_or_stay_as_they_were_attached() -> None:
    """One that stays is Available, with its tags."""
    here = account()
    ends, stays = await here.creates(), await here.creates({"Tag.1.Key": "k", "Tag.1.Value": "v"})
    for disk, with_it in ((ends, True), (stays, False)):
        await attach(here, disk, I1, DeleteWithInstance=with_it)
        await here.passes()
    await here.call("DeleteInstance", InstanceId=I1, Force=True)
    left = await here.disk(stays)
    assert await here.disk(ends) is None
    assert (left["Status"], left["InstanceId"]) == ("Available", "")
    assert left["Tags"] == {"Tag": [{"TagKey": "k", "TagValue": "v"}]}


async def test_a_disk_on_its_way_to_a_deleted_machine_stays_available() -> None:
    """Nothing is left to attach it to."""
    here = account()
    disk = await here.creates()
    await attach(here, disk, I1)
    await here.call("DeleteInstance", InstanceId=I1, Force=True)
    await here.passes()
    assert (await here.status(disk), await held(here, disk)) == ("Available", [])


async def test_a_detach_from_a_machine_that_is_deleted_completes() -> None:
    """It had begun before."""
    here = account()
    disk = await here.creates()
    await here.holds(disk, I1)
    await detach(here, disk, I1)
    await here.call("DeleteInstance", InstanceId=I1, Force=True)
    await here.passes()
    assert await here.status(disk) == "Available"


async def test_a_deleted_machine_that_still_uses_a_disk_keeps_it_detaching() -> None:
    """Nobody else gets it until it is free."""
    noted = Noted()
    here = account(hypervisor=noted)
    disk = await here.creates()
    await here.holds(disk, I1)
    noted.held = True
    await here.call("DeleteInstance", InstanceId=I1, Force=True)
    await here.passes()
    refused = await here.refused("AttachDisk", DiskId=disk, InstanceId=I2)
    assert (await here.status(disk), refused) == ("Detaching", "403 IncorrectDiskStatus")
    noted.held = False
    await here.passes()
    assert await here.status(disk) == "Available"
