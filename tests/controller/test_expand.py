from __future__ import annotations

import asyncio

import pytest

from diskcsi.model.capabilities import Capability, VolumeCapability
from diskcsi.model.errors import (
    MAYBE_RUNNING,
    Denied,
    NotFound,
    OutOfRange,
    Pending,
    Unsupported,
    WrongState,
)
from diskcsi.model.sizes import GIB, Capacity
from diskcsi.model.volume import DiskState
from diskcsi.testing.memory import MemoryCloud
from tests.controller.rig import ABSENT, BLOCK, MOUNT, NODE, Rig, build, gib


async def test_a_disk_has_the_size_it_is_answered_with(rig: Rig) -> None:
    """The answer comes when a read shows it."""
    disk = rig.given_disk()
    rig.cloud.state.latency.resize_s = 3.0
    expanded = await rig.expander.expand(disk.id, gib(30), MOUNT)
    assert expanded.size_gib == rig.disk(disk.id).size_gib == 30


async def test_bytes_become_whole_gib(rig: Rig) -> None:
    """Clouds sell nothing smaller."""
    disk = rig.given_disk()
    expanded = await rig.expander.expand(disk.id, Capacity(required_bytes=30 * GIB + 1), MOUNT)
    assert expanded.size_gib == 31


@pytest.mark.parametrize(
    ("capability", "grows"),
    [(MOUNT, True), (None, True), (BLOCK, False)],
    ids=["filesystem", "not-told", "block"],
)
async def test_the_node_grows_what_is_a_filesystem(
    rig: Rig, capability: VolumeCapability | None, *, grows: bool
) -> None:
    """A raw device needs nothing more."""
    disk = rig.given_disk()
    expanded = await rig.expander.expand(disk.id, gib(30), capability)
    assert expanded.node_must_grow is grows


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(20, id="29-equal"),
        pytest.param(5, id="29-smaller"),
        pytest.param(10, id="console-changes"),
    ],
)
async def test_a_disk_that_is_large_enough_is_left_alone(rig: Rig, size: int) -> None:
    """No disk ever shrinks, and a bigger one is adopted."""
    disk = rig.given_disk()
    expanded = await rig.expander.expand(disk.id, gib(size), MOUNT)
    assert (expanded.size_gib, rig.cloud.changes) == (20, [])


async def test_a_repeated_expand_costs_one_read(rig: Rig) -> None:
    """What has its size is only looked at."""
    disk = rig.given_disk()
    await rig.expander.expand(disk.id, gib(30), MOUNT)
    rig.cloud.calls.clear()
    await rig.expander.expand(disk.id, gib(30), MOUNT)
    assert [call.action for call in rig.cloud.calls] == ["get_disks"]


@pytest.mark.parametrize(
    "capacity",
    [
        pytest.param(
            Capacity(required_bytes=30 * GIB + 1, limit_bytes=30 * GIB + 2), id="5-rounded-up"
        ),
        pytest.param(gib(5, 10), id="5-larger-already"),
        pytest.param(gib(0, 10), id="5-limit-alone"),
    ],
)
async def test_a_size_above_the_limit_is_out_of_range(rig: Rig, capacity: Capacity) -> None:
    """Nothing was changed, and the user may ask for another size."""
    disk = rig.given_disk()
    with pytest.raises(OutOfRange):
        await rig.expander.expand(disk.id, capacity, MOUNT)
    assert rig.cloud.changes == []


async def test_an_absent_disk_is_not_found(rig: Rig) -> None:
    """Nothing can grow."""
    with pytest.raises(NotFound):
        await rig.expander.expand(ABSENT, gib(30), MOUNT)


async def test_a_disk_that_vanishes_while_it_grows_is_not_found(rig: Rig) -> None:
    """Another hand deleted it."""
    disk = rig.given_disk()
    rig.cloud.state.latency.resize_s = 5.0
    growing = rig.begin(rig.expander.expand(disk.id, gib(30), MOUNT))
    await asyncio.sleep(1)
    del rig.cloud.state.disks[disk.id]
    with pytest.raises(NotFound):
        await growing


async def test_a_held_disk_grows_where_it_is(rig: Rig) -> None:
    """Growing takes a disk off no node."""
    disk = rig.given_disk()
    await rig.attach(disk.id)
    await rig.expander.expand(disk.id, gib(30), MOUNT)
    assert rig.disk(disk.id).attached_to == {NODE}


