"""Slots by key: how many may work on one thing at once, and who goes first."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Generic, TypeVar

from diskcsi.aio.progress import Holder, named, waiting

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


@dataclass(frozen=True, slots=True, eq=False)
class _Turn:
    priority: Priority
    granted: Future[None]
    holder: Holder


@dataclass(slots=True)
class _Queue:
    held: list[_Turn] = field(default_factory=list)
    waiting: dict[Priority, deque[_Turn]] = field(
        default_factory=lambda: {priority: deque() for priority in Priority}
    )

    @property
    def idle(self) -> bool:
        return not self.held and not any(self.waiting.values())


class Slots(Generic[Key]):
    """Slots for each key; within a priority the order of arrival. All keys have as many.

    Args:
        limits: the slots of each priority.
        shared: they are the same ones for all priorities.
    """

    def __init__(self, *, limits: Mapping[Priority, int], shared: bool) -> None:
        self._limits = limits
        self._shared = shared
        self._queues: dict[Key, _Queue] = {}

    @classmethod
    def shared(cls, limit: int) -> Slots[Key]:
        """`limit` slots for each key, which all priorities share."""
        return cls(limits=dict.fromkeys(Priority, limit), shared=True)

    @classmethod
    def separate(cls, limits: Mapping[Priority, int]) -> Slots[Key]:
        """A number of slots for each key and priority."""
        return cls(limits=limits, shared=False)

    @asynccontextmanager
    async def hold(self, key: Key, priority: Priority) -> AsyncIterator[None]:
        """Hold one slot of the key."""
        queue = self._queues.setdefault(key, _Queue())
        turn = _Turn(priority, asyncio.get_running_loop().create_future(), Holder())
        queue.waiting[priority].append(turn)
        self._serve(queue)
        try:
            with waiting(lambda: self._told(queue, key, priority)):
                await turn.granted
            yield
        finally:
            for place in (queue.held, queue.waiting[priority]):
                if turn in place:
                    place.remove(turn)
            self._serve(queue)
            # one that was cancelled may come here when another has taken the queue away already
            if queue.idle and self._queues.get(key) is queue:
                del self._queues[key]

    def statistics(self) -> SlotStatistics:
        """How busy the slots are now."""
        queues = self._queues.values()
        return SlotStatistics(
            keys=len(queues),
            held=sum(len(queue.held) for queue in queues),
            waiting=sum(len(turns) for queue in queues for turns in queue.waiting.values()),
        )

    def _told(self, queue: _Queue, key: Key, priority: Priority) -> str:
        rivals = self._rivals_among(queue.held, priority)
        return f"it waits for its turn on {key}, after {named(turn.holder for turn in rivals)}"

    def _rivals_among(self, held: list[_Turn], priority: Priority) -> list[_Turn]:
        return [turn for turn in held if self._shared or turn.priority is priority]

    def _serve(self, queue: _Queue) -> None:
        for priority in Priority:
            turns, limit = queue.waiting[priority], self._limits[priority]
            while turns and len(self._rivals_among(queue.held, priority)) < limit:
                turn = turns.popleft()
                if turn.granted.cancelled():
                    continue
                turn.holder.begin()
                turn.granted.set_result(None)
                queue.held.append(turn)
