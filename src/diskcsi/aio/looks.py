"""Whether something works: one look at a time, shared by all who ask, and what the last one told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

PATIENCE_S: Final = 1.5
"""How long who asks waits for a look that takes longer; callers' own timeouts begin at two."""

KEPT_S: Final = 3.0
"""How long a look that was well is told again. Whoever reaches the port may ask, as fast as they like, and
each look may be a call of the account's quota: so it is twenty a minute at most. Kubelet asks a controller
every five seconds, and each time is told of a look of its own."""

KEPT_ILL_S: Final = 1.0
"""How long one that was ill is told again: healing shows at once, to a person who waits for it, and an
account that is throttled already isn't asked as fast as others ask."""


class SharedLook:
    """Whether something works, looked at when somebody asks.

    A look may take longer than who asks can wait. It goes on then, and meanwhile whoever asks gets
    what the look before has found: the reason, and not that there was no time to tell it. What a look
    has found is good for a moment: so often and no more it is made, however many ask.

    Args:
        look: returns when it works; raises when it doesn't.
        tasks: the looks' owner.
        patience_s: seconds to wait for a look that runs.
    """

    def __init__(
        self,
        *,
        look: Callable[[], Awaitable[object]],
        tasks: asyncio.TaskGroup,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._look = look
        self._tasks = tasks
        self._patience_s = patience_s
        self._running: asyncio.Task[None] | None = None
        self._found: Exception | None = None
        self._kept_until_s = 0.0

    async def __call__(self) -> None:
        """Return when it works.

        Raises:
            TimeoutError: the first look, or one after a look that was well, takes long.
            Exception: what the look raised.
        """
        if self._running is None or (self._running.done() and _now_s() >= self._kept_until_s):
            self._running = self._tasks.create_task(self._looked(), name="look")
        done, _ = await asyncio.wait({self._running}, timeout=self._patience_s)
        if not done and self._found is None:
            raise TimeoutError(f"no answer in {self._patience_s:g} s")
        if self._found is not None:
            raise self._found.with_traceback(None)  # else each raise would make it longer

    async def _looked(self) -> None:
        try:
            await self._look()
        except Exception as error:  # noqa: BLE001 - whatever it is goes to who asks
            self._found = error
        else:
            self._found = None
        self._kept_until_s = _now_s() + (KEPT_S if self._found is None else KEPT_ILL_S)


class LastLook:
    """A look that is remembered, for who wants to know without looking.

    Attributes:
        well: whether the last one that ended was well; False until one has ended.
    """

    def __init__(self, look: Callable[[], Awaitable[object]]) -> None:
        self.well = False
        self._look = look

    async def __call__(self) -> None:
        """Look now.

        Raises:
            Exception: what the look raised.
        """
        well = False
        try:
            await self._look()
            well = True
        finally:
            self.well = well  # who asks may give up: that was not well either


def _now_s() -> float:
    return asyncio.get_running_loop().time()
