"""Reads of single keys, coalesced into calls that carry many.

Whoever asks while nothing runs is served at once; under load the calls are spaced, and each
carries everyone who came meanwhile, as does a call that is made anyway. A read that began before
somebody asked never serves them.
"""

from __future__ import annotations

import asyncio
from asyncio import Future, TaskGroup
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import suppress
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")

MAX_DELAY_S: Final = 0.5
"""Longest pause between calls that are not full: two a second whatever the load."""


class Batcher(Generic[Key, Result]):
    """Coalesces `get`s into `fetch`es of at most `max_entries` keys.

    Args:
        fetch: the results by key; a missing key is absent, an exception as a value is that
            key's own. An exception it raises goes to the keys of that call only.
        tasks: owns the calls.
    """

    def __init__(
        self,
        *,
        fetch: Callable[[Collection[Key]], Awaitable[Mapping[Key, Result | Exception]]],
        tasks: TaskGroup,
        max_entries: int,
        max_delay_s: float = MAX_DELAY_S,
    ) -> None:
        self._fetch = fetch
        self._tasks = tasks
        self._max_entries = max_entries
        self._max_delay_s = max_delay_s
        self._waiting: dict[Key, Future[Result | None]] = {}
        self._last_begin_s = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    async def get(self, key: Key) -> Result | None:
        """The result for `key`, from a read that begins after this call; None when absent."""
        loop = asyncio.get_running_loop()
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = loop.create_future()
            future.add_done_callback(_look)  # every caller may have been cancelled
            if len(self._waiting) >= self._max_entries:
                self._flush()
            elif self._timer is None:
                due_s = max(loop.time(), self._last_begin_s + self._max_delay_s)
                self._timer = loop.call_at(due_s, self._flush)
        return await asyncio.shield(future)

    async def carry(self, keys: Collection[Key]) -> Mapping[Key, Result | Exception]:
        """The results of a call for `keys`, which is made anyway: those who wait ride along.

        Raises what `fetch` raises; the riders are told it too.
        """
        riders = self._taken(room=self._max_entries - len(keys))
        return await self._fetched([*keys, *(key for key in riders if key not in keys)], riders)

    def _flush(self) -> None:
        batch = self._taken(room=self._max_entries)
        self._tasks.create_task(self._serve(batch), name="batch")

    def _taken(self, *, room: int) -> Mapping[Key, Future[Result | None]]:
        """Those who wait, as far as a call has room for them; its time is noted."""
        self._last_begin_s = asyncio.get_running_loop().time()
        if len(self._waiting) > room:
            return {}
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._waiting = self._waiting, {}
        return batch

    async def _serve(self, batch: Mapping[Key, Future[Result | None]]) -> None:
        with suppress(Exception):  # it goes to the askers, never to the group
            await self._fetched(tuple(batch), batch)

    async def _fetched(
        self, keys: Collection[Key], batch: Mapping[Key, Future[Result | None]]
    ) -> Mapping[Key, Result | Exception]:
        """The results by key; whoever of the batch asked is told theirs, or why there is none."""
        try:
            results = await self._fetch(keys)
        except Exception as failure:
            for future in batch.values():
                future.set_exception(failure)
            raise
        except BaseException:  # shutdown: the askers see a cancellation
            for future in batch.values():
                future.cancel()
            raise
        for key, future in batch.items():
            result = results.get(key)
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
        return results


def _look(future: Future[Result | None]) -> None:
    if not future.cancelled():
        future.exception()
