from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace

import pytest

from diskcsi.controller.disks import REMEMBERED_DISKS
from diskcsi.model.errors import Unreachable
from diskcsi.model.ids import VolumeId
from diskcsi.model.volume import Disk, DiskState
from tests.controller.rig import NODE, Rig


async def test_reads_at_once_are_one_call(rig: Rig) -> None:
    """A hundred volumes cost what one costs."""
    ids = [rig.given_disk(f"d-{place}").id for place in range(100)]
    await asyncio.gather(*(rig.deps.disks.get(one) for one in ids))
    assert rig.cloud.count("get_disks") == 1


async def test_waits_at_once_share_their_looks(rig: Rig) -> None:
    """Twenty creates of five seconds, of which nothing is known yet, cost what one costs."""
    rig.cloud.state.latency.create_s = 5.0
    await asyncio.gather(*(rig.create(name=f"pvc-{place}") for place in range(20)))
    assert rig.cloud.count("get_disks") <= 30


async def test_what_was_seen_is_remembered_until_it_is_forgotten(rig: Rig) -> None:
    """It is a hint for the cheaper first step."""
    disk = rig.given_disk()
    await rig.deps.disks.get(disk.id)
    seen = rig.deps.disks.last_seen(disk.id)
    rig.deps.disks.forget(disk.id)
    assert (seen, rig.deps.disks.last_seen(disk.id)) == (disk, None)


async def test_a_disk_that_is_gone_is_not_remembered(rig: Rig) -> None:
    """The latest read counts."""
    disk = rig.given_disk()
    await rig.deps.disks.get(disk.id)
    del rig.cloud.state.disks[disk.id]
    await rig.deps.disks.get(disk.id)
    assert rig.deps.disks.last_seen(disk.id) is None


