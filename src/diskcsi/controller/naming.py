"""One cloud object for one name, whatever is repeated, lost or cut short.

Volumes and snapshots are made alike: ask the cloud; and after any answer that leaves the outcome
open, look for the name before anything else is done or said. While the object may exist only
`Pending`, `UnknownOutcome`, `Throttled` and `TimeoutError` leave here, which callers take as "not
over" (CSI spec, CreateVolume errors; the sidecars' finality).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

from diskcsi.controller.deps import Deps
from diskcsi.model.errors import (
    AlreadyExists,
    DiskError,
    Pending,
    Throttled,
    UnknownOutcome,
    Unreachable,
)

Made = TypeVar("Made")

OPEN: Final = (Pending, UnknownOutcome, Throttled, TimeoutError)
"""After these the same request is simply made again: it carries a token, so it makes one object."""


class OneForName(Generic[Made]):
    """Makes the one object of a name.

    Args:
        find: the object of this name, None if the cloud shows none; raises `AlreadyExists` if
            the name belongs to one that doesn't fit.
        create: asks the cloud, for the attempt of this number. The number rises only when a
            read has proved that the earlier request made nothing and its token is spent.
    """

    def __init__(
        self,
        *,
        deps: Deps,
        find: Callable[[], Awaitable[Made | None]],
        create: Callable[[int], Awaitable[Made]],
    ) -> None:
        self._deps = deps
        self._find = find
        self._create = create

    async def make(self) -> Made:
        """Ask until the answer is certain.

        Raises:
            DiskError: what the cloud refused with, once surely nothing exists.
        """
        open_question, attempt = False, 0
        async for _ in self._deps.attempts():
            try:
                return await self._create(attempt)
            except OPEN:
                open_question = True
                made = await self._find()
            except AlreadyExists:
                made = await self._find_settled()
                attempt += 1
            except Unreachable:
                raise
            except DiskError:
                made = await self._find_settled() if open_question else None
                if made is None:
                    raise
            if made is not None:
                return made
        raise UnknownOutcome("the flight ended before the cloud gave a certain answer")

    async def _find_settled(self) -> Made | None:
        """Look for as long as the cloud may hide an object that was just made."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._deps.timing.settle_s
        async for _ in self._deps.attempts():
            made = await self._find()
            if made is not None or loop.time() >= end:
                return made
        return None
