"""One cloud object for one name, whatever is repeated, lost or cut short.

Volumes and snapshots are made alike: ask the cloud; and after any answer that leaves the outcome
open, look for the name before anything else is done or said. While the object may exist only
`Pending`, `UnknownOutcome`, `Throttled` and `TimeoutError` leave here, which callers take as "not
over" (CSI spec, CreateVolume errors; the sidecars' finality).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from diskcsi.aio.backoff import backoff
from diskcsi.controller.deps import Deps
from diskcsi.model.errors import (
    MAYBE_RUNNING,
    AlreadyExists,
    DiskError,
    Pending,
    Throttled,
    UnknownOutcome,
)

Made = TypeVar("Made")

LONGEST_LOOK_PAUSE_S: Final = 1.0
"""Between looks for what may be hidden: what has shown is found soon, and the last look is not late."""

OPEN: Final = (Pending, UnknownOutcome, Throttled, TimeoutError)
"""After these the same request is simply made again: it carries a token, so it makes one object."""


class OneForName(Generic[Made]):
    """Makes the one object of a name.

    Args:
        key: names the object among all that are made.
        find: the object of this name, None if the cloud shows none; raises `AlreadyExists` if
            the name belongs to one that doesn't fit.
        create: asks the cloud, for the attempt of this number; None when what that attempt
            made is gone for good. The number rises only when reads have proved that an attempt
            made nothing, or nothing that lasted, and its token is spent.
    """

    def __init__(
        self,
        *,
        deps: Deps,
        key: Hashable,
        find: Callable[[], Awaitable[Made | None]],
        create: Callable[[int], Awaitable[Made | None]],
    ) -> None:
        self._deps = deps
        self._key = key
        self._find = find
        self._create = create

    async def make(self) -> Made:
        """Ask until the answer is certain.

        Raises:
            DiskError: what the cloud refused with, once surely nothing exists.
        """
        settle_s = self._deps.timing.settle_s
        in_doubt = self._deps.doubts.about(self._key, settle_s=settle_s)
        attempt = 0
        async for _ in self._deps.attempts():
            try:
                made = await self._create(attempt)
            except OPEN:
                in_doubt = True
                self._deps.doubts.note(self._key, settle_s=settle_s)
                made = await self._find()
            except AlreadyExists:
                made = await self._find_settled()
                attempt += 1
            except DiskError as refusal:
                made = await self._find_refused(refusal, in_doubt=in_doubt)
            else:
                attempt += 1  # for the next round, if there is one: this attempt's object is gone
            if made is not None:
                return made
        raise UnknownOutcome("the flight ended before the cloud gave a certain answer")

    async def _find_refused(self, refusal: DiskError, *, in_doubt: bool) -> Made:
        """What an earlier try made although a later one was refused; else the refusal stands."""
        if in_doubt and not isinstance(refusal, MAYBE_RUNNING):
            made = await self._find_settled()
            if made is not None:
                return made
        raise refusal

    async def _find_settled(self) -> Made | None:
        """Look for as long as the cloud may hide an object that was just made."""
        loop = asyncio.get_running_loop()
        timing = self._deps.timing
        end = loop.time() + timing.settle_s
        looks = backoff(
            first_s=timing.retry_first_s, max_s=LONGEST_LOOK_PAUSE_S, random=self._deps.random
        )
        async for _ in looks:
            made = await self._find()
            if made is not None or loop.time() >= end:
                return made
        return None
