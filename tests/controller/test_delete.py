from __future__ import annotations

import asyncio

import pytest

from diskcsi.model.errors import (
    MAYBE_RUNNING,
    Denied,
    InUse,
    Unreachable,
    WrongState,
)
from diskcsi.model.ids import VolumeId
from diskcsi.model.volume import DiskState
from tests.controller.rig import ABSENT, NODE, OTHER_NODE, Rig


async def test_a_deleted_volume_has_no_disk(rig: Rig) -> None:
    """Nothing is left to be paid for."""
    volume = await rig.create()
    await rig.deleter.delete(volume.id)
    assert rig.disks() == []


@pytest.mark.parametrize(
    "volume_id",
    [
        pytest.param(ABSENT, id="11-absent"),
        pytest.param(VolumeId(""), id="11-empty"),
        pytest.param(VolumeId("../no such id"), id="11-malformed"),
    ],
)
async def test_what_does_not_exist_is_deleted_already(rig: Rig, volume_id: VolumeId) -> None:
    """The wish is fulfilled."""
    await rig.deleter.delete(volume_id)
    assert rig.disks() == []


async def test_a_repeated_delete_is_done(rig: Rig) -> None:
    """The first answer may have been lost."""
    volume = await rig.create()
    await rig.deleter.delete(volume.id)
    await rig.deleter.delete(volume.id)
    assert rig.disks() == []


async def test_a_delete_costs_one_call(rig: Rig) -> None:
    """It acts first; a refusal tells what to read."""
    disk = rig.given_disk()
    await rig.deleter.delete(disk.id)
    assert [call.action for call in rig.cloud.calls] == ["delete_disk"]


@pytest.mark.parametrize("holder", [pytest.param(NODE, id="12-in-use")])
async def test_a_disk_in_use_is_kept_and_its_holder_named(rig: Rig, holder: str) -> None:
    """Nothing is ever detached for a delete."""
    disk = rig.given_disk(state=DiskState.IN_USE, attached_to=frozenset({holder, OTHER_NODE}))
    with pytest.raises(InUse, match=f"{NODE}, {OTHER_NODE}") as told:
        await rig.deleter.delete(disk.id)
    assert (told.value.by, rig.cloud.count("detach_disk")) == (holder, 0)


async def test_a_disk_that_is_being_deleted_is_waited_for(rig: Rig) -> None:
    """Another process began it."""
    disk = rig.given_disk()
    rig.cloud.state.latency.delete_s = 5.0
    await rig.restarted().deleter.delete(disk.id)
    await rig.deleter.delete(disk.id)
    assert (rig.disks(), rig.cloud.count("delete_disk")) == ([], 2)


async def test_a_disk_that_is_still_being_made_is_deleted_then(rig: Rig) -> None:
    """A former leader that still waits for it makes no other one."""
    rig.cloud.state.latency.create_s = 3.0
    creating = rig.begin(rig.create())
    await asyncio.sleep(1)
    await rig.restarted().deleter.delete(rig.disks()[0].id)
    await asyncio.gather(creating, return_exceptions=True)
    await asyncio.sleep(60)
    assert rig.disks() == []


@pytest.mark.parametrize(
    ("fault", "action"),
    [
        pytest.param("lose_reply", "delete_disk", id="lost-reply-delete"),
        pytest.param("lose_request", "delete_disk", id="lost-request-delete"),
        pytest.param("throttle", "delete_disk", id="api-throttled"),
        pytest.param("throttle", "*", id="api-throttled-everything"),
    ],
)
async def test_a_delete_comes_out_right_whatever_is_lost(rig: Rig, fault: str, action: str) -> None:
    """No error leaves, and the disk is gone."""
    disk = rig.given_disk()
    getattr(rig.cloud.faults, fault)(action, times=3)
    await rig.deleter.delete(disk.id)
    assert rig.disks() == []


@pytest.mark.parametrize(
    "refusal",
    [Denied("no"), Unreachable("no"), WrongState("protected")],
    ids=lambda refusal: type(refusal).__name__,
)
async def test_a_refusal_is_told_and_the_disk_kept(rig: Rig, refusal: Exception) -> None:
    """Somebody has to act."""
    disk = rig.given_disk()
    rig.cloud.faults.refuse("delete_disk", refusal)
    with pytest.raises(type(refusal)):
        await rig.deleter.delete(disk.id)
    assert rig.disks() == [disk]


async def test_a_refused_look_after_a_lost_reply_is_not_final(rig: Rig) -> None:
    """The disk may be gone, or not."""
    disk = rig.given_disk()
    rig.cloud.faults.lose_request("delete_disk")
    rig.cloud.faults.refuse("get_disks", Denied("no right to look"))
    with pytest.raises(MAYBE_RUNNING):
        await rig.deleter.delete(disk.id)


async def test_a_delete_waits_for_an_attach_that_runs(rig: Rig) -> None:
    """What it comes to decides the answer."""
    disk = rig.given_disk()
    rig.cloud.state.latency.attach_s = 2.0
    attaching = rig.begin(rig.attach(disk.id))
    await asyncio.sleep(1)
    with pytest.raises(InUse, match=NODE):
        await rig.deleter.delete(disk.id)
    await attaching


@pytest.mark.parametrize("times", [pytest.param(1, id="killed-after-create-and-claim-deleted")])
async def test_a_volume_created_by_a_dead_process_can_be_deleted(rig: Rig, times: int) -> None:
    """The provisioner first learns its id from a repeated create."""
    rig.cloud.faults.lose_reply("create_disk", times=times)
    await rig.create()
    other = rig.restarted()
    await other.deleter.delete((await other.create()).id)
    assert rig.disks() == []
