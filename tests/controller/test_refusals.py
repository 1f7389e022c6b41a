"""A sidecar may ask as often as it likes: the cloud is asked after pauses that grow."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from diskcsi.controller.refusals import SOON, Refusals
from diskcsi.controller.requests import CreateVolume
from diskcsi.model.errors import (
    MAYBE_RUNNING,
    Denied,
    DiskError,
    Exhausted,
    InUse,
    OutOfRange,
    Pending,
    UnknownOutcome,
    Unreachable,
    Unreadable,
    WrongState,
)
from diskcsi.model.topology import Requirement
from diskcsi.model.volume import DiskState
from tests.controller.rig import NODE, ORDER, SIDECAR_S, Rig, gib, zones

OFTEN_S = 5.0
"""The sidecar's longest pause, as the chart starts it."""

HOUR_S = 3600


def asked(rig: Rig, action: str) -> int:
    """How often the cloud was asked for this."""
    return sum(call.action == action for call in rig.cloud.calls)


async def insist(rig: Rig, seconds: float, order: CreateVolume = ORDER) -> list[DiskError]:
    """What a sidecar hears that asks for one volume with its own pauses, for so long."""
    heard: list[DiskError] = []
    end_s, pause_s = asyncio.get_running_loop().time() + seconds, SIDECAR_S
    while asyncio.get_running_loop().time() < end_s:
        with pytest.raises(DiskError) as told:
            await rig.create(order)
        heard.append(told.value)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, OFTEN_S)
    return heard


@pytest.mark.parametrize(
    "refusal",
    [
        Denied("no right", hint="grant it", code="Forbidden.RAM", request_id="r-1"),
        Unreachable("wrong key"),
        WrongState("the snapshot has failed"),
    ],
    ids=lambda refusal: type(refusal).__name__,
)
async def test_a_claim_that_is_refused_costs_a_call_or_two_a_minute(
    rig: Rig, refusal: DiskError
) -> None:
    """Its sidecar asks every five seconds, and hears the cloud's own words each time."""
    rig.cloud.faults.refuse("create_disk", refusal, times=10_000)
    await insist(rig, 300)
    before = asked(rig, "create_disk")
    heard = await insist(rig, HOUR_S)
    assert len(heard) > HOUR_S / OFTEN_S
    assert HOUR_S / 65 <= asked(rig, "create_disk") - before <= HOUR_S / 30
    repeats = [one for one in heard if not isinstance(one, type(refusal)) or SOON in str(one)]
    assert {(one.message, one.code, one.request_id) for one in heard} == {
        (refusal.message, refusal.code, refusal.request_id)
    }
    assert {str(one) for one in repeats} == {f"{refusal}; {SOON}"}


async def test_a_repeated_refusal_is_never_final(rig: Rig) -> None:
    """Another controller, which has the lead meanwhile, may have made what this one was refused."""
    slow = replace(rig, deps=replace(rig.deps, refusals=Refusals(first_s=60.0)))
    rig.cloud.faults.refuse("create_disk", Denied("no right"))
    with pytest.raises(Denied):
        await slow.create()
    volume = await rig.restarted().create()
    with pytest.raises(MAYBE_RUNNING, match="no right"):
        await slow.create()
    await asyncio.sleep(60)
    assert (await slow.create()).id == volume.id


async def test_what_is_sold_out_in_the_one_place_is_asked_for_each_time(rig: Rig) -> None:
    """A scheduler comes with another place, or the same one, at its own pace."""
    rig.cloud.faults.refuse("create_disk", Exhausted("sold out"), times=10)
    for _ in range(10):
        with pytest.raises(Exhausted):
            await rig.create(requirement=zones("zone-a"))
    assert (await rig.create()).size_gib == 20


