from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from diskcsi.model.errors import (
    MAYBE_RUNNING,
    Denied,
    DiskError,
    Exhausted,
    InUse,
    InvalidArgument,
    NotFound,
    Pending,
    UnknownOutcome,
    Unreachable,
    WrongState,
)
from diskcsi.model.ids import NodeId, VolumeId
from diskcsi.model.publish import SIZE_KEY
from diskcsi.model.sizes import GIB
from diskcsi.model.volume import DiskState
from tests.controller.rig import (
    ABSENT,
    FAR_NODE,
    LOSSES,
    MOUNT,
    NODE,
    ORDER,
    OTHER_NODE,
    SHARED_BLOCK,
    Rig,
    zones,
)


async def test_an_attach_is_answered_once_the_node_holds_the_disk(
    rig: Rig, volume_id: VolumeId
) -> None:
    """The attachment is the truth; the state may lag behind."""
    await rig.attach(volume_id)
    assert rig.disk(volume_id).attached_to == {NODE}


async def test_the_node_is_told_serial_and_size(rig: Rig, volume_id: VolumeId) -> None:
    """It recognizes the device by both."""
    assert await rig.attach(volume_id) == {"serialNumber": "given", SIZE_KEY: str(20 * GIB)}


async def test_a_repeated_attach_gives_the_same_context(rig: Rig, volume_id: VolumeId) -> None:
    """The answer to a repeat is complete."""
    assert await rig.attach(volume_id) == await rig.attach(volume_id)


async def test_a_repeated_attach_costs_one_read_and_no_change(
    rig: Rig, volume_id: VolumeId
) -> None:
    """The stock attacher calls twice for most attachments."""
    await rig.attach(volume_id)
    rig.cloud.calls.clear()
    await rig.attach(volume_id)
    assert [call.action for call in rig.cloud.calls] == ["get_disks"]


@pytest.mark.parametrize("hand", [pytest.param(NODE, id="console-changes")])
async def test_a_disk_that_another_hand_detached_is_attached_again(
    rig: Rig, volume_id: VolumeId, hand: NodeId
) -> None:
    """What was last seen is a hint; the read tells."""
    await rig.attach(volume_id)
    await asyncio.sleep(1)
    rig.cloud.state.pass_time()
    rig.cloud.state.detach(volume_id, hand)
    await asyncio.sleep(5)
    await rig.attach(volume_id)
    assert rig.disk(volume_id).attached_to == {NODE}


async def test_attaches_at_once_share_one_flight(rig: Rig, volume_id: VolumeId) -> None:
    """A retry storm is one attach."""
    await asyncio.gather(*(rig.attach(volume_id) for _ in range(20)))
    assert rig.cloud.count("attach_disk") == 1


async def test_a_second_process_takes_a_held_disk_as_attached(
    rig: Rig, volume_id: VolumeId
) -> None:
    """The read after the refusal tells who holds it."""
    await rig.attach(volume_id)
    assert await rig.restarted().attach(volume_id) == await rig.attach(volume_id)


async def test_an_attach_that_another_process_began_is_waited_for(
    rig: Rig, volume_id: VolumeId
) -> None:
    """It is on its way already."""
    first = rig.begin(rig.attach(volume_id))
    await asyncio.sleep(0.5)
    assert await rig.restarted().attach(volume_id) == await first


@pytest.mark.parametrize(
    ("disk", "node"),
    [
        pytest.param(ABSENT, NODE, id="13-volume"),
        pytest.param(None, NodeId("node-9999"), id="13-node"),
    ],
)
async def test_what_is_absent_is_not_found(
    rig: Rig, volume_id: VolumeId, disk: VolumeId | None, node: NodeId
) -> None:
    """Neither can come to hold the other."""
    with pytest.raises(NotFound):
        await rig.attach(disk or volume_id, node)


async def test_an_absent_disk_for_many_nodes_is_not_found(rig: Rig) -> None:
    """Whether it can be shared is looked up first."""
    with pytest.raises(NotFound):
        await rig.attach(ABSENT, NODE, SHARED_BLOCK)


@pytest.mark.parametrize("known", [True, False], ids=["14-known", "14-other-process"])
async def test_a_disk_of_another_node_is_never_taken(
    rig: Rig, volume_id: VolumeId, *, known: bool
) -> None:
    """The message names the holder."""
    await rig.attach(volume_id)
    await asyncio.sleep(5)
    other = rig if known else rig.restarted()
    with pytest.raises(InUse, match=NODE) as told:
        await other.attach(volume_id, OTHER_NODE)
    assert (told.value.by, rig.disk(volume_id).attached_to) == (NODE, frozenset({NODE}))


async def test_a_disk_that_is_leaving_its_node_is_waited_for(rig: Rig, volume_id: VolumeId) -> None:
    """It is soon free; the workload moves without an error."""
    await rig.attach(volume_id)
    leaving = rig.begin(rig.detach(volume_id))
    await asyncio.sleep(0.5)
    await rig.attach(volume_id, OTHER_NODE)
    await leaving
    assert rig.disk(volume_id).attached_to == {OTHER_NODE}


