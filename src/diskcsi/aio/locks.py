"""Locks by key, which leave nothing behind when the last holder has gone."""

from __future__ import annotations

from asyncio import Lock
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from diskcsi.aio.progress import Holder, waiting

Key = TypeVar("Key", bound=Hashable)


@dataclass(slots=True)
class _Entry:
    lock: Lock = field(default_factory=Lock)
    interested: int = 0
    holder: Holder | None = None


class KeyedLock(Generic[Key]):
    """One queue per key, served in the order of arrival."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @asynccontextmanager
    async def hold(self, key: Key) -> AsyncIterator[None]:
        """Hold the key alone, after everyone who came earlier."""
        entry = self._entries.setdefault(key, _Entry())
        entry.interested += 1
        try:
            with waiting(lambda: f"it waits for {entry.holder}"):
                await entry.lock.acquire()
            entry.holder = Holder()
            try:
                yield
            finally:
                entry.lock.release()
        finally:
            entry.interested -= 1
            if not entry.interested:
                del self._entries[key]