@pytest.fixture
def answers_late(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Callable[[Disk], asyncio.Event]:
    """From now on reads that show this very disk are answered when the event is set."""

    def begin(disk: Disk) -> asyncio.Event:
        read, go_on = rig.cloud.get_disks, asyncio.Event()

        async def get_disks(volume_ids: Collection[VolumeId]) -> Mapping[VolumeId, Disk]:
            told = await read(volume_ids)
            if disk in told.values():
                await go_on.wait()
            return told

        monkeypatch.setattr(rig.cloud, "get_disks", get_disks)
        return go_on

    return begin


async def grown(rig: Rig, disk: Disk) -> None:
    """A later read shows it larger."""
    rig.cloud.state.disks[disk.id] = replace(disk, size_gib=30)
    await rig.deps.disks.get(disk.id)


async def gone(rig: Rig, disk: Disk) -> None:
    """A later read shows it no more."""
    del rig.cloud.state.disks[disk.id]
    await rig.deps.disks.get(disk.id)


async def changed(rig: Rig, disk: Disk) -> None:
    """It was changed by us."""
    rig.deps.disks.forget(disk.id)


@pytest.mark.parametrize(
    ("happens", "size_gib"),
    [(grown, 30), (gone, None), (changed, None)],
    ids=["grown", "gone", "changed"],
)
async def test_a_read_that_was_overtaken_is_no_hint(
    rig: Rig,
    answers_late: Callable[[Disk], asyncio.Event],
    happens: Callable[[Rig, Disk], Awaitable[None]],
    size_gib: int | None,
) -> None:
    """What is known from later is newer, though it came first."""
    former = rig.given_disk()
    go_on = answers_late(former)
    overtaken = rig.begin(rig.deps.disks.get(former.id))
    await asyncio.sleep(1)
    await happens(rig, former)
    go_on.set()
    assert await overtaken == former
    seen = rig.deps.disks.last_seen(former.id)
    assert (seen and seen.size_gib) == size_gib


async def test_a_read_that_took_long_hides_no_others(
    rig: Rig, answers_late: Callable[[Disk], asyncio.Event]
) -> None:
    """Sights are told for as long as each is recent."""
    leaving = rig.given_disk("x", state=DiskState.DETACHING, attached_to=frozenset({NODE}))
    slow = rig.given_disk("slow")
    go_on = answers_late(slow)
    read = rig.begin(rig.deps.disks.get(slow.id))
    await asyncio.sleep(20)
    await rig.deps.disks.get(leaving.id)
    await asyncio.sleep(10)
    go_on.set()
    await read
    await asyncio.sleep(275)
    told = rig.deps.disks.leaving(NODE, besides=slow.id)
    assert told == "disk disk-x of that node was last seen detaching 285 s ago"


async def test_a_disk_is_not_told_to_be_in_its_own_way(rig: Rig) -> None:
    """It is asked for what else keeps the node busy."""
    leaving = rig.given_disk(state=DiskState.DETACHING, attached_to=frozenset({NODE}))
    await rig.deps.disks.get(leaving.id)
    assert rig.deps.disks.leaving(NODE, besides=leaving.id) == ""


async def test_memory_does_not_grow_without_end(rig: Rig) -> None:
    """The one that was seen longest ago is dropped."""
    disk = rig.given_disk()
    ids = [VolumeId(f"disk-{place:06d}") for place in range(REMEMBERED_DISKS)]
    rig.cloud.state.disks.update(dict.fromkeys(ids, disk))
    await rig.deps.disks._fetch([disk.id])
    await rig.deps.disks._fetch(ids)
    assert (rig.deps.disks.last_seen(disk.id), rig.deps.disks.last_seen(ids[0])) == (None, disk)


async def test_one_that_is_seen_again_is_remembered_anew(rig: Rig) -> None:
    """It is no longer the one that was seen longest ago."""
    disk = rig.given_disk()
    ids = [VolumeId(f"disk-{place:06d}") for place in range(REMEMBERED_DISKS)]
    rig.cloud.state.disks.update(dict.fromkeys(ids, disk))
    for seen in ([disk.id], ids[:1], [disk.id], ids[1:]):
        await rig.deps.disks._fetch(seen)
    assert (rig.deps.disks.last_seen(disk.id), rig.deps.disks.last_seen(ids[0])) == (disk, None)


@pytest.fixture
def odd(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> VolumeId:
    """A disk of which the cloud tells no sense."""
    odd, read = rig.given_disk("disk-odd").id, rig.cloud.get_disks

    async def get_disks(volume_ids: Collection[VolumeId]) -> Mapping[VolumeId, Disk]:
        if odd in volume_ids:
            raise Unreachable("no sense", ids=[odd])
        return await read(volume_ids)

    monkeypatch.setattr(rig.cloud, "get_disks", get_disks)
    return odd


async def test_a_disk_that_cannot_be_read_fails_no_neighbour(rig: Rig, odd: VolumeId) -> None:
    """Nor is it absent."""
    disk, absent = rig.given_disk(), VolumeId("disk-absent")
    asked = [rig.deps.disks.get(one) for one in (disk.id, odd, absent)]
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert (told[0], type(told[1]), told[2]) == (disk, Unreachable, None)


async def test_a_disk_that_cannot_be_read_holds_up_no_wait(rig: Rig, odd: VolumeId) -> None:
    """Its own goes on, for the cloud may tell sense again."""
    disk = rig.given_disk()
    async with asyncio.TaskGroup() as tasks:
        hangs = tasks.create_task(rig.deps.disks.wait(odd, lambda _: True, kind="attach"))
        async with asyncio.timeout(10):
            seen = await rig.deps.disks.wait(disk.id, bool, kind="attach")
        waits_on = not hangs.done()
        hangs.cancel()
    assert (seen, waits_on) == (disk, True)


async def test_a_disk_that_cannot_be_read_is_not_remembered(rig: Rig) -> None:
    """What was seen before is no hint any more."""
    disk = rig.given_disk()
    await rig.deps.disks.get(disk.id)
    rig.cloud.faults.refuse("get_disks", Unreachable("no sense", ids=[disk.id]))
    with pytest.raises(Unreachable):
        await rig.deps.disks.get(disk.id)
    assert rig.deps.disks.last_seen(disk.id) is None


async def test_a_failure_of_nobodys_own_is_not_asked_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage costs no second call."""
    calls: list[Collection[VolumeId]] = []

    async def get_disks(volume_ids: Collection[VolumeId]) -> Mapping[VolumeId, Disk]:
        calls.append(volume_ids)
        raise Unreachable("no way there")

    monkeypatch.setattr(rig.cloud, "get_disks", get_disks)
    with pytest.raises(Unreachable):
        await rig.deps.disks.get(VolumeId("disk-1"))
    assert len(calls) == 1