async def test_a_disk_on_its_way_to_another_node_is_not_taken(
    rig: Rig, volume_id: VolumeId
) -> None:
    """The one that came first gets it."""
    first = rig.begin(rig.attach(volume_id))
    await asyncio.sleep(0.5)
    with pytest.raises(InUse, match=NODE):
        await rig.restarted().attach(volume_id, OTHER_NODE)
    await first


async def test_a_full_node_is_told(rig: Rig, volume_id: VolumeId) -> None:
    """The scheduler refreshes the node's limit on this answer."""
    rig.cloud.state.node_limit = 0
    with pytest.raises(Exhausted):
        await rig.attach(volume_id)


async def test_a_node_of_another_zone_is_told_at_once(rig: Rig, volume_id: VolumeId) -> None:
    """No waiting brings them together."""
    with pytest.raises(WrongState, match="zone-b"):
        await rig.attach(volume_id, FAR_NODE)
    assert asyncio.get_running_loop().time() < 1


async def test_a_failed_disk_is_told_at_once(rig: Rig, volume_id: VolumeId) -> None:
    """It will never be held."""
    rig.cloud.state.disks[volume_id] = replace(rig.disk(volume_id), state=DiskState.FAILED)
    with pytest.raises(WrongState):
        await rig.attach(volume_id)


async def test_a_disk_that_is_still_being_made_is_waited_for(rig: Rig) -> None:
    """A state that passes by itself is no error."""
    rig.cloud.state.latency.create_s = 5.0
    creating = rig.begin(rig.create())
    await asyncio.sleep(1)
    volume_id = rig.disks()[0].id
    await rig.attach(volume_id)
    await creating
    assert rig.disk(volume_id).attached_to == {NODE}


async def test_many_nodes_need_a_shared_disk(rig: Rig, volume_id: VolumeId) -> None:
    """The mode is checked against what the disk is."""
    with pytest.raises(InvalidArgument):
        await rig.attach(volume_id, NODE, SHARED_BLOCK)
    assert rig.cloud.changes == []


async def test_a_shared_disk_is_held_by_two_nodes(rig: Rig) -> None:
    """That is what the class asked for."""
    volume = await rig.create(name="shared", parameters={"shared": "true"})
    await rig.attach(volume.id, NODE, SHARED_BLOCK)
    await rig.attach(volume.id, OTHER_NODE, SHARED_BLOCK)
    assert rig.disk(volume.id).attached_to == {NODE, OTHER_NODE}


async def test_a_shared_disk_is_refused_to_a_far_node_at_once(rig: Rig) -> None:
    """Its other holders don't make that pass."""
    volume = await rig.create(name="shared", parameters={"shared": "true"})
    await rig.attach(volume.id, NODE, SHARED_BLOCK)
    with pytest.raises(WrongState):
        await rig.attach(volume.id, FAR_NODE, SHARED_BLOCK)


@pytest.mark.parametrize(("fault", "action"), LOSSES)
async def test_an_attach_comes_out_right_whatever_is_lost(
    rig: Rig, volume_id: VolumeId, fault: str, action: str
) -> None:
    """No error leaves, and the node holds the disk."""
    getattr(rig.cloud.faults, fault)(action or "attach_disk", times=3)
    await rig.attach(volume_id)
    assert rig.disk(volume_id).attached_to == {NODE}


@pytest.mark.parametrize("change", ["attach", "detach"])
@pytest.mark.parametrize(
    "error", [Denied("no"), Unreachable("no")], ids=lambda error: type(error).__name__
)
async def test_a_refusal_of_the_credentials_is_told(
    rig: Rig, volume_id: VolumeId, change: str, error: DiskError
) -> None:
    """Nothing was changed, and somebody has to act."""
    if change == "detach":
        await rig.attach(volume_id)
    rig.cloud.faults.refuse(f"{change}_disk", error)
    with pytest.raises(type(error)):
        await getattr(rig, change)(volume_id)


@pytest.mark.parametrize("change", ["attach", "detach"])
async def test_a_refused_look_after_a_lost_reply_is_not_final(
    rig: Rig, volume_id: VolumeId, change: str
) -> None:
    """The change may have happened."""
    if change == "detach":
        await rig.attach(volume_id)
    rig.cloud.faults.lose_reply(f"{change}_disk")
    rig.cloud.faults.refuse("get_disks", Denied("no right to look"))
    with pytest.raises(MAYBE_RUNNING):
        await getattr(rig, change)(volume_id)


