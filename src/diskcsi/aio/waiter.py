"""Waits for a condition on a remote thing: one look serves everyone who waits.

Each wait has its own predicate and its own rhythm; a look is one call for many keys, and waits
that are not due yet ride along. A look that fails for a passing reason is taken again later; it
never fails the waits.
"""

from __future__ import annotations

import asyncio
from asyncio import Event, Future, TaskGroup
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Final, Generic, TypeVar

from diskcsi.aio.progress import Progress, current_progress
from diskcsi.aio.rhythm import Rhythm

Key = TypeVar("Key", bound=Hashable)
State = TypeVar("State")

SHORTEST_GAP_S: Final = 0.2
"""Between the begins of two looks: at most five calls a second, whatever waits."""

LONGEST_GAP_S: Final = 2.0
"""Between looks while the remote side refuses them. One look serves all who wait, so half a call a
second is gentle; longer gaps would eat into the fifteen seconds that callers wait."""

CLOCK_GRAIN_S: Final = 0.001
"""What is due within a clock tick is due: a timer may fire that much before its time."""

MAX_LOOKS: Final = 4
"""Looks under way at once, so that slow answers don't pile up calls."""


@dataclass(eq=False, slots=True)
class _Wait(Generic[Key, State]):
    key: Key
    until: Callable[[State | None], bool]
    rhythm: Rhythm
    fresh: bool
    begun_s: float
    first_due_s: float
    due_s: float
    done: Future[State | None]
    progress: Progress | None
    seen_after_s: float = 0.0

    def refused(self, refusal: Exception | None) -> None:
        """Looks run beside the work that waits, which is to know why they tell it nothing."""
        if self.progress is not None:
            self.progress.refused(refusal)


class Waiter(Generic[Key, State]):
    """Waits over one remote side.

    Args:
        look: the states by key; a missing key is absent, an exception as a value is that key's
            own.
        tasks: owns the looks.
        transient: what a look may raise and be taken again.
        max_entries: keys that one look carries at no further cost.
    """

    def __init__(
        self,
        *,
        look: Callable[[Collection[Key]], Awaitable[Mapping[Key, State | Exception]]],
        tasks: TaskGroup,
        transient: tuple[type[Exception], ...],
        random: Random,
        max_entries: int = 100,
    ) -> None:
        self._look = look
        self._tasks = tasks
        self._transient = transient
        self._random = random
        self._max_entries = max_entries
        self._rhythms: dict[str, Rhythm] = {}
        self._waits: set[_Wait[Key, State]] = set()
        self._changed = Event()
        self._polling = False
        self._looks = 0
        self._gap_s = SHORTEST_GAP_S
        self._next_look_s = -inf

    async def wait(
        self,
        key: Key,
        until: Callable[[State | None], bool],
        *,
        kind: str,
        fresh: bool = True,
    ) -> State | None:
        """Look until `until` holds for the state of `key`; the state that satisfied it.

        The wait has no deadline of its own: put `asyncio.timeout` around it.

        Args:
            key: what to look at.
            until: told the state, or None when the key is absent; what it raises ends the wait.
            kind: names the operation, whose usual time is learned.
            fresh: the operation began just now. Otherwise the first look comes at once, and
                nothing is learned from this wait.
        """
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        rhythm = self._rhythms.setdefault(kind, Rhythm())
        first_due_s = now_s + (rhythm.first_look_s() if fresh else 0.0)
        wait = _Wait(
            key=key,
            until=until,
            rhythm=rhythm,
            fresh=fresh,
            begun_s=now_s,
            first_due_s=first_due_s,
            due_s=first_due_s,
            done=loop.create_future(),
            progress=current_progress(),
        )
        self._waits.add(wait)
        self._wake()
        try:
            return await wait.done
        finally:
            self._waits.discard(wait)

    def _wake(self) -> None:
        self._changed.set()
        if not self._polling:
            self._polling = True
            self._tasks.create_task(self._poll(), name="waiter")

    async def _poll(self) -> None:
        try:
            while self._waits:
                self._changed.clear()
                pause_s = self._pause_s()
                if pause_s > CLOCK_GRAIN_S or self._looks >= MAX_LOOKS:
                    await self._changed_within(pause_s if self._looks < MAX_LOOKS else None)
                    continue
                self._begin_look()
        finally:
            self._polling = False

    def _pause_s(self) -> float:
        due_s = min(wait.due_s for wait in self._waits)
        return max(due_s, self._next_look_s) - asyncio.get_running_loop().time()

    async def _changed_within(self, pause_s: float | None) -> None:
        try:
            async with asyncio.timeout(None if pause_s in (None, inf) else pause_s):
                await self._changed.wait()
        except TimeoutError:
            pass  # something is due

    def _begin_look(self) -> None:
        now_s = asyncio.get_running_loop().time()
        ranked = sorted(self._waits, key=lambda wait: wait.due_s)
        chosen = [wait for wait in ranked[: self._max_entries] if wait.due_s < inf]
        for wait in chosen:
            wait.due_s = inf  # until this look has told
        self._next_look_s = now_s + self._gap_s
        self._looks += 1
        self._tasks.create_task(self._take(chosen, now_s), name="look")

    async def _take(self, waits: Collection[_Wait[Key, State]], begun_s: float) -> None:
        try:
            states = await self._look(list(dict.fromkeys(wait.key for wait in waits)))
        except self._transient as refusal:
            self._slow_down(waits, refusal)
        except Exception as exc:  # noqa: BLE001 - it goes to the waits, never to the group
            for wait in waits:
                if not wait.done.done():
                    wait.done.set_exception(exc)
        else:
            self._gap_s = max(self._gap_s / 2, SHORTEST_GAP_S)
            for wait in waits:
                if not wait.done.done():
                    self._judge(wait, states.get(wait.key), begun_s)
        finally:
            self._looks -= 1
            self._changed.set()

    def _slow_down(self, waits: Collection[_Wait[Key, State]], refusal: Exception) -> None:
        now_s = asyncio.get_running_loop().time()
        self._gap_s = min(self._gap_s * 2, LONGEST_GAP_S)
        self._next_look_s = now_s + self._gap_s * self._random.uniform(0.5, 1.0)
        for wait in waits:
            wait.due_s = now_s
            wait.refused(refusal)

    def _judge(
        self, wait: _Wait[Key, State], state: State | Exception | None, looked_s: float
    ) -> None:
        if isinstance(state, self._transient):
            wait.due_s = looked_s + LONGEST_GAP_S
            wait.refused(state)
            return
        if isinstance(state, Exception):
            wait.done.set_exception(state)
            return
        wait.refused(None)
        elapsed_s = max(looked_s - wait.begun_s, 0.0)
        try:
            over = wait.until(state)
        except Exception as exc:  # noqa: BLE001 - it is this wait's own
            wait.done.set_exception(exc)
            return
        if not over:
            wait.seen_after_s = elapsed_s
            # a look that it only rode along with, before its own first one, is no reason to hurry
            wait.due_s = max(looked_s + wait.rhythm.step_s(elapsed_s), wait.first_due_s)
            return
        if wait.fresh:
            wait.rhythm.learn(after_s=wait.seen_after_s, by_s=elapsed_s)
        wait.done.set_result(state)
