from __future__ import annotations

import asyncio

from diskcsi.controller.disks import REMEMBERED_DISKS
from diskcsi.model.ids import VolumeId
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


async def test_memory_does_not_grow_without_end(rig: Rig) -> None:
    """The one that was seen longest ago is dropped."""
    disk = rig.given_disk()
    ids = [VolumeId(f"disk-{place:06d}") for place in range(REMEMBERED_DISKS)]
    rig.cloud.state.disks.update(dict.fromkeys(ids, disk))
    await rig.deps.disks._fetch([disk.id])
    await rig.deps.disks._fetch(ids)
    assert (rig.deps.disks.last_seen(disk.id), rig.deps.disks.last_seen(ids[0])) == (None, disk)