@pytest.mark.parametrize(
    "asked_for", [zones("zone-a", "zone-b"), Requirement()], ids=["all", "any"]
)
async def test_what_is_sold_out_everywhere_is_asked_for_a_time_or_two_a_minute(
    rig: Rig, asked_for: Requirement
) -> None:
    """Nobody comes with another place for a claim that is bound at once."""
    order = replace(ORDER, requirement=asked_for, parameters={"zone": "zone-b"})
    rig.cloud.faults.refuse("create_disk", Exhausted("sold out"), times=10_000)
    await insist(rig, 300, order)
    before = asked(rig, "create_disk")
    await insist(rig, HOUR_S, order)
    assert HOUR_S / 65 <= asked(rig, "create_disk") - before <= HOUR_S / 30


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
    """The class was corrected, and the claim made again."""
    rig.cloud.faults.refuse("create_disk", Denied("no right"))
    with pytest.raises(Denied):
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
        with pytest.raises((InUse, Unreachable), match=NODE):
            await rig.deleter.delete(disk.id)
        await asyncio.sleep(OFTEN_S)
    assert asked(rig, "delete_disk") < 200 * OFTEN_S / 30
    rig.cloud.state.disks[disk.id] = rig.given_disk(name="free")
    await asyncio.sleep(60)
    await rig.deleter.delete(disk.id)
    assert disk.id not in rig.cloud.state.disks


@pytest.mark.parametrize("open_end", [Pending("goes on"), UnknownOutcome("lost")])
async def test_what_goes_on_is_asked_for_at_once(rig: Rig, open_end: DiskError) -> None:
    """The next call joins it, or finds what it made."""
    assert await outcomes(rig, [(open_end, "one"), (None, "one")]) == [open_end, None]


@pytest.mark.parametrize(
    "end",
    [UnknownOutcome("lost"), Pending("goes on"), TimeoutError(), RuntimeError("bug")],
    ids=["lost", "goes-on", "too-late", "bug"],
)
async def test_a_refusal_is_over_once_another_request_of_the_name_went_out(
    rig: Rig, end: Exception
) -> None:
    """What that one has made may be there, and is looked for."""
    no_right = Denied("no right")
    requests = [(no_right, "small"), (end, "large"), (None, "small")]
    assert await outcomes(rig, requests) == [no_right, end, None]


async def test_while_another_request_of_the_name_runs_nothing_is_final(rig: Rig) -> None:
    """It may be making the disk now."""
    lasting = asyncio.Event()
    with pytest.raises(Denied):
        await fly(rig, Denied("no right"), "small")
    other = rig.begin(rig.deps.fly_unless_refused(("one",), lasting.wait, arguments="large"))
    await asyncio.sleep(0)
    with pytest.raises(Pending):
        await fly(rig, None, "small")
    lasting.set()
    await other


async def fly(rig: Rig, end: Exception | None, arguments: str) -> None:
    """A flight that ends so."""

    async def work() -> None:
        if end is not None:
            raise end

    await rig.deps.fly_unless_refused(("one",), work, arguments=arguments)


async def outcomes(rig: Rig, asked: list[tuple[Exception | None, str]]) -> list[Exception | None]:
    """What one request after the other ends in, without a pause, if its work ends as is said."""
    heard: list[Exception | None] = []
    for end, arguments in asked:
        try:
            await fly(rig, end, arguments)
        except Exception as told:  # noqa: BLE001 - it is compared
            heard.append(told)
        else:
            heard.append(None)
    return heard


async def test_callers_of_one_try_count_as_one(rig: Rig) -> None:
    """Ten that heard the same refusal at once make no longer pause than one."""
    rig.cloud.faults.refuse("find_disks", Denied("no right"), times=100)
    rig.cloud.state.latency.call_s = 0.1
    told = await asyncio.gather(*(rig.create() for _ in range(10)), return_exceptions=True)
    assert {type(one) for one in told} == {Unreadable}
    await asyncio.sleep(0.25)
    with pytest.raises(Unreadable):
        await rig.create()
    assert asked(rig, "find_disks") == 2


async def test_what_nobody_asks_for_any_more_is_forgotten() -> None:
    """A claim that was deleted leaves nothing behind here."""
    refusals = Refusals()

    async def work() -> None:
        raise Denied("no right")

    for number in range(1000):
        with pytest.raises(Denied):
            await refusals.noting(number, work)
        await asyncio.sleep(1)
    assert len(refusals) < 70
