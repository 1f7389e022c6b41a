"""What becomes of a volume whose disk the cloud has accepted and no read shows yet."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from diskcsi.controller.deps import Timing
from diskcsi.model.errors import Denied, Exhausted, Pending, Unreadable
from tests.controller.rig import ORDER, SIDECAR_S, Rig, zones


@pytest.mark.parametrize("show_s", [8.0, 50.0], ids=["longer-than-a-search", "much-longer"])
async def test_a_disk_that_the_cloud_accepted_is_waited_for_and_not_made_again(
    rig: Rig, show_s: float
) -> None:
    """Reads that lag prove no absence, so its token stays the only one."""
    rig.cloud.state.latency.show_s = show_s
    volume = await rig.create()
    assert [disk.id for disk in rig.disks()] == [volume.id]


async def test_a_flight_that_ends_before_the_disk_shows_leaves_one_disk(rig: Rig) -> None:
    """The next one repeats the token, or finds the name."""
    rig.cloud.state.latency.show_s = 8.0
    hasty = replace(rig, deps=replace(rig.deps, timing=Timing(flight_s=6.0)))
    with pytest.raises(TimeoutError):
        await hasty.create()
    volume = await hasty.create()
    assert [disk.id for disk in rig.disks()] == [volume.id]


async def test_a_cloud_whose_reads_show_nothing_is_asked_for_one_more_disk_at_most(
    rig: Rig,
) -> None:
    """What is broken is told with the id, and the caller goes on asking."""
    rig.cloud.state.latency.show_s = 10_000.0
    with pytest.raises(Pending, match="disk-0002"):
        await rig.create()
    assert len(rig.disks()) == 2


async def test_a_disk_that_shows_under_its_name_is_taken_before_another_token_is_spent(
    rig: Rig,
) -> None:
    """The answered id is dead, and somebody else has made the disk meanwhile."""
    await rig.deleter.delete((await rig.create()).id)
    creating = rig.begin(rig.create())
    await asyncio.sleep(30)
    given = rig.given_disk(ORDER.name)
    assert await creating == await rig.create()
    assert [disk.id for disk in rig.disks()] == [given.id]


async def test_a_name_of_many_deleted_volumes_can_be_used_again(rig: Rig) -> None:
    """Each of their tokens answers a dead id; every call gets past one more of them."""
    spent = []
    for _ in range(4):
        spent.append((await rig.create()).id)
        await rig.deleter.delete(spent[-1])
    successor = rig.restarted()
    for _ in spent[1:]:
        with pytest.raises(Pending, match="disk-"):
            await successor.create()
    volume = await successor.create()
    assert ([disk.id for disk in rig.disks()], volume.id in spent) == ([volume.id], False)


async def grow_old(rig: Rig) -> None:
    """The process has run for long enough to doubt nothing."""
    await rig.create(name="before")
    await asyncio.sleep(60)


async def test_a_doubt_is_kept_when_the_flight_ends_in_the_middle_of_the_order(rig: Rig) -> None:
    """The next call looks before it passes a refusal on, and finds what was made."""
    await grow_old(rig)
    rig.cloud.state.latency.show_s = 4.0
    rig.cloud.state.latency.call_s = 6.0
    hasty = replace(rig, deps=replace(rig.deps, timing=Timing(flight_s=10.0)))
    with pytest.raises(TimeoutError):
        await hasty.create()
    rig.cloud.state.latency.call_s = 0.0
    rig.cloud.faults.refuse("create_disk", Exhausted("sold out"), times=2)
    volume = await rig.create(requirement=zones("zone-a", "zone-b"))
    assert [disk.id for disk in rig.disks() if disk.name == ORDER.name] == [volume.id]


async def test_a_doubt_is_kept_when_the_wait_for_an_accepted_disk_fails(rig: Rig) -> None:
    """The next call looks before it passes a refusal on, and finds what was made."""
    await grow_old(rig)
    rig.cloud.state.latency.show_s = 4.0
    rig.cloud.faults.refuse("get_disks", Denied("no right to look"))
    with pytest.raises(Unreadable):
        await rig.create()
    rig.cloud.faults.refuse("create_disk", Exhausted("sold out"))
    await asyncio.sleep(SIDECAR_S)
    volume = await rig.create()
    assert [disk.id for disk in rig.disks() if disk.name == ORDER.name] == [volume.id]
