from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from diskcsi.aio.backoff import backoff
from diskcsi.aio.progress import Progress, note_refusal
from diskcsi.controller.reading import patiently
from diskcsi.model.errors import DiskError, Exhausted, NodeBusy, Pending, Throttled, UnknownOutcome
from diskcsi.model.ids import NodeId, VolumeId
from diskcsi.model.volume import DiskState
from tests.controller.rig import MOUNT, NODE, OTHER_NODE, Rig, gib

PATIENCE_S = 14
"""Of a caller: what the stock sidecars wait, less what is kept for the answer."""

FOR_EVER = 1000
BUSY = NodeBusy("the node is busy", code="Busy", request_id="R-1")


async def told(rig: Rig, call: Awaitable[object]) -> str:
    """What a caller of this hears whose time is over, in the words of the flight that it joined."""
    progress = Progress("call")
    with progress.current():
        task = rig.begin(call)
    await asyncio.sleep(PATIENCE_S)
    words = progress.waits_for()
    task.cancel()
    return words


async def test_an_attach_behind_a_detach_that_hangs_names_that_detach(rig: Rig) -> None:
    """The pod's own disk is well; another one of the node has to be looked at."""
    hanging, wanted = rig.given_disk("hanging").id, rig.given_disk("wanted").id
    await rig.attach(hanging)
    rig.cloud.state.latency.detach_s = 60.0
    detach = rig.begin(rig.detach(hanging))
    await asyncio.sleep(1)
    words = await told(rig, rig.attach(wanted))
    assert words == (
        "attach of disk-wanted to node-1 isn't done after 14 s; it waits for its turn on node-1,"
        " after detach of disk-hanging from node-1 (15 s); it goes on, and the next call joins it"
    )
    await detach


async def test_an_attach_to_a_node_that_is_busy_names_the_disk_that_keeps_it_so(rig: Rig) -> None:
    """The cloud says no more than that there is a conflict."""
    hanging, wanted = rig.given_disk("hanging").id, rig.given_disk("wanted").id
    await rig.attach(hanging)
    rig.cloud.state.latency.detach_s = 60.0
    rig.cloud.state.detach(hanging, NODE)  # another controller's, or one that was given up
    await rig.deps.disks.get(hanging)
    words = await told(rig, rig.attach(wanted))
    assert "; disk disk-hanging of that node was last seen detaching 13 s ago; it goes on" in words


async def test_a_flight_goes_on_when_its_caller_was_told(rig: Rig) -> None:
    """As it was promised."""
    disk = rig.given_disk().id
    rig.cloud.state.latency.attach_s = 60.0
    assert "it goes on" in await told(rig, rig.attach(disk))
    await asyncio.sleep(60)
    assert rig.disk(disk).attached_to == {NODE}
    assert rig.cloud.count("attach_disk") == 1


async def test_a_detach_that_hangs_tells_what_the_cloud_shows(rig: Rig) -> None:
    """The state, and who holds the disk: what an operator would look up."""
    disk = rig.given_disk().id
    await rig.attach(disk)
    rig.cloud.state.latency.detach_s = 60.0
    words = await told(rig, rig.detach(disk))
    assert (
        "; the cloud last showed disk disk-given detaching, attached to node-1; it goes on" in words
    )


async def test_a_growth_tells_the_sizes(rig: Rig) -> None:
    """That the disk is in use is not what it waits for."""
    disk = rig.given_disk().id
    await rig.attach(disk)
    rig.cloud.state.latency.resize_s = 60.0
    words = await told(rig, rig.expander.expand(disk, gib(30), MOUNT))
    assert "; the cloud last showed disk disk-given with 20 GiB, and 30 are wanted; it" in words


