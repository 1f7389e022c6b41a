"""One look at a time, shared by all who ask whether something works."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

PATIENCE_S: Final = 1.5
"""How long who asks waits for a look that takes longer; callers' own timeouts begin at two."""


class SharedLook:
    """Whether something works, looked at when somebody asks.

    A look may take longer than who asks can wait. It goes on then, and meanwhile whoever asks gets
    what the look before has found: the reason, and not that there was no time to tell it.

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

    async def __call__(self) -> None:
        """Return when it works.

        Raises:
            TimeoutError: the first look, or one after a look that was well, takes long.
            Exception: what the look raised.
        """
        if self._running is None or self._running.done():
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
