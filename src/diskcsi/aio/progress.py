"""What a piece of work waits for, in words: for a caller whose time is up before the work is done.

A caller that hangs up learns nothing but that its deadline has passed. Who answers it a moment before
can say what runs, for how long, what it waits for, and what it was refused with.

The current work lives in a context variable, so a wait deep inside needs not be told whose it is.
Outside of any work a wait is told to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

Words = Callable[[], str]
"""Made when somebody asks, so that they are true then; empty when there is nothing to say."""

MOST_NAMED: Final = 3
"""Works that are named as being in the way; of dozens the oldest tell enough."""


class Work:
    """One piece of work.

    Attributes:
        name: what it is, such as `attach of d-1 to i-1`.
        refusal: the words that it was last refused with; empty once it has got further.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.refusal = ""
        self._began_s = asyncio.get_running_loop().time()
        self._waits: list[Words] = []
        self._cut_short = ""

    def __str__(self) -> str:
        return f"{self.name} ({self._ran_s():.0f} s)"

    def told(self) -> str:
        """That it isn't done, after how long, what it waits for, and what it was refused with."""
        parts = (
            f"{self.name} isn't done after {self._ran_s():.0f} s",
            self.waits_for(),
            self.refusal and f"the last try was told: {self.refusal}",
        )
        return "; ".join(part for part in parts if part)

    def waits_for(self) -> str:
        """The words of the wait that began last, or was cut short; empty when no wait has any."""
        open_waits = (told for words in reversed(self._waits) if (told := words()))
        return next(open_waits, self._cut_short)

    @contextmanager
    def current(self) -> Iterator[None]:
        """In this block, and in tasks that it creates, waits and refusals are this work's."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @contextmanager
    def waiting(self, words: Words) -> Iterator[None]:
        """It waits for this until the block ends; what was refused before is over."""
        self.refusal = self._cut_short = ""
        self._waits.append(words)
        try:
            yield
        except asyncio.CancelledError:
            self._cut_short = self._cut_short or words()  # of several the innermost
            raise
        finally:
            self._waits.remove(words)

    def refused(self, refusal: Exception | None) -> None:
        """It was refused, for now, and tries again; None: it has got further."""
        # the words alone: an error holds its frames, and they hold the work
        self.refusal = "" if refusal is None else str(refusal) or type(refusal).__name__

    def _ran_s(self) -> float:
        return asyncio.get_running_loop().time() - self._began_s


_current: ContextVar[Work | None] = ContextVar("diskcsi_work", default=None)


def current_work() -> Work | None:
    """The work that this code is part of; None outside of any."""
    return _current.get()


@contextmanager
def waiting(words: Words) -> Iterator[None]:
    """The current work waits for this until the block ends."""
    work = _current.get()
    if work is None:
        yield
        return
    with work.waiting(words):
        yield


def note_refusal(refusal: Exception) -> None:
    """The current work was refused, for now, and tries again."""
    work = _current.get()
    if work is not None:
        work.refused(refusal)


def in_the_way(works: Sequence[Work | None]) -> str:
    """Names the works that another one waits for, the oldest first."""
    named = [str(work) for work in works if work is not None]
    more = len(named) - MOST_NAMED
    told = ", ".join(named[:MOST_NAMED]) or "other work"
    return f"{told} and {more} more" if more > 0 else told