async def test_an_operation_on_a_disk_that_is_busy_names_the_other_one(rig: Rig) -> None:
    """A claim that is grown while its disk is on its way to a node."""
    disk = rig.given_disk().id
    rig.cloud.state.latency.attach_s = 60.0
    attach = rig.begin(rig.attach(disk))
    await asyncio.sleep(1)
    words = await told(rig, rig.expander.expand(disk, gib(30), MOUNT))
    assert "; it waits for attach of disk-given to node-1 (15 s); it goes on" in words
    await attach


@pytest.fixture
def moving(rig: Rig) -> Callable[[int], Awaitable[None]]:
    """Lets so many disks of the node be seen on their way off it."""

    async def begin(count: int) -> None:
        for place in range(count):
            disk = rig.given_disk(
                f"{place}", state=DiskState.DETACHING, attached_to=frozenset({NODE})
            )
            await rig.deps.disks.get(disk.id)

    return begin


async def test_a_detach_from_a_node_that_is_busy_names_the_other_disk(
    rig: Rig, moving: Callable[[int], Awaitable[None]]
) -> None:
    """As an attach does."""
    disk = rig.given_disk().id
    await rig.attach(disk)
    await moving(1)
    rig.cloud.faults.refuse("detach_disk", BUSY, times=FOR_EVER)
    words = await told(rig, rig.detach(disk))
    rig.cloud.faults.clear()
    assert f"{BUSY}; disk disk-0 of that node was last seen detaching 13 s ago; it goes on" in words


@pytest.mark.parametrize(
    ("seen_ago_s", "error", "named"),
    [
        (1, BUSY, 3),
        (285, BUSY, 3),
        (301, BUSY, 0),
        (1, UnknownOutcome("lost"), 0),
        (1, Pending("a snapshot of the disk is being cut"), 0),
    ],
    ids=["of late", "five minutes ago", "longer ago", "lost", "the disk's own"],
)
async def test_only_what_may_be_in_the_way_is_named(
    rig: Rig, moving: Callable[[int], Awaitable[None]], seen_ago_s: float, error: DiskError, named: int
) -> None:  # fmt: skip
    """People switch machines off for what is named there."""
    await moving(5)
    await asyncio.sleep(seen_ago_s)
    rig.cloud.faults.refuse("attach_disk", error, times=FOR_EVER)
    words = await told(rig, rig.attach(rig.given_disk().id))
    rig.cloud.faults.clear()
    assert words.count("was last seen detaching") == named


@pytest.mark.parametrize(
    "may_stay",
    [
        {"state": DiskState.DETACHING, "attached_to": {NODE, OTHER_NODE}},
        {"state": DiskState.DETACHING, "attached_to": {NODE}, "multi_attach": True},
        {"state": DiskState.DETACHING, "attached_to": {OTHER_NODE}},
        {"state": DiskState.ATTACHING, "attached_to": {NODE}},
    ],
    ids=["it may leave another", "its state lags behind", "it is another's", "it comes"],
)
async def test_a_disk_that_may_stay_is_not_named(rig: Rig, may_stay: dict[str, Any]) -> None:
    """It keeps no node busy."""
    other = rig.given_disk("other", **may_stay)
    await rig.deps.disks.get(other.id)
    rig.cloud.faults.refuse("attach_disk", BUSY, times=FOR_EVER)
    words = await told(rig, rig.attach(rig.given_disk().id))
    rig.cloud.faults.clear()
    assert f"; the last try was told: {BUSY}; it goes on" in words


@pytest.mark.parametrize("made", ["disk disk-0001", "snapshot snap-0001"])
async def test_what_was_made_and_does_not_show_is_told_by_its_id(rig: Rig, made: str) -> None:
    """It can be looked up in the cloud's console."""
    disk = rig.given_disk().id
    rig.cloud.state.latency.show_s = 30.0
    words = await told(rig, rig.create() if "disk-" in made else rig.snapshot(disk))
    assert f"; no read shows {made} now; it goes on" in words


