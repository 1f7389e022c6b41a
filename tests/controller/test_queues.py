from __future__ import annotations

import asyncio
from dataclasses import replace

from diskcsi.model.ids import NodeId, VolumeId
from tests.controller.rig import (
    NODE,
    Rig,
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
