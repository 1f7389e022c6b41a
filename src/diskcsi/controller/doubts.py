"""What is known of a name beyond the flight that asked for its object.

Names are kept whose object may exist although no read shows it yet.

A flight may end in the middle, such as for a network that is down, and the next one for the same
name is told a refusal that would be final. It has to look for as long as the former one's call may
take to show. A process that has just begun doubts every name: a former one may have asked.

Of a name whose tokens answered dead ids it is kept which attempt comes next, so that every flight
gets further than the one before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable


class Doubts:
    """Remembers each doubt for `settle_s`, in which whatever was made comes to show.

    Attributes:
        attempts: the attempt to begin with, for the few names that came beyond the first one.
    """

    def __init__(self) -> None:
        self.attempts: dict[Hashable, int] = {}
        self._until_s: dict[Hashable, float] = {}
        self._began_s: float | None = None

    def note(self, key: Hashable, *, settle_s: float) -> None:
        """The outcome of a call for `key` is unknown."""
        now_s = asyncio.get_running_loop().time()
        self._until_s = {one: end_s for one, end_s in self._until_s.items() if end_s > now_s}
        self._until_s[key] = now_s + settle_s

    def about(self, key: Hashable, *, settle_s: float) -> bool:
        """Whether an object of `key` may exist that no read shows yet."""
        now_s = asyncio.get_running_loop().time()
        if self._began_s is None:
            self._began_s = now_s
        return now_s < max(self._began_s + settle_s, self._until_s.get(key, now_s))
