"""A sidecar may ask as often as it likes: the cloud is asked after pauses that grow."""

from __future__ import annotations

import asyncio

import pytest

from diskcsi.controller.refusals import Refusals
from diskcsi.model.errors import (
    Denied,
    DiskError,
    Exhausted,
    InUse,
    OutOfRange,
    Pending,
    UnknownOutcome,
    Unreachable,
    Unreadable,
)
from diskcsi.model.volume import DiskState
from tests.controller.rig import NODE, SIDECAR_S, Rig, gib

OFTEN_S = 5.0
"""The sidecar's longest pause, as the chart starts it."""

HOUR_S = 3600


def asked(rig: Rig, action: str) -> int:
    """How often the cloud was asked for this."""
    return sum(call.action == action for call in rig.cloud.calls)


async def insist(rig: Rig, seconds: float) -> list[DiskError]:
    """What a sidecar hears that asks for one volume with its own pauses, for so long."""
    heard: list[DiskError] = []
    end_s, pause_s = asyncio.get_running_loop().time() + seconds, SIDECAR_S
    while asyncio.get_running_loop().time() < end_s:
        with pytest.raises(DiskError) as told:
            await rig.create()
        heard.append(told.value)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, OFTEN_S)
    return heard


@pytest.mark.parametrize(
    "refusal",
    [
        Exhausted("sold out", hint="wait", code="OutOfStock", request_id="r-1"),
        Denied("no right"),
        Unreachable("wrong key"),
    ],
    ids=lambda refusal: type(refusal).__name__,
)
async def test_a_claim_that_is_refused_costs_a_call_or_two_a_minute(
    rig: Rig, refusal: DiskError
) -> None:
    """Its sidecar asks every five seconds, and hears the cloud's own words each time."""
    rig.cloud.faults.refuse("find_disks", refusal, times=10_000)
    await insist(rig, 300)
    before = asked(rig, "find_disks")
    heard = await insist(rig, HOUR_S)
    assert len(heard) > HOUR_S / OFTEN_S
    assert HOUR_S / 65 <= asked(rig, "find_disks") - before <= HOUR_S / 30
    assert len({str(one) for one in heard}) == 1
    assert refusal.code in str(heard[-1])


async def test_the_first_tries_all_reach_the_cloud(rig: Rig) -> None:
    """While the sidecar's own pauses grow, nothing is kept from it."""
    rig.cloud.faults.refuse("find_disks", Denied("no right"), times=100)
    heard = await insist(rig, 8)
    assert len(heard) == asked(rig, "find_disks") == 5


async def test_once_the_cloud_can_it_serves_within_a_minute(rig: Rig) -> None:
    """What was mended is noticed; then nothing is left of the refusals."""
    rig.cloud.faults.refuse("find_disks", Denied("no right"), times=10_000)
    await insist(rig, 1000)
    rig.cloud.faults.clear()
    await asyncio.sleep(60)
    volume = await rig.create()
    assert (await rig.create()).id == volume.id


async def test_another_request_of_the_name_is_not_refused_for_the_first(rig: Rig) -> None:
    """The scheduler chose another place, or the size was corrected."""
    rig.cloud.faults.refuse("create_disk", Exhausted("sold out"))
    with pytest.raises(Exhausted):
        await rig.create()
    volume = await rig.create(capacity=gib(30))
    assert volume.size_gib == 30


async def test_a_request_that_nothing_can_serve_is_refused_by_what_is_wrong_with_it(
    rig: Rig,
) -> None:
    """It never gets as far as the cloud, so there is nothing to be spared."""
    for _ in range(3):
        with pytest.raises(OutOfRange, match="GiB"):
            await rig.create(capacity=gib(10_000_000))
    assert rig.cloud.calls == []


async def test_a_disk_in_use_is_looked_at_a_time_or_two_a_minute(rig: Rig) -> None:
    """Once it is free it goes with the next look."""
    disk = rig.given_disk(state=DiskState.IN_USE, attached_to=frozenset({NODE}))
    for _ in range(200):
        with pytest.raises(InUse, match=NODE):
            await rig.deleter.delete(disk.id)
        await asyncio.sleep(OFTEN_S)
    assert asked(rig, "delete_disk") < 200 * OFTEN_S / 30
    rig.cloud.state.disks[disk.id] = rig.given_disk(name="free")
    await asyncio.sleep(60)
    await rig.deleter.delete(disk.id)
    assert disk.id not in rig.cloud.state.disks


@pytest.mark.parametrize("open_end", [Pending("goes on"), UnknownOutcome("lost")])
async def test_what_goes_on_is_asked_for_at_once(open_end: DiskError) -> None:
    """The next call joins it, or finds what it made."""
    refusals, tries = Refusals(), 0

    async def work() -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise open_end
        return tries

    with pytest.raises(type(open_end)):
        await refusals.heed("one", work)
    assert await refusals.heed("one", work) == 2


async def test_callers_of_one_try_count_as_one() -> None:
    """Ten that heard the same refusal at once make no longer pause than one."""
    refusals, tries = Refusals(first_s=1.0), 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0.1)
        raise Unreadable("no right to look")

    told = await asyncio.gather(
        *(refusals.heed("one", work) for _ in range(10)), return_exceptions=True
    )
    assert {type(one) for one in told} == {Unreadable}
    await asyncio.sleep(1.0)
    with pytest.raises(Unreadable):
        await refusals.heed("one", work)
    assert tries == 11


async def test_what_nobody_asks_for_any_more_is_forgotten() -> None:
    """A claim that was deleted leaves nothing behind here."""
    refusals = Refusals()

    async def work() -> None:
        raise Denied("no right")

    for number in range(1000):
        with pytest.raises(Denied):
            await refusals.heed(number, work)
        await asyncio.sleep(1)
    assert len(refusals) < 70
