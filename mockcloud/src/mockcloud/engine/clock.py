"""Time, and what is to happen at a time.

Every slow change of the cloud is an event with a due time. With the real clock a task carries
events out when they are due; with the fake one a test moves time and they happen in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

Effect = Callable[[], Awaitable[None]]


class Clock(Protocol):
    """Seconds since the epoch."""

    def time(self) -> float:
        """Now."""
        ...


class RealClock:
    """The machine's time."""

    def time(self) -> float:
        """Now."""
        return time.time()


class FakeClock:
    """A time that moves when told."""

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        self._now = start

    def time(self) -> float:
        """Now."""
        return self._now

    def set(self, now: float) -> None:
        """Move to a time."""
        self._now = now


def utc(seconds: float) -> datetime:
    """A time as a date in UTC."""
    return datetime.fromtimestamp(seconds, tz=UTC)


class Schedule:
    """Events in the order of their due times."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._events: list[tuple[float, int, Effect]] = []
        self._count = 0
        self._changed = asyncio.Event()
        self._running = asyncio.Lock()
        self._run_began: float | None = None

    def after(self, delay_s: float, effect: Effect) -> None:
        """Let `effect` happen in `delay_s` seconds; with 0 in the run that goes on now, if one does."""
        now = self._clock.time()
        due_at = now + delay_s if delay_s or self._run_began is None else self._run_began
        self._count += 1
        heapq.heappush(self._events, (due_at, self._count, effect))
        self._changed.set()

    async def run_due(self) -> None:
        """Carry out every event that is due now, in order, and what those bring about at once.

        What comes due meanwhile waits for the next run: events that take longer than until they are
        tried again would never let a run end.
        """
        async with self._running:
            self._run_began = self._clock.time()
            try:
                while self._events and self._events[0][0] <= self._run_began:
                    await self._carry_out(heapq.heappop(self._events)[2])
            finally:
                self._run_began = None

    async def _carry_out(self, effect: Effect) -> None:
        try:
            await effect()
        except Exception:
            # one disk's trouble must not stop the time of all others
            logging.getLogger(__name__).exception("what a call had begun failed here")

    @contextlib.asynccontextmanager
    async def at_rest(self) -> AsyncIterator[None]:
        """While the block runs no event does: the one that ran has ended."""
        async with self._running:
            yield

    async def run_forever(self) -> None:
        """Carry events out as they become due."""
        while True:
            await self.run_due()
            self._changed.clear()
            wait_s = self._events[0][0] - self._clock.time() if self._events else None
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def advance(self, clock: FakeClock, seconds: float) -> None:
        """Move a fake clock, letting each event on the way happen at its own time."""
        end = clock.time() + seconds
        while self._events and self._events[0][0] <= end:
            clock.set(max(self._events[0][0], clock.time()))
            await self.run_due()
        clock.set(end)