async def test_a_disk_that_can_not_be_read_is_not_told_as_one_that_is_not_there(rig: Rig) -> None:
    """Nobody is to look for lost data because the cloud throttles."""
    disk = rig.given_disk().id
    rig.cloud.state.latency.attach_s = 1.0
    rig.cloud.faults.throttle("get_disks", times=FOR_EVER)
    words = await told(rig, rig.attach(disk))
    rig.cloud.faults.clear()
    assert "; no read shows disk disk-given now; the last try was told: too many" in words


async def test_a_snapshot_that_is_being_cut_is_told_by_its_id(rig: Rig) -> None:
    """The claim that waits for it knows another name."""
    disk = rig.given_disk().id
    rig.cloud.state.latency.cut_s = 60.0
    words = await told(rig, rig.snapshot(disk))
    assert "; no read has shown snapshot snap-0001 cut so far; it goes on" in words


async def test_a_failed_snapshot_is_not_told_as_one_that_is_cut(rig: Rig) -> None:
    """Nothing comes of it any more, and it has to go."""
    disk = rig.given_disk().id
    failed = await rig.snapshot(disk)
    rig.cloud.state.snapshots[failed.id] = replace(failed, failed=True)
    rig.cloud.faults.throttle("delete_snapshot", times=FOR_EVER)
    words = await told(rig, rig.snapshot(disk))
    rig.cloud.faults.clear()
    assert (
        f"; snapshot {failed.id} failed while it was made, and is being deleted; the last" in words
    )


@pytest.mark.parametrize(
    ("action", "error", "call"),
    [
        pytest.param("create_disk", BUSY, lambda rig, _: rig.create(), id="create"),
        pytest.param("find_disks", None, lambda rig, _: rig.create(), id="find"),
        pytest.param("delete_disk", BUSY, lambda rig, disk: rig.deleter.delete(disk), id="delete"),
        pytest.param("attach_disk", BUSY, lambda rig, disk: rig.attach(disk), id="attach"),
        pytest.param("detach_disk", BUSY, lambda rig, disk: rig.detach(disk), id="detach"),
        pytest.param(
            "resize_disk", BUSY, lambda rig, disk: rig.expander.expand(disk, gib(30), MOUNT), id="grow"
        ),
        pytest.param("create_snapshot", BUSY, lambda rig, disk: rig.snapshot(disk), id="snapshot"),
        pytest.param(
            "delete_snapshot", BUSY, lambda rig, _: rig.snapshotter.delete("snap-1"), id="forget"
        ),
    ],
)  # fmt: skip
async def test_a_call_that_is_refused_again_and_again_tells_the_refusal(
    rig: Rig, action: str, error: DiskError | None, call: Callable[[Rig, VolumeId], Awaitable[object]]
) -> None:  # fmt: skip
    """With the cloud's code and request, whether a change or a read was refused."""
    disk = rig.given_disk().id
    snapshot = await rig.snapshot(disk, "kept")
    rig.cloud.state.snapshots["snap-1"] = replace(snapshot, id="snap-1")  # type: ignore[index,arg-type]
    if action == "detach_disk":
        await rig.attach(disk)
    if error is None:
        rig.cloud.faults.throttle(action, times=FOR_EVER)
    else:
        rig.cloud.faults.refuse(action, error, times=FOR_EVER)
    words = await told(rig, call(rig, disk))
    rig.cloud.faults.clear()
    refusal = error or "too many calls (TooMany)"
    assert f" isn't done after 14 s; the last try was told: {refusal}; it goes on" in words


async def test_a_read_that_was_throttled_once_is_forgotten(rig: Rig) -> None:
    """It would send people to the wrong runbook while the cloud is merely slow."""
    disk = rig.given_disk().id
    rig.cloud.state.latency.cut_s = 60.0

    async def once() -> None:
        await asyncio.sleep(5)
        rig.cloud.faults.throttle("get_snapshots", times=1)

    throttling = rig.begin(once())
    words = await told(rig, rig.snapshot(disk))
    await throttling
    assert ("cut so far" in words, "too many calls" in words) == (True, False)


