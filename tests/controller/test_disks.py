from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

import pytest

from diskcsi.controller.disks import REMEMBERED_DISKS
from diskcsi.model.errors import Unreachable
from diskcsi.model.ids import VolumeId
from diskcsi.model.volume import Disk
from tests.controller.rig import Rig


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


async def test_a_read_that_was_overtaken_is_no_hint(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a later one told is newer, though it came first."""
    former, read, go_on = rig.given_disk(), rig.cloud.get_disks, asyncio.Event()

    async def get_disks(volume_ids: Collection[VolumeId]) -> Mapping[VolumeId, Disk]:
        told = await read(volume_ids)
        if former in told.values():
            await go_on.wait()
        return told

    monkeypatch.setattr(rig.cloud, "get_disks", get_disks)
    overtaken = rig.begin(rig.deps.disks.get(former.id))
    await asyncio.sleep(1)
    present = rig.given_disk(size_gib=30)
    await rig.deps.disks.get(former.id)
    go_on.set()
    assert (await overtaken, rig.deps.disks.last_seen(former.id)) == (former, present)


async def test_memory_does_not_grow_without_end(rig: Rig) -> None:
    """The one that was seen longest ago is dropped."""
    disk = rig.given_disk()
    ids = [VolumeId(f"disk-{place:06d}") for place in range(REMEMBERED_DISKS)]
    rig.cloud.state.disks.update(dict.fromkeys(ids, disk))
    await rig.deps.disks._fetch([disk.id])
    await rig.deps.disks._fetch(ids)
    assert (rig.deps.disks.last_seen(disk.id), rig.deps.disks.last_seen(ids[0])) == (None, disk)


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


async def test_a_disk_that_cannot_be_read_is_not_remembered(rig: Rig, odd: VolumeId) -> None:
    """What was seen before is no hint any more."""
    rig.deps.disks._seen[odd] = (rig.given_disk(), 0.0)
    with pytest.raises(Unreachable):
        await rig.deps.disks.get(odd)
    assert rig.deps.disks.last_seen(odd) is None


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
