from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import Awaitable, Callable, Collection, Mapping
from random import Random

import pytest

from diskcsi.aio.flights import Flights
from diskcsi.aio.limiter import Priority, Slots
from diskcsi.aio.locks import KeyedLock
from diskcsi.aio.progress import Work, note_refusal, waiting
from diskcsi.aio.waiter import Waiter


class BusyError(Exception):
    """The remote side refuses, for now."""


async def nothing() -> None:
    """Wait for what never comes."""
    await asyncio.Event().wait()


async def told_after(seconds: float, work: Callable[[], Awaitable[object]], name: str) -> str:
    """What work of this name says when that time is over."""
    what = Work(name)
    with what.current():
        task = asyncio.ensure_future(work())
        await asyncio.sleep(seconds)
    told = what.told()
    task.cancel()
    await asyncio.wait({task})
    return told


async def test_work_says_how_long_it_runs_and_what_it_waits_for() -> None:
    """The wait that began last is the one that holds it up."""

    async def work() -> None:
        with waiting(lambda: "it waits for the ship"), waiting(lambda: "the ship waits for wind"):
            await nothing()

    told = await told_after(7, work, "voyage")
    assert told == "voyage isn't done after 7 s; the ship waits for wind"


async def test_a_wait_that_is_over_is_told_no_more() -> None:
    """What is told is true when it is told."""

    async def work() -> None:
        with waiting(lambda: "it waits for the ship"):
            await asyncio.sleep(1)
        await nothing()

    assert await told_after(2, work, "voyage") == "voyage isn't done after 2 s"


async def test_a_refusal_is_told_until_the_work_has_got_further() -> None:
    """An old refusal beside a wait that is well would point to the wrong place."""

    async def work() -> None:
        note_refusal(BusyError("no berth"))
        await asyncio.sleep(5)
        with waiting(lambda: "it waits for wind"):
            await nothing()

    refused = await told_after(4, work, "voyage")
    assert refused == "voyage isn't done after 4 s; the last try was told: no berth"
    assert await told_after(6, work, "voyage") == "voyage isn't done after 6 s; it waits for wind"


async def test_a_wait_outside_of_any_work_is_a_wait_all_the_same() -> None:
    """Code that waits needs not know whether anybody listens."""
    note_refusal(BusyError("no berth"))
    with waiting(lambda: "nobody hears this"):
        await asyncio.sleep(1)


async def test_who_waits_for_a_key_names_who_holds_it() -> None:
    """An operation on a volume that is held up by another one can say by which."""
    lock = KeyedLock[str]()

    async def work() -> None:
        async with lock.hold("d-1"):
            await nothing()

    with Work("growth of d-1").current():
        holder = asyncio.ensure_future(work())
    await asyncio.sleep(3)
    told = await told_after(1, work, "attach of d-1")
    assert told == "attach of d-1 isn't done after 1 s; it waits for growth of d-1 (4 s)"
    holder.cancel()
    await asyncio.wait({holder})


async def test_who_waits_for_a_slot_names_who_is_in_the_way() -> None:
    """The first ones are enough: it is the oldest that hangs."""
    slots = Slots[str].shared(4)

    async def work() -> None:
        async with slots.hold("i-1", Priority.ATTACH):
            await nothing()

    holders = []
    for place in range(4):
        with Work(f"attach of d-{place}").current():
            holders.append(asyncio.ensure_future(work()))
        await asyncio.sleep(1)
    told = await told_after(1, work, "attach of d-9")
    assert told == (
        "attach of d-9 isn't done after 1 s; it waits for its turn on i-1, after"
        " attach of d-0 (5 s), attach of d-1 (4 s), attach of d-2 (3 s) and 1 more"
    )
    for holder in holders:
        holder.cancel()
    await asyncio.wait(holders)


async def test_a_caller_of_a_flight_hears_of_it_what_it_waits_for(tasks: TaskGroup) -> None:
    """Whoever joined it, and although it belongs to another caller."""
    flights, landing = Flights(tasks=tasks), asyncio.Event()

    async def work() -> None:
        with waiting(lambda: "the cloud thinks"):
            await landing.wait()

    first = tasks.create_task(flights.do("attach of d-1", work, budget_s=60))
    await asyncio.sleep(10)
    told = await told_after(
        5, lambda: flights.do("attach of d-1", work, budget_s=60), "ControllerPublishVolume"
    )
    assert told.endswith(
        "; attach of d-1 isn't done after 15 s; the cloud thinks;"
        " it goes on, and the next call joins it"
    )
    landing.set()
    await first


async def test_a_flight_whose_budget_is_used_up_says_where_it_got_stuck(tasks: TaskGroup) -> None:
    """The innermost wait, although all of them are over by then."""

    async def work() -> None:
        with waiting(lambda: "it waits for the ship"), waiting(lambda: "the ship waits for wind"):
            await nothing()

    with pytest.raises(TimeoutError) as end:
        await Flights(tasks=tasks).do("voyage", work, budget_s=30)
    assert str(end.value) == (
        "voyage isn't done after 30 s; the ship waits for wind;"
        " it is given up, and the next call begins anew"
    )


async def test_looks_that_fail_are_told_to_the_work_that_waits_for_them(tasks: TaskGroup) -> None:
    """The looks are shared and run elsewhere; who waits hears why they tell it nothing."""
    refused = True

    async def look(keys: Collection[str]) -> Mapping[str, str | Exception]:
        if refused:
            raise BusyError("too many calls")
        return dict.fromkeys(keys, "attaching")

    waiter = Waiter[str, str](look=look, tasks=tasks, transient=(BusyError,), random=Random(1))
    what = Work("attach of d-1")
    with what.current():
        wait = tasks.create_task(waiter.wait("d-1", lambda _: not refused, kind="attach"))
    await asyncio.sleep(10)
    assert what.told().endswith("10 s; the last try was told: too many calls")
    refused = False
    await wait
    assert "too many calls" not in what.told()
