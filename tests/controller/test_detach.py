from __future__ import annotations

import asyncio

import pytest

from diskcsi.controller.attach import Attacher
from diskcsi.model.errors import DiskError, InUse, Pending, UnknownOutcome, Unreachable
from diskcsi.model.ids import NodeId, VolumeId
from tests.controller.rig import (
    ABSENT,
    LOSSES,
    MOUNT,
    NODE,
    OTHER_NODE,
    SHARED_BLOCK,
    Rig,
)


@pytest.mark.parametrize(("fault", "action"), LOSSES)
async def test_a_detach_comes_out_right_whatever_is_lost(
    rig: Rig, volume_id: VolumeId, fault: str, action: str
) -> None:
    """No error leaves, and the disk is free."""
    await rig.attach(volume_id)
    getattr(rig.cloud.faults, fault)(action or "detach_disk", times=3)
    await rig.detach(volume_id)
    assert rig.disk(volume_id).attached_to == frozenset()


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


@pytest.mark.parametrize(
    "busy", [Pending("busy"), InUse("busy")], ids=lambda error: type(error).__name__
)
async def test_a_read_that_lags_does_not_outweigh_a_cloud_that_says_busy(
    rig: Rig, volume_id: VolumeId, busy: DiskError
) -> None:
    """A former process began an attach that no read shows yet."""
    rig.cloud.faults.arrive_late("attach_disk", after_s=1.0)
    with pytest.raises(UnknownOutcome):
        await rig.cloud.attach_disk(volume_id, NODE)
    rig.cloud.faults.refuse("detach_disk", busy, times=3)
    await rig.detach(volume_id)
    await asyncio.sleep(30)
    assert rig.disk(volume_id).attached_to == frozenset()


async def test_a_busy_disk_is_free_once_reads_agree_for_long_enough(
    rig: Rig, volume_id: VolumeId
) -> None:
    """Nothing that was begun stays hidden for longer; the caller's 15 seconds are kept."""
    rig.cloud.faults.refuse("detach_disk", Pending("busy"), times=1000)
    await rig.detach(volume_id)
    assert rig.deps.timing.settle_s <= asyncio.get_running_loop().time() < 15


async def _fail_to_attach(rig: Rig, attacher: Attacher, volume_id: VolumeId) -> None:
    """An attach whose reply is lost and whose effect comes later, over a network that then fails."""
    rig.cloud.faults.arrive_late("attach_disk", after_s=1.0)
    rig.cloud.faults.refuse("get_disks", Unreachable("the network is down"))
    with pytest.raises(Unreachable):
        await attacher.attach(volume_id, NODE, MOUNT)


@pytest.mark.parametrize("seen_free", [True, False])
async def test_a_detach_takes_back_an_attach_that_failed_with_its_outcome_open(
    rig: Rig, volume_id: VolumeId, *, seen_free: bool
) -> None:
    """It shows only after the detach was asked for."""
    attacher = rig.attacher
    if seen_free:
        await attacher.detach(volume_id, NODE)
    await _fail_to_attach(rig, attacher, volume_id)
    await attacher.detach(volume_id, NODE)
    await asyncio.sleep(30)
    assert rig.disk(volume_id).attached_to == frozenset()


async def test_every_node_is_not_over_while_the_outcome_of_an_attach_is_open(
    rig: Rig, volume_id: VolumeId
) -> None:
    """No read shows yet which node it will be."""
    attacher = rig.attacher
    await _fail_to_attach(rig, attacher, volume_id)
    with pytest.raises(Pending, match="being attached"):
        await attacher.detach(volume_id, None)


async def test_an_attach_whose_outcome_was_open_is_settled_after_a_while(
    rig: Rig, volume_id: VolumeId
) -> None:
    """A repeated detach is as cheap as ever."""
    attacher = rig.attacher
    await _fail_to_attach(rig, attacher, volume_id)
    await attacher.detach(volume_id, NODE)
    await asyncio.sleep(rig.deps.timing.settle_s)
    rig.cloud.calls.clear()
    await attacher.detach(volume_id, NODE)
    assert [call.action for call in rig.cloud.calls] == ["get_disks"]
