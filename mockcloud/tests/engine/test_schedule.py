from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from mockcloud.engine.clock import FakeClock, Schedule


def noting(seen: list[str], word: str) -> Callable[[], Awaitable[None]]:
    """An event that says its word."""

    async def effect() -> None:
        seen.append(word)

    return effect


async def test_events_happen_in_the_order_of_their_times() -> None:
    """However they were put in; those of one time in the order they were."""
    clock, seen = FakeClock(), list[str]()
    schedule = Schedule(clock=clock)
    for delay_s, word in ((3, "c"), (1, "a"), (2, "b1"), (2, "b2")):
        schedule.after(delay_s, noting(seen, word))
    await schedule.advance(clock, 3)
    assert seen == ["a", "b1", "b2", "c"]


async def test_nothing_happens_before_its_time() -> None:
    """Not a moment early."""
    clock, seen = FakeClock(), list[str]()
    schedule = Schedule(clock=clock)
    schedule.after(5, noting(seen, "late"))
    await schedule.advance(clock, 4.9)
    assert seen == []


async def test_each_event_sees_its_own_time() -> None:
    """When time is moved past several at once."""
    clock, seen = FakeClock(0), list[float]()
    schedule = Schedule(clock=clock)

    async def effect() -> None:
        seen.append(clock.time())
        if len(seen) < 3:
            schedule.after(2, effect)

    schedule.after(1, effect)
    await schedule.advance(clock, 10)
    assert (seen, clock.time()) == ([1, 3, 5], 10)


async def test_a_run_ends_though_its_events_come_due_again_meanwhile() -> None:
    """Or whoever waits for its end, as each call does, would wait for ever."""
    clock, seen = FakeClock(0), list[float]()
    schedule = Schedule(clock=clock)

    async def slow() -> None:
        seen.append(clock.time())
        clock.set(clock.time() + 1)
        if len(seen) < 9:
            schedule.after(0.5, slow)

    for _ in range(2):
        schedule.after(0, slow)
    await schedule.run_due()
    assert seen == [0, 1]


async def test_what_an_event_brings_about_at_once_is_of_the_same_run() -> None:
    """A call without latencies answers when all of it has happened, however long that took."""
    clock, seen = FakeClock(0), list[str]()
    schedule = Schedule(clock=clock)

    async def first() -> None:
        clock.set(1)
        schedule.after(0, noting(seen, "second"))

    schedule.after(0, first)
    await schedule.run_due()
    assert seen == ["second"]


async def test_an_event_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """Its trouble is logged."""
    clock, seen = FakeClock(), list[str]()
    schedule = Schedule(clock=clock)

    async def broken() -> None:
        raise RuntimeError("no room")

    schedule.after(1, broken)
    schedule.after(1, noting(seen, "next"))
    await schedule.advance(clock, 1)
    assert seen == ["next"]
    assert "no room" in caplog.text


@pytest.mark.looptime
async def test_with_the_real_time_events_happen_by_themselves() -> None:
    """One that is put in later but is due earlier is not overslept."""

    class LoopClock:
        def time(self) -> float:
            return asyncio.get_running_loop().time()

    schedule, seen, done = Schedule(clock=LoopClock()), list[str](), asyncio.Event()

    async def last() -> None:
        seen.append("late")
        done.set()

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(schedule.run_forever())
        schedule.after(10, last)
        await asyncio.sleep(1)
        schedule.after(2, noting(seen, "early"))
        await done.wait()
        running.cancel()
    assert seen == ["early", "late"]


async def test_at_rest_no_event_is_half_done() -> None:
    """Whoever ends the cloud waits for the one that runs."""
    clock, seen, go = FakeClock(), list[str](), asyncio.Event()
    schedule = Schedule(clock=clock)

    async def slow() -> None:
        seen.append("begun")
        await go.wait()
        seen.append("ended")

    schedule.after(0, slow)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(schedule.run_due())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(go.set)
        async with schedule.at_rest():
            assert seen == ["begun", "ended"]