async def test_a_disk_that_is_being_attached_grows_afterwards(rig: Rig) -> None:
    """An attach that is under way is no use that forbids growing."""
    disk = rig.given_disk()
    rig.cloud.state.latency.attach_s, rig.cloud.state.latency.status_s = 2.0, 2.0
    attaching = rig.begin(rig.attach(disk.id))
    await asyncio.sleep(0.5)
    expanded = await rig.expander.expand(disk.id, gib(30), MOUNT)
    await attaching
    assert expanded.size_gib == 30


@pytest.mark.parametrize(
    "refusal",
    [WrongState("in use"), OutOfRange("too large"), Denied("no right")],
    ids=lambda refusal: type(refusal).__name__,
)
async def test_a_refusal_is_told(rig: Rig, refusal: Exception) -> None:
    """The user, or the operator, has to change something."""
    disk = rig.given_disk()
    rig.cloud.faults.refuse("resize_disk", refusal, times=2)
    with pytest.raises(type(refusal)):
        await rig.expander.expand(disk.id, gib(30), MOUNT)
    assert rig.disk(disk.id).size_gib == 20


async def test_a_refusal_of_a_disk_that_has_grown_is_a_success(rig: Rig) -> None:
    """The first call's effect makes the second one impossible."""
    disk = rig.given_disk()
    rig.cloud.state.latency.call_s, rig.cloud.state.latency.resize_s = 0.1, 0.3
    rig.cloud.faults.lose_reply("resize_disk")
    rig.cloud.faults.refuse("resize_disk", OutOfRange("the new size must be larger"))
    expanded = await rig.expander.expand(disk.id, gib(30), MOUNT)
    assert expanded.size_gib == 30


@pytest.mark.parametrize(
    ("fault", "action"),
    [
        pytest.param("lose_reply", "resize_disk", id="lost-reply-resize"),
        pytest.param("lose_request", "resize_disk", id="lost-request-resize"),
        pytest.param("throttle", "resize_disk", id="api-throttled"),
        pytest.param("throttle", "*", id="api-throttled-everything"),
    ],
)
async def test_an_expand_comes_out_right_whatever_is_lost(
    rig: Rig, fault: str, action: str
) -> None:
    """No error leaves, and the disk has its size."""
    disk = rig.given_disk()
    rig.cloud.state.latency.resize_s = 2.0
    getattr(rig.cloud.faults, fault)(action, times=3)
    await rig.expander.expand(disk.id, gib(30), MOUNT)
    assert rig.disk(disk.id).size_gib == 30


async def test_a_refused_look_after_a_lost_reply_is_not_final(rig: Rig) -> None:
    """The disk may be growing."""
    disk = rig.given_disk()
    rig.cloud.faults.lose_request("resize_disk")
    rig.cloud.faults.hold("get_disks").set()
    rig.cloud.faults.refuse("get_disks", Denied("no right to look"))
    with pytest.raises(MAYBE_RUNNING):
        await rig.expander.expand(disk.id, gib(30), MOUNT)


@pytest.mark.parametrize("size", [pytest.param(40, id="duplicate-calls-differ")])
async def test_another_size_waits_its_turn(rig: Rig, size: int) -> None:
    """Two sizes at once can't both be right."""
    disk = rig.given_disk()
    rig.cloud.state.latency.resize_s = 3.0
    growing = rig.begin(rig.expander.expand(disk.id, gib(30), MOUNT))
    await asyncio.sleep(1)
    with pytest.raises(Pending):
        await rig.expander.expand(disk.id, gib(size), MOUNT)
    await growing


async def test_expanding_needs_a_provider_that_can(rig: Rig) -> None:
    """What is missing is said, not attempted."""
    poor = build(MemoryCloud(capabilities=frozenset({Capability.SNAPSHOTS})), rig.tasks)
    with pytest.raises(Unsupported):
        await poor.expander.expand(ABSENT, gib(30), MOUNT)


async def test_a_disk_that_is_still_being_made_grows_afterwards(rig: Rig) -> None:
    """A state that passes by itself is no error."""
    disk = rig.given_disk(state=DiskState.CREATING)
    growing = rig.begin(rig.expander.expand(disk.id, gib(30), MOUNT))
    await asyncio.sleep(1)
    rig.given_disk()
    await growing
    assert rig.disk(disk.id).size_gib == 30
