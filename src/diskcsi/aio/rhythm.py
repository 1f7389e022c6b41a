"""When to look whether an operation is over, learned from the ones that were watched before.

Every look costs a call; every pause too long costs time. Where operations of a kind take the same
time, the rhythm closes in on it until one look does. Where they vary, it begins to look at an
early one's time and goes on in steps of a tenth of the time already passed, so that the overshoot
stays a small part of the whole, and an old wait costs few calls.
"""

from __future__ import annotations

from collections import deque
from typing import Final

FIRST_LOOK_S: Final = 0.25
"""Before anything is known. Clouds attach in one second or more; local disks at once."""

SHORTEST_STEP_S: Final = 0.1
LONGEST_STEP_S: Final = 3.0
STEP_SHARE: Final = 0.1
"""The next look comes a tenth of the elapsed time later: on average 5 % too late."""

STEADY_SHARE: Final = 0.025
"""An interval this small, as a share of its end, is not halved any more."""

STEADY_SHORTEST_S: Final = 0.02
"""Nor is one this small: it is the time of a call itself."""

STEADY_AFTER: Final = 3
"""Operations in a row that must agree before anything is made of it. Three out of a range as wide
as their own length agree by chance once in a hundred times."""

TELLING: Final = 8
"""Operations that tell how early the earliest may end."""

MEMORY: Final = 16
"""Operations remembered: a few minutes of work on a busy cluster."""


class Rhythm:
    """The rhythm of one kind of operation.

    Each watched operation leaves an interval: it was not over at `after_s`, and over at `by_s`.
    While the intervals overlap they are one, ever narrower.
    """

    def __init__(self) -> None:
        self._after_s = 0.0
        self._by_s = 0.0
        self._agreeing = 0
        self._ends: deque[float] = deque(maxlen=MEMORY)

    def first_look_s(self) -> float:
        """Seconds from the operation's begin to the first look."""
        if not self._ends:
            return FIRST_LOOK_S
        if self._agreeing < STEADY_AFTER:
            return self._earliest_s()
        width_s = self._by_s - self._after_s
        if width_s <= max(STEADY_SHARE * self._by_s, STEADY_SHORTEST_S):
            return self._by_s
        return self._after_s + width_s / 2

    def _earliest_s(self) -> float:
        """Where the range begins that the remembered ends were drawn from, as far as they tell.

        The least of n draws lies above the range's begin by about the range's n-th part; of few
        draws by so much at times that nothing is made of them.
        """
        least_s = min(self._ends)
        if len(self._ends) < TELLING:
            return least_s / 2
        spread_s = max(self._ends) - least_s
        return max(least_s - spread_s / (len(self._ends) - 1), least_s / 2)

    def step_s(self, elapsed_s: float) -> float:
        """Seconds from a look that came too early, `elapsed_s` after the begin, to the next."""
        if self._agreeing >= STEADY_AFTER and elapsed_s < self._by_s:
            return self._by_s - elapsed_s
        return min(max(STEP_SHARE * elapsed_s, SHORTEST_STEP_S), LONGEST_STEP_S)

    def learn(self, *, after_s: float, by_s: float) -> None:
        """Take in an operation that was not over at `after_s` and over at `by_s`."""
        if self._agreeing and after_s < self._by_s and by_s > self._after_s:
            self._agreeing += 1
            self._after_s = max(self._after_s, after_s)
            self._by_s = min(self._by_s, by_s)
        else:
            self._agreeing = 1
            self._after_s, self._by_s = after_s, by_s
        self._ends.append(by_s)
