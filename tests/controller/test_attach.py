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
    NODE,
    ORDER,
    OTHER_NODE,
    SHARED_BLOCK,
    Rig,
    zones,
)

LOSSES = [
    pytest.param("lose_reply", "", id="lost-reply"),
    pytest.param("lose_request", "", id="lost-request"),
    pytest.param("throttle", "", id="api-throttled"),
    pytest.param("throttle", "get_disks", id="api-throttled-reads"),
]


@pytest.fixture
def volume_id(rig: Rig) -> VolumeId:
    """A disk in a cloud where things take their time."""
    latency = rig.cloud.state.latency
    latency.call_s, latency.attach_s, latency.detach_s = 0.05, 2.0, 1.5
    latency.status_s = 0.5
    return rig.given_disk().id


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


@pytest.mark.parametrize(("fault", "action"), LOSSES)
async def test_a_detach_comes_out_right_whatever_is_lost(
    rig: Rig, volume_id: VolumeId, fault: str, action: str
) -> None:
    """No error leaves, and the disk is free."""
    await rig.attach(volume_id)
    getattr(rig.cloud.faults, fault)(action or "detach_disk", times=3)
    await rig.detach(volume_id)
    assert rig.disk(volume_id).attached_to == frozenset()


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


async def test_an_attach_that_was_dropped_teaches_no_latency(rig: Rig, volume_id: VolumeId) -> None:
    """The next one costs what it did before: the call, and one look."""

    async def move(*, dropped: bool) -> int:
        before = len(rig.cloud.calls)
        attaching = rig.begin(rig.attach(volume_id))
        if dropped:
            await asyncio.sleep(1)
            rig.cloud.state.drop_changes()
        await attaching
        cost = len(rig.cloud.calls) - before
        await asyncio.sleep(5)
        await rig.detach(volume_id)
        await asyncio.sleep(5)
        return cost

    for _ in range(12):
        await move(dropped=False)
    usual = await move(dropped=False)
    await move(dropped=True)
    assert await move(dropped=False) == usual


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


@pytest.mark.parametrize("after_s", [pytest.param(1.0, id="late-attach-after-detach")])
async def test_a_detach_waits_for_a_late_attach(
    rig: Rig, volume_id: VolumeId, after_s: float
) -> None:
    """The attach flight goes on when its caller is gone, and the detach comes after it."""
    rig.cloud.faults.arrive_late("attach_disk", after_s=after_s)
    attach = rig.begin(rig.attach(volume_id))
    await asyncio.sleep(0.2)
    attach.cancel()
    await rig.detach(volume_id)
    await asyncio.sleep(30)
    assert rig.disk(volume_id).attached_to == frozenset()


async def test_a_detach_waits_for_an_attach_of_another_process(
    rig: Rig, volume_id: VolumeId
) -> None:
    """One that is on its way can't be undone before it has ended."""
    attach = rig.begin(rig.restarted().attach(volume_id))
    await asyncio.sleep(0.5)
    await rig.detach(volume_id)
    await attach
    assert rig.disk(volume_id).attached_to == frozenset()


async def test_a_disk_that_was_free_is_waited_for_when_another_process_attaches_it(
    rig: Rig, volume_id: VolumeId
) -> None:
    """What was last seen is a hint; one that is on its way is not free."""
    await rig.detach(volume_id)
    attach = rig.begin(rig.restarted().attach(volume_id))
    await asyncio.sleep(0.5)
    await rig.detach(volume_id)
    await attach
    assert rig.disk(volume_id).attached_to == frozenset()


async def test_a_detached_disk_is_free(rig: Rig, volume_id: VolumeId) -> None:
    """Answered once the cloud says so."""
    await rig.attach(volume_id)
    await rig.detach(volume_id)
    assert rig.disk(volume_id).attached_to == frozenset()


@pytest.mark.parametrize(
    ("disk", "node"),
    [
        pytest.param(None, NODE, id="17-not-attached"),
        pytest.param(ABSENT, NODE, id="17-volume-gone"),
        pytest.param(None, NodeId("node-9999"), id="17-node-gone"),
        pytest.param(ABSENT, None, id="17-volume-gone-every-node"),
        pytest.param(None, None, id="17-not-attached-every-node"),
        pytest.param(None, NodeId("node-9999"), id="node-replaced-same-name"),
    ],
)
async def test_detaching_what_is_not_attached_is_done(
    rig: Rig, volume_id: VolumeId, disk: VolumeId | None, node: NodeId | None
) -> None:
    """The wish is fulfilled."""
    await rig.detach(disk or volume_id, node)
    assert rig.disk(volume_id).attached_to == frozenset()


async def test_detaching_from_a_former_node_leaves_the_present_one(
    rig: Rig, volume_id: VolumeId
) -> None:
    """A late detach must not hurt."""
    await rig.attach(volume_id, OTHER_NODE)
    await rig.detach(volume_id, NODE)
    assert rig.disk(volume_id).attached_to == {OTHER_NODE}


async def test_no_node_means_every_node(rig: Rig) -> None:
    """An empty node id detaches the disk wherever it is."""
    volume = await rig.create(name="shared", parameters={"shared": "true"})
    for node in (NODE, OTHER_NODE):
        await rig.attach(volume.id, node, SHARED_BLOCK)
    await rig.detach(volume.id, None)
    assert rig.disk(volume.id).attached_to == frozenset()


