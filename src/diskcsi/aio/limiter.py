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


@dataclass(slots=True)
class _Queue:
    held: dict[Priority, int] = field(default_factory=lambda: dict.fromkeys(Priority, 0))
    holders: list[tuple[Priority, Holder]] = field(default_factory=list)
    waiting: dict[Priority, deque[Future[None]]] = field(
        default_factory=lambda: {priority: deque() for priority in Priority}
    )

    @property
    def idle(self) -> bool:
        return not any(self.held.values()) and not any(self.waiting.values())


class Slots(Generic[Key]):
    """Slots for each key; within a priority the order of arrival. All keys have as many.

    Args:
        limits: the slots of each priority.
        shared: they are the same ones for all priorities.
    """

    def __init__(self, *, limits: Mapping[Priority, int], shared: bool) -> None:
        self._limits = limits
        self._rivals = {one: set(Priority) if shared else {one} for one in Priority}
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
        turn: Future[None] = asyncio.get_running_loop().create_future()
        queue.waiting[priority].append(turn)
        self._serve(queue)
        try:
            with waiting(lambda: self._told(key, priority)):
                await turn
            holder = (priority, Holder())
            queue.holders.append(holder)
            try:
                yield
            finally:
                queue.holders.remove(holder)
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

    def _told(self, key: Key, priority: Priority) -> str:
        holders = self._queues[key].holders
        rivals = [holder for one, holder in holders if one in self._rivals[priority]]
        return f"it waits for its turn on {key}, after {named(rivals)}"

    def _has_room(self, queue: _Queue, priority: Priority) -> bool:
        return sum(queue.held[one] for one in self._rivals[priority]) < self._limits[priority]

    def _serve(self, queue: _Queue) -> None:
        for priority in Priority:
            turns = queue.waiting[priority]
            while turns and self._has_room(queue, priority):
                turn = turns.popleft()
                if turn.cancelled():
                    continue
                queue.held[priority] += 1
                turn.set_result(None)
