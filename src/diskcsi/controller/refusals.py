"""A request that was refused a moment ago is told so again, and the cloud isn't asked at once.

A sidecar that asks often notices soon that a disk is free, and its many claims that can't be served
would use up the account's quota of calls. So it may ask often, and the cloud is asked after pauses
that grow: between them a repeat hears the words of the last try.

It hears them as an answer that is not final: between two tries another controller may have made
what this one was refused (CSI spec, CreateVolume errors).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from copy import copy
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

from diskcsi.model.errors import DiskError, Exhausted, Pending, UnknownOutcome, Unreachable

Result = TypeVar("Result")

NOT_REMEMBERED: Final = (Pending, UnknownOutcome)
"""What was begun may be done at any moment, and whoever asks then is to find it."""

SOON: Final = "the cloud is asked again within a minute"


@dataclass(frozen=True, slots=True)
class _Refusal:
    repeated: Unreachable
    arguments: object
    pause_s: float
    until_s: float


class Refusals:
    """Remembers the last refusal of each key, for a pause that doubles with each one in a row.

    Args:
        first_s: the pause after the first refusal, in seconds: half of what the stock sidecars wait
            as our chart starts them, so that it is felt only where theirs no longer grow.
        max_s: the longest pause; whoever comes so long after it begins with the first one again.
    """

    def __init__(self, *, first_s: float = 0.25, max_s: float = 60.0) -> None:
        self._random = Random()
        self._first_s = first_s
        self._max_s = max_s
        self._last: dict[Hashable, _Refusal] = {}

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._last)

    def repeat(self, key: Hashable, arguments: object = None) -> None:
        """Tell this request what the last one was refused with; return if the cloud may be asked.

        Other `arguments` are another request: it goes out, and what was remembered is over.

        Raises:
            Unreachable: the words of the last refusal; this time nothing was sent.
        """
        last = self._last.get(key)
        if last is None:
            return
        if last.arguments != arguments:
            del self._last[key]
        elif _now_s() < last.until_s:
            raise copy(last.repeated)  # the one that is kept never holds a call's frames

    async def noting(
        self,
        key: Hashable,
        work: Callable[[], Awaitable[Result]],
        arguments: object = None,
        *,
        rescheduled: bool = False,
    ) -> Result:
        """The result of `work`, whose refusal is remembered; it runs as the one flight of `key`.

        Args:
            rescheduled: a scheduler takes an end of stock or quota as a reason to look for another
                place; that isn't remembered, or the word of a former place would hold it up.

        Raises:
            DiskError: the refusal.
        """
        last = self._last.pop(key, None)
        passing = (*NOT_REMEMBERED, Exhausted) if rescheduled else NOT_REMEMBERED
        try:
            return await work()
        except passing:
            raise
        except DiskError as refusal:
            pause_s = self._first_s if last is None else min(2 * last.pause_s, self._max_s)
            self._note(key, refusal, arguments, pause_s)
            raise

    def _note(self, key: Hashable, refusal: DiskError, arguments: object, pause_s: float) -> None:
        now_s = _now_s()
        self._last = {
            one: told for one, told in self._last.items() if now_s < told.until_s + self._max_s
        }
        self._last[key] = _Refusal(
            repeated=Unreachable(
                refusal.message,
                hint=f"{refusal.hint}; {SOON}" if refusal.hint else SOON,
                code=refusal.code,
                request_id=refusal.request_id,
            ),
            arguments=arguments,
            pause_s=pause_s,
            until_s=now_s + pause_s * self._random.uniform(0.5, 1.0),  # not all come at once
        )


def _now_s() -> float:
    return asyncio.get_running_loop().time()
