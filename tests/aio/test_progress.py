from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random

import pytest

from diskcsi.aio.flights import Flights
from diskcsi.aio.limiter import Priority, Slots
from diskcsi.aio.locks import KeyedLock
from diskcsi.aio.progress import Progress, in_time, note_refusal, waiting
from diskcsi.aio.waiter import Waiter


class BusyError(Exception):
    """The remote side refuses, for now."""


async def nothing() -> None:
    """Wait for what never comes."""
    await asyncio.Event().wait()


@asynccontextmanager
async def running(
    name: str, work: Callable[[], Awaitable[object]]
) -> AsyncIterator[tuple[Progress, asyncio.Future[object]]]:
    """Work of this name, which is cancelled at the end."""
    progress = Progress(name)
    with progress.current():
        task = asyncio.ensure_future(work())
    try:
        yield progress, task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def told_after(seconds: float, work: Callable[[], Awaitable[object]], name: str) -> str:
    """What work of this name says when that time is over."""
    async with running(name, work) as (progress, _):
        await asyncio.sleep(seconds)
        return progress.told()


def within(
    place: AbstractAsyncContextManager[None], seconds: float
) -> Callable[[], Awaitable[object]]:
    """Work that enters the place, and stays for so long."""

    async def work() -> None:
        async with place:
            await asyncio.sleep(seconds)

    return work


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

    async with running("voyage", work) as (progress, _):
        await asyncio.sleep(4)
        refused = progress.told()
        await asyncio.sleep(2)
        assert (refused, progress.told()) == (
            "voyage isn't done after 4 s; the last try was told: no berth",
            "voyage isn't done after 6 s; it waits for wind",
        )


async def test_a_refusal_within_a_wait_ends_with_it() -> None:
    """What comes after was not refused so."""

    async def work() -> None:
        with waiting(lambda: "it waits for wind"):
            note_refusal(BusyError("no berth"))
        await nothing()

    assert await told_after(2, work, "voyage") == "voyage isn't done after 2 s"


@pytest.mark.parametrize(
    ("refusal", "words"),
    [(TimeoutError(), "no answer in time"), (BusyError(), "BusyError")],
    ids=["timeout", "silent"],
)
async def test_a_refusal_without_words_is_told_in_words(refusal: Exception, words: str) -> None:
    """Some errors are raised bare."""

    async def work() -> None:
        note_refusal(refusal)
        await nothing()

    assert (await told_after(1, work, "voyage")).endswith(f"the last try was told: {words}")


async def test_a_wait_outside_of_any_work_is_a_wait_all_the_same() -> None:
    """Code that waits needs not know whether anybody listens."""
    note_refusal(BusyError("no berth"))
    with waiting(lambda: "nobody hears this"):
        await asyncio.sleep(1)


async def test_who_waits_for_a_key_names_who_holds_it_and_for_how_long() -> None:
    """Not how long that one runs: it may have stood in line itself."""
    lock = KeyedLock[str]()
    async with (
        running("snapshot of d-1", within(lock.hold("d-1"), 50)),
        running("growth of d-1", within(lock.hold("d-1"), 50)),
    ):
        await asyncio.sleep(53)
        told = await told_after(1, within(lock.hold("d-1"), 1), "attach of d-1")
    assert told == "attach of d-1 isn't done after 1 s; it waits for growth of d-1 (4 s)"


async def test_who_waits_for_a_slot_names_who_is_in_the_way() -> None:
    """The first ones are enough; and a drain of many disks that are well looks like one."""
    slots = Slots[str].shared(1)
    async with (
        running("detach of d-1", within(slots.hold("i-1", Priority.DETACH), 50)),
        running("detach of d-2", within(slots.hold("i-1", Priority.DETACH), 50)),
    ):
        await asyncio.sleep(53)
        told = await told_after(1, within(slots.hold("i-1", Priority.ATTACH), 1), "attach of d-9")
    assert told == (
        "attach of d-9 isn't done after 1 s; it waits for its turn on i-1, after detach of d-2 (4 s)"
    )


async def test_of_many_in_the_way_a_few_are_named() -> None:
    """Thirty ids in one message help nobody."""
    slots = Slots[str].shared(5)
    async with asyncio.TaskGroup() as tasks:
        for place in range(5):
            with Progress(f"attach of d-{place}").current():
                tasks.create_task(within(slots.hold("i-1", Priority.ATTACH), 9)())  # type: ignore[arg-type]
        await asyncio.sleep(1)
        told = await told_after(1, within(slots.hold("i-1", Priority.ATTACH), 1), "attach of d-9")
    assert told.endswith(
        "after attach of d-0 (2 s), attach of d-1 (2 s), attach of d-2 (2 s) and 2 more"
    )


