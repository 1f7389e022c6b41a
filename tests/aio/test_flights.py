from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from contextvars import ContextVar
from functools import partial

import pytest

from diskcsi.aio.flights import FlightConflict, Flights


async def test_two_callers_of_one_key_share_one_run(tasks: TaskGroup) -> None:
    """Work that changes something runs once, however many ask."""
    flights, runs = Flights(tasks=tasks), 0

    async def work() -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(1)
        return runs

    answers = await asyncio.gather(*(flights.do(("k",), work, budget_s=5) for _ in range(3)))
    assert (answers, runs, flights.running) == ([1, 1, 1], 1, 0)


async def test_a_key_runs_again_after_its_flight_has_landed(tasks: TaskGroup) -> None:
    """A finished result is not kept: the next caller learns the present truth."""
    flights, results = Flights(tasks=tasks), iter("ab")

    async def work() -> str:
        return next(results)

    assert await flights.do(("k",), work, budget_s=5) == "a"
    assert await flights.do(("k",), work, budget_s=5) == "b"


async def test_a_cancelled_caller_does_not_cancel_the_work(tasks: TaskGroup) -> None:
    """The RPC may die, the work may not."""
    flights, finished = Flights(tasks=tasks), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(10)
        finished.set()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await flights.do(("k",), work, budget_s=60)
    async with asyncio.timeout(20):
        await finished.wait()


async def test_other_arguments_are_refused_while_the_flight_runs(tasks: TaskGroup) -> None:
    """A caller must not get the answer to another question."""
    flights, landing = Flights(tasks=tasks), asyncio.Event()

    async def work() -> bool:
        return await landing.wait()

    first = tasks.create_task(flights.do(("k",), work, budget_s=5, arguments=1))
    await asyncio.sleep(0)
    with pytest.raises(FlightConflict):
        await flights.do(("k",), work, budget_s=5, arguments=2)
    landing.set()
    assert await first


async def test_an_error_reaches_every_caller_and_not_the_group(tasks: TaskGroup) -> None:
    """One failed operation must not end the driver."""
    flights = Flights(tasks=tasks)

    async def work() -> None:
        await asyncio.sleep(1)
        raise LookupError("gone")

    outcomes = await asyncio.gather(
        *(flights.do(("k",), work, budget_s=5) for _ in range(2)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [LookupError, LookupError]


async def test_a_flight_ends_when_its_budget_is_used_up(tasks: TaskGroup) -> None:
    """Everything that waits has a deadline, and the flight's own is not the caller's."""
    flights = Flights(tasks=tasks)
    with pytest.raises(TimeoutError):
        await flights.do(("k",), asyncio.Event().wait, budget_s=3)
    assert asyncio.get_running_loop().time() == pytest.approx(3)
    assert flights.running == 0


async def test_work_sees_the_context_of_the_first_caller(tasks: TaskGroup) -> None:
    """Log context bound around the call is there inside the work."""
    flights, who = Flights(tasks=tasks), ContextVar("who", default="nobody")

    async def work() -> str:
        return who.get()

    who.set("first")
    assert await flights.do(("k",), work, budget_s=5) == "first"


async def test_drain_waits_for_flights_within_its_grace(tasks: TaskGroup) -> None:
    """What can finish in time does; the rest is counted."""
    flights = Flights(tasks=tasks)
    assert await flights.drain(grace_s=1) == 0
    calls = [
        tasks.create_task(
            flights.do((f"{seconds} s",), partial(asyncio.sleep, seconds), budget_s=60)
        )
        for seconds in (1, 9)
    ]
    await asyncio.sleep(0)
    assert await flights.drain(grace_s=2) == 1
    await asyncio.gather(*calls)


async def test_a_flight_that_never_took_off_holds_nobody() -> None:
    """The application ended in the moment it was begun."""

    async def end() -> None:
        raise KeyError("the application ends")

    caller: asyncio.Task[bool] | None = None
    with pytest.raises(ExceptionGroup):
        async with TaskGroup() as group:
            flights = Flights(tasks=group)
            group.create_task(end())
            caller = asyncio.get_running_loop().create_task(
                flights.do(("k",), asyncio.Event().wait, budget_s=60)
            )
    assert caller is not None
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(1):
            await caller
    assert flights.running == 0


async def test_callers_see_a_cancellation_when_the_application_ends() -> None:
    """A shutdown that overtakes a flight is told apart from a failure of the work."""

    async def end() -> None:
        raise KeyError("the application ends")

    caller: asyncio.Task[bool] | None = None
    with pytest.raises(ExceptionGroup):
        async with TaskGroup() as group:
            flights = Flights(tasks=group)
            caller = asyncio.get_running_loop().create_task(
                flights.do(("k",), asyncio.Event().wait, budget_s=60)
            )
            await asyncio.sleep(1)
            group.create_task(end())
    assert caller is not None
    with pytest.raises(asyncio.CancelledError):
        await caller
