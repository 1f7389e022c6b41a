"""One cloud object for one name, whatever is repeated, lost or cut short.

Volumes and snapshots are made alike: ask the cloud; and after any answer that leaves the outcome
open, look for the name before anything else is done or said. While the object may exist only
`Pending`, `UnknownOutcome`, `Throttled` and `TimeoutError` leave here, which callers take as "not
over" (CSI spec, CreateVolume errors; the sidecars' finality).

An answered id that no read shows has two reasons. Reads lag, and the object is there; or it was
deleted long ago, and its token still answers its id. The second is believed only after `hidden_s`
without a sight of it and a last look for the name, and once before the caller hears of it: the next
attempt's token may make a second object. If that one isn't shown either, reads may be what is
broken, and `Pending` names the id; the next flight goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from diskcsi.aio.backoff import backoff
from diskcsi.aio.progress import note_refusal
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


class NeverShownError(Exception):
    """The cloud answered an id, and no read showed it for `hidden_s`.

    Attributes:
        object_id: what was answered.
    """

    def __init__(self, object_id: str) -> None:
        super().__init__(f"the cloud answered {object_id}, and no read shows it")
        self.object_id = object_id


class OneForName(Generic[Made]):
    """Makes the one object of a name.

    Args:
        key: names the object among all that are made.
        find: the object of this name, None if the cloud shows none; raises `AlreadyExists` if
            the name belongs to one that doesn't fit.
        create: asks the cloud, for the attempt of this number, and waits for what it made; None
            when that is gone for good. Raises `NeverShownError` if it doesn't show. The number
            rises only when reads have told that an attempt made nothing, or nothing that lasted,
            and its token is spent.
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
        doubts = self._deps.doubts
        in_doubt = doubts.about(self._key, settle_s=self._deps.timing.settle_s)
        attempt = doubts.attempts.get(self._key, 0)
        given_up = False
        async for _ in self._deps.attempts():
            try:
                made = await self._ask(attempt)
            except OPEN as refusal:
                note_refusal(refusal)
                in_doubt = True
                made = await self._find()
            except NeverShownError as unseen:
                note_refusal(unseen)
                made = await self._find_unseen(unseen, given_up=given_up)
                attempt += 1
                in_doubt = given_up = True
                doubts.attempts[self._key] = attempt
            except AlreadyExists as taken:
                note_refusal(taken)
                made = await self._find_settled()
                attempt += 1
            except DiskError as refusal:
                note_refusal(refusal)
                made = await self._find_refused(refusal, in_doubt=in_doubt)
            else:
                attempt += 1  # for the next round, if there is one: this attempt's object is gone
            if made is not None:
                return made
        raise UnknownOutcome("the flight ended before the cloud gave a certain answer")

    async def _ask(self, attempt: int) -> Made | None:
        try:
            return await self._create(attempt)
        except (Exception, asyncio.CancelledError) as end:
            # a flight may end in the middle of it; only a refusal leaves no doubt
            if not isinstance(end, DiskError) or isinstance(end, MAYBE_RUNNING):
                self._deps.doubts.note(self._key, settle_s=self._deps.timing.settle_s)
            raise

    async def _find_unseen(self, unseen: NeverShownError, *, given_up: bool) -> Made | None:
        made = await self._find()
        if made is None and given_up:
            raise Pending(
                f"{unseen}, nor the one it answered before",
                hint="look for it in the cloud's console; the next call goes on from there",
            ) from unseen
        return made

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
