"""Slots by key: how many may work on one thing at once, and who goes first."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Generic, TypeVar

from diskcsi.aio.progress import Work, current_work, in_the_way, waiting

Key = TypeVar("Key", bound=Hashable)


class Priority(IntEnum):
    """Who goes first in a queue. Detaches do: they free what attaches wait for."""

    DETACH = 0
    ATTACH = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStatistics:
    """How busy the slots are, over all keys."""

    keys: int
    held: int
    waiting: int


@dataclass(slots=True)
class _Queue:
    held: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))
    holders: list[Work | None] = field(default_factory=list)
    waiting: dict[Priority, deque[Future[None]]] = field(
        default_factory=lambda: {priority: deque() for priority in Priority}
    )

    @property
    def idle(self) -> bool:
        return not any(self.held.values()) and not any(self.waiting.values())


class Slots(Generic[Key]):
    """Slots for each key; within a priority the order of arrival.

    Args:
        has_room: whether one more of the priority may begin beside those held, given their
            number by priority. It is one rule for all keys.
    """

    def __init__(self, *, has_room: Callable[[Priority, dict[Priority, int]], bool]) -> None:
        self._has_room = has_room
        self._queues: dict[Key, _Queue] = {}

    @classmethod
    def shared(cls, limit: int) -> Slots[Key]:
        """`limit` slots for each key, which all priorities share."""
        return cls(has_room=lambda _priority, held: sum(held.values()) < limit)

    @classmethod
    def separate(cls, limits: dict[Priority, int]) -> Slots[Key]:
        """A number of slots for each key and priority."""
        return cls(has_room=lambda priority, held: held[priority] < limits[priority])

    @asynccontextmanager
    async def hold(self, key: Key, priority: Priority) -> AsyncIterator[None]:
        """Hold one slot of the key."""
        queue = self._queues.setdefault(key, _Queue())
        turn: Future[None] = asyncio.get_running_loop().create_future()
        queue.waiting[priority].append(turn)
        self._serve(queue)
        try:
            with waiting(
                lambda: f"it waits for its turn on {key}, after {in_the_way(queue.holders)}"
            ):
                await turn
            queue.holders.append(work := current_work())
            try:
                yield
            finally:
                queue.holders.remove(work)
        finally:
            if not turn.cancelled():
                queue.held[priority] -= 1
            elif turn in queue.waiting[priority]:
                queue.waiting[priority].remove(turn)
            self._serve(queue)
            if queue.idle:
                self._queues.pop(key, None)

    def statistics(self) -> SlotStatistics:
        """How busy the slots are now."""
        queues = self._queues.values()
        return SlotStatistics(
            keys=len(queues),
            held=sum(sum(queue.held.values()) for queue in queues),
            waiting=sum(len(turns) for queue in queues for turns in queue.waiting.values()),
        )

    def _serve(self, queue: _Queue) -> None:
        for priority in Priority:
            turns = queue.waiting[priority]
            while turns and self._has_room(priority, queue.held):
                turn = turns.popleft()
                if turn.cancelled():
                    continue
                queue.held[priority] += 1
                turn.set_result(None)
