"""Questions to a disk that may never answer, each in a thread that nobody has to wait for.

A read of a dead disk can't be interrupted. The loop's own threads are few, and the process waits for
them when it ends; these ones it does not wait for, and a question that hangs is not asked again.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from diskcsi.aio.progress import waiting

Answer = TypeVar("Answer")

ANSWER_S: Final = 20.0
"""A disk under load answers within a second or two; kubelet gives a call two minutes."""


class Patience:
    """Asks; there is at most one thread for each question."""

    def __init__(self) -> None:
        self._now: dict[str, Future[Any]] = {}

    @property
    def waiting(self) -> int:
        """How many questions have no answer yet."""
        return len(self._now)

    async def ask(
        self, question: str, look: Callable[[], Answer], *, timeout_s: float = ANSWER_S
    ) -> Answer:
        """What `look` returns or raises; the same question, asked meanwhile, shares the answer.

        Raises:
            TimeoutError: no answer came in time; the thread is left behind.
        """
        outcome: Future[Answer] = self._now.get(question) or self._begin(question, look)
        with waiting(lambda: f"no answer yet to: {question}"):
            done, _ = await asyncio.wait((outcome,), timeout=timeout_s)
        if not done:
            raise TimeoutError(f"{question}: no answer in {timeout_s:g} s, the disk may be dead")
        return outcome.result()

    def _begin(self, question: str, look: Callable[[], Answer]) -> Future[Answer]:
        loop = asyncio.get_running_loop()
        outcome: Future[Answer] = loop.create_future()
        outcome.add_done_callback(lambda done: self._answered(question, done))
        self._now[question] = outcome
        threading.Thread(
            target=_run, args=(loop, outcome, look), name=f"ask {question}", daemon=True
        ).start()
        return outcome

    def _answered(self, question: str, outcome: Future[Any]) -> None:
        del self._now[question]
        if not outcome.cancelled():
            outcome.exception()  # nobody may be listening any more


def _run(loop: AbstractEventLoop, outcome: Future[Answer], look: Callable[[], Answer]) -> None:
    settle: Callable[[], None]
    try:
        settle = partial(outcome.set_result, look())
    except Exception as error:  # noqa: BLE001 - it goes to whoever asked
        settle = partial(outcome.set_exception, error)
    with suppress(RuntimeError):  # the loop is closed: the answer came too late
        loop.call_soon_threadsafe(settle)