async def test_every_node_waits_for_an_attach_that_runs(rig: Rig, volume_id: VolumeId) -> None:
    """Its node counts as well."""
    attach = rig.begin(rig.attach(volume_id))
    await asyncio.sleep(0.5)
    await rig.detach(volume_id, None)
    await attach
    assert rig.disk(volume_id).attached_to == frozenset()


async def test_every_node_is_not_over_while_another_process_attaches(
    rig: Rig, volume_id: VolumeId
) -> None:
    """Which node it will be is not told yet."""
    attach = rig.begin(rig.restarted().attach(volume_id))
    await asyncio.sleep(0.5)
    with pytest.raises(Pending, match="being attached"):
        await rig.detach(volume_id, None)
    await attach


async def test_a_repeated_detach_costs_one_read_and_no_change(
    rig: Rig, volume_id: VolumeId
) -> None:
    """What was seen free is looked at, not acted on."""
    await rig.attach(volume_id)
    await rig.detach(volume_id)
    rig.cloud.calls.clear()
    await rig.detach(volume_id)
    assert [call.action for call in rig.cloud.calls] == ["get_disks"]


@pytest.mark.parametrize("stuck_s", [pytest.param(1000.0, id="detach-stuck")])
async def test_a_detach_that_never_ends_is_not_final(
    rig: Rig, volume_id: VolumeId, stuck_s: float
) -> None:
    """The guest may still use the disk; nothing is forced."""
    await rig.attach(volume_id)
    rig.cloud.state.latency.detach_s = stuck_s
    with pytest.raises(TimeoutError):
        await rig.detach(volume_id)
    assert rig.disk(volume_id).attached_to == {NODE}


async def test_a_detach_that_another_process_began_is_waited_for(
    rig: Rig, volume_id: VolumeId
) -> None:
    """It is on its way already."""
    await rig.attach(volume_id)
    first = rig.begin(rig.restarted().detach(volume_id))
    await asyncio.sleep(0.5)
    await rig.detach(volume_id)
    await first
    assert rig.disk(volume_id).attached_to == frozenset()


async def test_detaches_of_a_busy_node_go_before_attaches(rig: Rig) -> None:
    """They free what attaches wait for."""
    ids = [(await rig.create(name=f"pvc-{place}")).id for place in range(4)]
    rig.cloud.state.latency.attach_s = rig.cloud.state.latency.detach_s = 2.0
    await rig.attach(ids[0])
    rig.cloud.calls.clear()
    attaches = [rig.begin(rig.attach(volume_id)) for volume_id in ids[1:]]
    await asyncio.sleep(0.5)
    await asyncio.gather(rig.detach(ids[0]), *attaches)
    moves = [call.action for call in rig.cloud.changes]
    assert moves == ["attach_disk", "detach_disk", "attach_disk", "attach_disk"]


async def test_a_serial_node_is_never_asked_for_two_changes_at_once(rig: Rig) -> None:
    """Twenty attaches queue here, where they cost nothing."""
    rig.cloud.state.node_limit = 20
    ids = [(await rig.create(name=f"pvc-{place}")).id for place in range(20)]
    rig.cloud.state.latency.attach_s = 2.0
    await asyncio.gather(*(rig.attach(volume_id) for volume_id in ids))
    assert rig.cloud.count("attach_disk") == 20


async def test_a_node_that_another_hand_keeps_busy_is_asked_again(
    rig: Rig, volume_id: VolumeId
) -> None:
    """A busy node is no error."""
    other = await rig.create(name="other")
    rig.cloud.state.attach(other.id, NODE)
    await rig.attach(volume_id)
    assert rig.disk(volume_id).attached_to == {NODE}


async def test_twenty_attaches_wait_out_three_seconds_of_throttled_reads(rig: Rig) -> None:
    """None of them fails, and each is over within the attacher's 15 seconds."""
    nodes = [replace(node, id=NodeId(f"n-{place}")) for place in range(20)
             for node in [rig.cloud.state.nodes[NODE]]]  # fmt: skip
    rig.cloud.state.nodes |= {node.id: node for node in nodes}
    ids = [(await rig.create(name=f"pvc-{place}")).id for place in range(20)]
    rig.cloud.state.latency.attach_s = 2.0

    async def throttling() -> None:
        rig.cloud.faults.throttle("get_disks", times=10_000)
        await asyncio.sleep(3)
        rig.cloud.faults.clear()

    ending = rig.begin(throttling())
    await asyncio.sleep(0)
    async with asyncio.timeout(15):
        await asyncio.gather(
            *(rig.attach(one, node.id) for one, node in zip(ids, nodes, strict=True))
        )
    await ending
    assert all(disk.attached_to for disk in rig.disks())


async def test_a_life_costs_no_more_than_eight_calls_once_latencies_are_known(rig: Rig) -> None:
    """Create, attach, detach, delete: four changes, and one read for each at most."""
    latency = rig.cloud.state.latency
    latency.call_s, latency.create_s, latency.attach_s, latency.detach_s = 0.05, 1.0, 2.0, 2.0

    async def life(name: str) -> None:
        volume = await rig.create(name=name)
        await rig.attach(volume.id)
        await rig.detach(volume.id)
        await rig.deleter.delete(volume.id)

    for place in range(12):
        await life(f"warm-{place}")
    rig.cloud.calls.clear()
    await life("measured")
    assert len(rig.cloud.calls) <= 8


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
