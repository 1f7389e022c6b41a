"""What a request was refused with a moment ago is its answer still: the cloud isn't asked at once.

A sidecar that asks often notices soon that a disk is free, and its many claims that can't be served
would use up the account's quota of calls. So it may ask often, and the cloud is asked after pauses
that grow: between them a repeat hears what the last try heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from copy import copy
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

from diskcsi.model.errors import DiskError, Pending, UnknownOutcome
from diskcsi.telemetry.logging import bind

Result = TypeVar("Result")

GOES_ON: Final = (Pending, UnknownOutcome)
"""Not the end of anything: the next try joins the work, or finds what it made."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    error: DiskError
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
        """Refuse this request as just now; return if it is time to ask the cloud.

        A request with other `arguments` ends what is remembered: it goes out, and what it makes may
        be there afterwards, so that a final word from before would leave it behind.

        Raises:
            DiskError: the last refusal.
        """
        last = self._last.get(key)
        if last is None:
            return
        if last.arguments != arguments:
            del self._last[key]
        elif _now_s() < last.until_s:
            bind(answered="as before, the cloud was not asked")
            raise last.error.with_traceback(None)

    async def noting(
        self, key: Hashable, work: Callable[[], Awaitable[Result]], arguments: object = None
    ) -> Result:
        """The result of `work`, whose refusal is remembered; it runs as the one flight of `key`.

        Raises:
            DiskError: the refusal.
        """
        try:
            result = await work()
        except GOES_ON:
            raise
        except DiskError as refusal:
            self._note(key, refusal, arguments)
            raise
        self._last.pop(key, None)
        return result

    def _note(self, key: Hashable, refusal: DiskError, arguments: object) -> None:
        now_s = _now_s()
        self._last = {
            one: told for one, told in self._last.items() if now_s < told.until_s + self._max_s
        }
        last = self._last.get(key)
        pause_s = self._first_s if last is None else min(2 * last.pause_s, self._max_s)
        until_s = now_s + pause_s * self._random.uniform(0.5, 1.0)  # so that not all come at once
        bare = copy(refusal)  # without the frames of the call, and all that they hold
        self._last[key] = _Refusal(bare, arguments, pause_s, until_s)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
