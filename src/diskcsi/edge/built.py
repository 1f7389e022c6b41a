"""What is still being made while the socket already answers."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from diskcsi.model.errors import Unreachable

T = TypeVar("T")


class Built(Generic[T]):
    """Something that is still being made while others already wait for it."""

    def __init__(self) -> None:
        self._made: T | None = None
        self._settled = asyncio.Event()

    def make_known(self, made: T) -> None:
        """Let go on who waits."""
        self._made = made
        self._settled.set()

    def give_up(self) -> None:
        """It won't come: whoever waits is refused. Without effect once it is known."""
        self._settled.set()

    async def get(self) -> T:
        """It, once it is there.

        Raises:
            Unreachable: it will never be; the process is about to end.
        """
        await self._settled.wait()
        if self._made is None:
            raise Unreachable("the driver can't start; its log tells why")
        return self._made
