"""Single flight: the caller may go away, the work may not.

Work that changes something runs as a *flight*, a task of the application's own group. Whoever asks
for the same key while it runs gets the same result; a cancelled caller only stops listening.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, TaskGroup
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from diskcsi.aio.progress import Progress, in_time, waiting

Result = TypeVar("Result")

Key = tuple[str, ...]
"""What a flight does to what: words and ids, which read as its name when they are put together."""


def name_of(key: Key) -> str:
    """The key as people read it."""
    return " ".join(key)


class FlightConflict(Exception):  # noqa: N818 - reads as what happened
    """A flight of this key runs with other arguments."""


@dataclass(frozen=True, slots=True)
class _Flight:
    key: Key
    outcome: Future[Any]
    arguments: object
    progress: Progress

    def told(self) -> str:
        return f"{self.progress.told()}; it goes on, and the next call joins it"

    def given_up(self) -> str:
        return f"{self.progress.told()}; its time is over, and the next call begins anew"


class Flights:
    """The flights of one application; they live in the given task group."""

    def __init__(self, *, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._now: dict[Key, _Flight] = {}

    @property
    def running(self) -> int:
        """How many flights run now."""
        return len(self._now)

    async def do(
        self,
        key: Key,
        work: Callable[[], Awaitable[Result]],
        *,
        budget_s: float,
        arguments: object = None,
    ) -> Result:
        """The result of `work`, begun now or running already under `key`.

        The work has its own budget in seconds, counted from its own beginning. It runs in a copy
        of the first caller's context.

        Raises:
            FlightConflict: the running flight has other `arguments`.
            TimeoutError: the budget is used up; it tells what the work was waiting for.
            Exception: whatever `work` raised; every caller gets the same object.
        """
        flight = self._now.get(key)
        if flight is None:
            flight = self._begin(key, work, budget_s=budget_s, arguments=arguments)
        elif flight.arguments != arguments:
            raise FlightConflict(f"{name_of(key)} is still running with other arguments")
        outcome: Future[Result] = flight.outcome
        with waiting(flight.told):
            return await asyncio.shield(outcome)

    async def drain(self, *, grace_s: float) -> int:
        """Wait until no flight runs, or the grace is over; how many still run."""
        outcomes = [flight.outcome for flight in self._now.values()]
        if outcomes:
            await asyncio.wait(outcomes, timeout=grace_s)
        return self.running

    def _begin(
        self,
        key: Key,
        work: Callable[[], Awaitable[Result]],
        *,
        budget_s: float,
        arguments: object,
    ) -> _Flight:
        outcome: Future[Result] = asyncio.get_running_loop().create_future()
        outcome.add_done_callback(_look)  # nobody may be listening any more
        flight = self._now[key] = _Flight(key, outcome, arguments, Progress(name_of(key)))
        task = self._tasks.create_task(
            self._run(flight, work, budget_s), name=f"flight {flight.progress.name}"
        )
        task.add_done_callback(lambda _: self._land(flight))
        return flight

    def _land(self, flight: _Flight) -> None:
        """Let the callers go even if the flight was cancelled before its first step."""
        flight.outcome.cancel()
        if self._now.get(flight.key) is flight:
            del self._now[flight.key]

    async def _run(
        self, flight: _Flight, work: Callable[[], Awaitable[Result]], budget_s: float
    ) -> None:
        outcome: Future[Result] = flight.outcome
        try:
            with flight.progress.current():
                result = await in_time(work, budget_s, told=flight.given_up)
        except Exception as exc:  # noqa: BLE001 - it goes to the callers, never to the group
            outcome.set_exception(exc)
        except BaseException:  # shutdown: the callers see a cancellation
            outcome.cancel()
            raise
        else:
            outcome.set_result(result)
        finally:
            del self._now[flight.key]


def _look(outcome: Future[Any]) -> None:
    if not outcome.cancelled():
        outcome.exception()
