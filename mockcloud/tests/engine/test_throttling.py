"""Row 60 of the acceptance table: calls are counted by action, region and minute of the clock."""

from __future__ import annotations

import pytest
from account import Account, G, account

DISK = {"ZoneId": G, "Size": 20, "DiskCategory": "cloud_essd"}


async def spent(throttle_status: int = 400) -> Account:
    """An account whose creates of this minute are used up, at the beginning of the minute."""
    lab = account(writes_per_minute=3, throttle_status=throttle_status)
    await lab.passes(60 - lab.clock.time() % 60)
    for _ in range(3):
        await lab.call("CreateDisk", DISK)
    return lab


@pytest.mark.parametrize("status", [400, 403, 429])
async def test_row_60_a_call_too_many_is_refused(status: int) -> None:
    """The code is always the same, and nothing was made."""
    lab = await spent(throttle_status=status)
    assert await lab.refused("CreateDisk", DISK) == f"{status} Throttling"
    assert len(lab.engine.disks) == 3


@pytest.mark.parametrize(("seconds", "refused"), [(59, True), (60, False)])
async def test_row_60_the_next_minute_of_the_clock_is_free(seconds: int, *, refused: bool) -> None:
    """However early in the minute the calls were used up."""
    lab = await spent()
    await lab.passes(seconds)
    assert ("Throttling" in await lab.refused("CreateDisk", DISK)) == refused


async def test_row_60_other_calls_go_on() -> None:
    """Each action has its own count."""
    lab = await spent()
    disk_id = next(iter(lab.engine.disks))
    assert "Throttling" not in await lab.refused("DeleteDisk", DiskId=disk_id)


async def test_row_60_other_regions_go_on() -> None:
    """Each region has its own count."""
    lab = await spent()
    elsewhere = {**DISK, "RegionId": "cn-beijing", "ZoneId": "cn-beijing-a"}
    assert (await lab.refused("CreateDisk", elsewhere)).startswith("200")


async def test_row_60_a_call_about_a_disk_counts_where_the_disk_is() -> None:
    """It names no region."""
    lab = await spent()
    disk_id = next(iter(lab.engine.disks))
    elsewhere = {**DISK, "RegionId": "cn-beijing", "ZoneId": "cn-beijing-a"}
    other = (await lab.call("CreateDisk", elsewhere))["DiskId"]
    answers = [
        await lab.refused("DeleteDisk", DiskId=one, RegionId=None)
        for one in (disk_id, disk_id, disk_id, disk_id, other)
    ]
    assert ["Throttling" in answer for answer in answers] == [False, False, False, True, False]


async def test_reads_have_a_limit_of_their_own() -> None:
    """Another knob says which."""
    lab = account(reads_per_minute=1)
    await lab.passes(60 - lab.clock.time() % 60)
    answers = [await lab.refused("DescribeRegions") for _ in range(2)]
    assert ["Throttling" in answer for answer in answers] == [False, True]


async def test_no_limit_is_no_limit() -> None:
    """Zero stands for none."""
    lab = account(reads_per_minute=0)
    answers = [await lab.refused("DescribeRegions") for _ in range(1200)]
    assert all(answer.startswith("200") for answer in answers)
