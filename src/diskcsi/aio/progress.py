"""How far a piece of work has got, in words: for a caller whose time is up before the work is done.

A caller that hangs up learns nothing but that its deadline has passed. Who answers it a moment before
can say what runs, for how long, what it waits for, and what it was refused with.

The current work's progress lives in a context variable, so a wait deep inside needs not be told whose
it is. Outside of any work a wait is told to nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

Result = TypeVar("Result")

Words = Callable[[], str]
"""Made when somebody asks, so that they are true then; empty when there is nothing to say."""

MOST_NAMED: Final = 3
"""Works that are named as being in the way; of dozens the first ones tell enough."""

BEFORE_END_S: Final = 0.001
"""So long before work is cut short its words are taken: what it waits for is over afterwards."""


class Progress:
    """Of one piece of work.

    Attributes:
        name: what the work is, such as `attach of d-1 to i-1`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._began_s = _now_s()
        self._waits: list[Words] = []
        self._refusal = ""

    def told(self) -> str:
        """That it isn't done, after how long, what it waits for, and what it was refused with."""
        parts = (
            f"{self.name} isn't done after {_now_s() - self._began_s:.0f} s",
            self.waits_for(),
            self._refusal and f"the last try was told: {self._refusal}",
        )
        return "; ".join(part for part in parts if part)

    def waits_for(self) -> str:
        """The words of the wait that began last; empty when no wait has any."""
        return next((told for words in reversed(self._waits) if (told := words())), "")

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
        """It waits for this until the block ends; what was refused before is over, and then what was in it."""
        self._refusal = ""
        self._waits.append(words)
        try:
            yield
        finally:
            self._waits.remove(words)
            self._refusal = ""

    def refused(self, refusal: Exception | str | None, *, known: str = "") -> str:
        """It was refused, for now, and tries again; None: it has got further.

        Args:
            refusal: the error, or words that this has given before.
            known: what is known besides that may be the reason.

        Returns:
            The words of the refusal before.
        """
        before = self._refusal
        # the words alone: an error holds its frames, and they hold the work
        told = _words_of(refusal) if isinstance(refusal, Exception) else refusal or ""
        self._refusal = f"{told}; {known}" if told and known else told
        return before


class Holder:
    """The current work, as one that holds what others wait for."""

    def __init__(self) -> None:
        progress = current_progress()
        self._name = progress.name if progress else "other work"
        self.begin()

    def begin(self) -> None:
        """Its turn has come: from now on it is in their way."""
        self._since_s = _now_s()

    def __str__(self) -> str:
        return f"{self._name} ({_now_s() - self._since_s:.0f} s)"


_current: ContextVar[Progress | None] = ContextVar("diskcsi_progress", default=None)


def current_progress() -> Progress | None:
    """Of the work that this code is part of; None outside of any."""
    return _current.get()


@contextmanager
def waiting(words: Words) -> Iterator[None]:
    """The current work waits for this until the block ends."""
    progress = _current.get()
    if progress is None:
        yield
        return
    with progress.waiting(words):
        yield


def note_refusal(refusal: Exception | str | None, *, known: str = "") -> str:
    """The current work was refused, as `Progress.refused` has it."""
    progress = _current.get()
    return "" if progress is None else progress.refused(refusal, known=known)


def named(holders: Iterable[Holder]) -> str:
    """Those that others wait for, in the order of their turns."""
    every = [str(holder) for holder in holders]
    more = len(every) - MOST_NAMED
    first = ", ".join(every[:MOST_NAMED])
    return f"{first} and {more} more" if more > 0 else first


async def in_time(work: Callable[[], Awaitable[Result]], limit_s: float, *, told: Words) -> Result:
    """The result of `work`, which is cancelled when it takes longer.

    Raises:
        TimeoutError: it took longer; with what `told` said just before.
        Exception: what `work` raised, a `TimeoutError` of its own included.
    """
    loop = asyncio.get_running_loop()
    end_s = loop.time() + limit_s
    heard: list[str] = []
    listening = loop.call_at(end_s - BEFORE_END_S, lambda: heard.append(told()))
    limit = asyncio.timeout_at(end_s)
    try:
        async with limit:
            return await work()
    except TimeoutError as end:
        if not limit.expired():
            raise
        raise TimeoutError(*heard) from end
    finally:
        listening.cancel()


def _words_of(refusal: Exception) -> str:
    if isinstance(refusal, TimeoutError):
        return str(refusal) or "no answer in time"
    return str(refusal) or type(refusal).__name__


def _now_s() -> float:
    return asyncio.get_running_loop().time()