async def test_who_has_other_slots_is_not_in_the_way() -> None:
    """Where attaches and detaches have slots of their own, neither waits for the other."""
    slots = Slots[str].separate({Priority.ATTACH: 1, Priority.DETACH: 1})
    async with (
        running("detach of d-1", within(slots.hold("i-1", Priority.DETACH), 50)),
        running("attach of d-2", within(slots.hold("i-1", Priority.ATTACH), 50)),
    ):
        await asyncio.sleep(2)
        told = await told_after(1, within(slots.hold("i-1", Priority.ATTACH), 1), "attach of d-9")
    assert told.endswith("on i-1, after attach of d-2 (3 s)")


async def test_a_caller_of_a_flight_hears_what_it_waits_for(tasks: TaskGroup) -> None:
    """Whoever joined it, and although it belongs to another caller."""
    flights, landing = Flights(tasks=tasks), asyncio.Event()

    async def work() -> None:
        with waiting(lambda: "the cloud thinks"):
            await landing.wait()

    key = ("attach of", "d-1", "to", "i-1")
    first = tasks.create_task(flights.do(key, work, budget_s=60))
    await asyncio.sleep(10)
    told = await told_after(5, lambda: flights.do(key, work, budget_s=60), "a call")
    assert told == (
        "a call isn't done after 5 s; attach of d-1 to i-1 isn't done after 15 s;"
        " the cloud thinks; it goes on, and the next call joins it"
    )
    landing.set()
    await first


async def test_a_flight_whose_budget_is_used_up_says_where_it_got_stuck(tasks: TaskGroup) -> None:
    """Whatever is waited for on the way out."""

    async def work() -> None:
        try:
            with waiting(lambda: "e2fsck runs on /dev/vdb"):
                await nothing()
        finally:
            with waiting(lambda: "the device is closed"):
                await asyncio.sleep(1)

    with pytest.raises(TimeoutError) as end:
        await Flights(tasks=tasks).do(("stage of", "d-1"), work, budget_s=30)
    assert str(end.value) == (
        "stage of d-1 isn't done after 30 s; e2fsck runs on /dev/vdb;"
        " its time is over, and the next call begins anew"
    )


async def test_work_that_gives_up_by_itself_keeps_its_words() -> None:
    """A tool's own end says more than that the work wasn't done."""

    async def work() -> None:
        raise TimeoutError("mkfs.ext4 /dev/vdb: no end in 270 s, it was killed")

    with pytest.raises(TimeoutError, match="it was killed"):
        await in_time(work, 30, told=lambda: "it isn't done")


async def test_work_that_is_done_in_time_is_not_asked() -> None:
    """Nobody pays for words that nobody hears."""
    asked: list[str] = []

    async def work() -> str:
        await asyncio.sleep(1)
        return "done"

    def told() -> str:
        asked.append("asked")
        return ""

    assert await in_time(work, 2, told=told) == "done"
    await asyncio.sleep(5)
    assert asked == []


@pytest.mark.parametrize("whole", [True, False], ids=["the look", "this key of it"])
async def test_looks_that_fail_are_told_to_the_work_that_waits_for_them(
    tasks: TaskGroup, *, whole: bool
) -> None:
    """The looks are shared and run elsewhere; who waits hears why they tell it nothing."""
    refused = True

    async def look(keys: Collection[str]) -> Mapping[str, str | Exception]:
        if refused and whole:
            raise BusyError("too many calls")
        return dict.fromkeys(keys, BusyError("too many calls") if refused else "attaching")

    looked = asyncio.Event()

    def until(_: str | None) -> bool:
        again = looked.is_set()
        looked.set()
        return again

    waiter = Waiter[str, str](look=look, tasks=tasks, transient=(BusyError,), random=Random(1))
    async with running("attach of d-1", lambda: waiter.wait("d-1", until, kind="attach")) as (
        progress, wait,
    ):  # fmt: skip
        await asyncio.sleep(10)
        assert progress.told().endswith("10 s; the last try was told: too many calls")
        refused = False
        await looked.wait()
        assert "too many calls" not in progress.told()
        await wait