async def test_a_throttled_read_hides_no_refusal_of_the_change_around_it() -> None:
    """Once the read has told, the change is still refused."""
    refusals = iter([Throttled("too many"), Throttled("too many still")])

    async def read() -> str:
        for refusal in refusals:
            raise refusal
        return "seen"

    progress = Progress("attach")
    with progress.current():
        note_refusal(BUSY)
        assert await patiently(read, backoff(first_s=1, max_s=1, random=Random(0))) == "seen"
    assert progress.told().endswith(f"; the last try was told: {BUSY}")


async def test_while_a_last_refusal_is_looked_into_it_is_told(rig: Rig) -> None:
    """And not the lost answer before it."""
    disk = rig.given_disk().id
    rig.cloud.faults.refuse("attach_disk", UnknownOutcome("the answer is lost"))
    rig.cloud.faults.refuse("attach_disk", Exhausted("the node is full"))
    progress = Progress("call")
    with progress.current():
        attaching = rig.begin(rig.attach(disk))
    await asyncio.sleep(3)
    assert "; the last try was told: the node is full; it goes on" in progress.waits_for()
    with pytest.raises(Exhausted):
        await attaching


async def test_a_disk_that_failed_and_can_not_be_deleted_is_told(rig: Rig) -> None:
    """Nothing else says why the claim waits."""
    rig.given_disk("pvc-1", state=DiskState.FAILED)
    rig.cloud.faults.refuse("delete_disk", BUSY, times=FOR_EVER)
    words = await told(rig, rig.create())
    rig.cloud.faults.clear()
    assert (
        f"; disk disk-pvc-1 failed while it was made, and is being deleted; the last try was told: {BUSY}"
        in words
    )


async def test_a_failed_disk_whose_deletion_was_accepted_was_refused_before(rig: Rig) -> None:
    """The refusal is over, and is no reason for what takes long now."""
    rig.given_disk("pvc-1", state=DiskState.FAILED)
    rig.cloud.state.latency.delete_s = 60.0
    rig.cloud.faults.refuse("delete_disk", BUSY)
    words = await told(rig, rig.create())
    assert (
        "; the cloud last showed disk disk-pvc-1 deleting, since it failed while it was made; it goes"
        in words
    )
    assert rig.cloud.count("delete_disk") == 2


async def test_an_order_is_not_told_what_a_deletion_before_it_was_refused(rig: Rig) -> None:
    """A failed disk is gone, and the one in its place takes long by itself."""
    rig.given_disk("pvc-1", state=DiskState.FAILED)
    rig.cloud.faults.lose_reply("delete_disk")
    ordered = rig.cloud.faults.hold("create_disk")
    words = await told(rig, rig.create())
    ordered.set()
    assert words.startswith("creation of volume pvc-1 isn't done after 14 s; it goes on")


async def test_a_lost_answer_is_told_until_the_next_try_is_accepted(rig: Rig) -> None:
    """What is told is the last word, and no earlier one."""
    disk = rig.given_disk().id
    rig.cloud.state.latency.attach_s = 60.0
    rig.cloud.faults.refuse("attach_disk", UnknownOutcome("the answer is lost"), times=2)
    words = await told(rig, rig.attach(disk))
    assert ("the answer is lost" in words, "attaching" in words) == (False, True)


async def test_ids_that_read_alike_when_put_together_are_not_mistaken(rig: Rig) -> None:
    """A flight is joined by what it does, and not by how that reads."""
    for node in (NodeId("node-1 to node-2"), NodeId("node-2")):
        rig.cloud.state.nodes[node] = replace(rig.cloud.state.nodes[NODE], id=node)
    one = rig.given_disk("a").id
    other = rig.given_disk("a to node-1").id
    rig.cloud.state.latency.attach_s = 2.0
    first, second = await asyncio.gather(
        rig.attach(one, NodeId("node-1 to node-2")), rig.attach(other, NodeId("node-2"))
    )
    assert first != second
    assert rig.disk(other).attached_to == {"node-2"}