@pytest.mark.parametrize("stuck_s", [pytest.param(1000.0, id="attach-stuck")])
async def test_an_attach_that_never_ends_is_not_final(
    rig: Rig, volume_id: VolumeId, stuck_s: float
) -> None:
    """The flight's budget ends the wait, not the cloud's work."""
    rig.cloud.state.latency.attach_s = stuck_s
    with pytest.raises(TimeoutError):
        await rig.attach(volume_id)
    with pytest.raises(InUse):
        rig.cloud.state.attach(volume_id, OTHER_NODE)


async def test_an_attach_that_the_cloud_drops_is_asked_for_again(
    rig: Rig, volume_id: VolumeId
) -> None:
    """It was accepted, and the disk went back to rest."""
    attaching = rig.begin(rig.attach(volume_id))
    await asyncio.sleep(1)
    rig.cloud.state.drop_changes()
    await attaching
    assert (rig.disk(volume_id).attached_to, rig.cloud.count("attach_disk")) == (
        frozenset({NODE}),
        2,
    )


async def test_a_disk_that_vanishes_on_its_way_is_not_found(rig: Rig, volume_id: VolumeId) -> None:
    """Another hand deleted it."""
    attaching = rig.begin(rig.attach(volume_id))
    await asyncio.sleep(1)
    rig.cloud.state.drop_changes()
    del rig.cloud.state.disks[volume_id]
    with pytest.raises(NotFound):
        await attaching


async def test_a_disk_that_vanished_before_a_busy_node_was_free_is_not_found(
    rig: Rig, volume_id: VolumeId
) -> None:
    """The read after a refusal tells that it is gone."""
    rig.cloud.faults.refuse("attach_disk", Pending("the node is busy"))
    gate = rig.cloud.faults.hold("get_disks")
    attaching = rig.begin(rig.attach(volume_id))
    await asyncio.sleep(1)
    del rig.cloud.state.disks[volume_id]
    gate.set()
    with pytest.raises(NotFound):
        await attaching


async def test_the_state_that_lags_does_not_hold_an_attach_up(rig: Rig) -> None:
    """The attachment is the truth."""
    volume = await rig.create(replace(ORDER, requirement=zones("zone-a")))
    rig.cloud.state.latency.status_s = 100.0
    await rig.attach(volume.id)
    assert asyncio.get_running_loop().time() < 1


async def test_an_unknown_outcome_is_never_told_while_time_is_left(
    rig: Rig, volume_id: VolumeId
) -> None:
    """The driver reads instead of passing the doubt on."""
    rig.cloud.faults.refuse("attach_disk", UnknownOutcome("?"), times=20)
    await rig.attach(volume_id)
    assert rig.disk(volume_id).attached_to == {NODE}


REFUSALS = [Exhausted("full"), Denied("no"), WrongState("no"), NotFound("no such node")]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: type(error).__name__)
async def test_a_refusal_after_a_lost_reply_does_not_hide_what_was_begun(
    rig: Rig, volume_id: VolumeId, refusal: DiskError
) -> None:
    """The first call has its effect later than the reads that follow it."""
    rig.cloud.faults.arrive_late("attach_disk", after_s=4.0)
    rig.cloud.faults.refuse("attach_disk", refusal, times=2)
    await rig.attach(volume_id)
    assert rig.disk(volume_id).attached_to == {NODE}


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: type(error).__name__)
async def test_a_refusal_after_a_lost_request_is_told_once_reads_agree(
    rig: Rig, volume_id: VolumeId, refusal: DiskError
) -> None:
    """The disk stays free for as long as anything may be hidden."""
    rig.cloud.faults.lose_request("attach_disk")
    rig.cloud.faults.refuse("attach_disk", refusal, times=2)
    with pytest.raises(type(refusal)):
        await rig.attach(volume_id)
    assert rig.deps.timing.settle_s <= asyncio.get_running_loop().time() < 15


async def test_a_refusal_after_an_attach_that_failed_does_not_hide_what_that_began(
    rig: Rig, volume_id: VolumeId
) -> None:
    """The doubt outlives the flight."""
    attacher = rig.attacher
    rig.cloud.faults.arrive_late("attach_disk", after_s=2.0)
    rig.cloud.faults.refuse("get_disks", Unreachable("the network is down"))
    with pytest.raises(Unreachable):
        await attacher.attach(volume_id, NODE, MOUNT)
    rig.cloud.faults.refuse("attach_disk", Exhausted("full"))
    await attacher.attach(volume_id, NODE, MOUNT)
    assert rig.disk(volume_id).attached_to == {NODE}


async def test_a_look_that_is_refused_leaves_a_refusal_in_doubt(
    rig: Rig, volume_id: VolumeId
) -> None:
    """What can't be read is not told as final."""
    rig.cloud.faults.arrive_late("attach_disk", after_s=2.0)
    rig.cloud.faults.refuse("attach_disk", Exhausted("full"))
    attaching = rig.begin(rig.attach(volume_id))
    await asyncio.sleep(1)
    rig.cloud.faults.refuse("get_disks", Denied("no right to look"))
    with pytest.raises(MAYBE_RUNNING):
        await attaching
