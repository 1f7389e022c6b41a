"""What was done, how long it took, and what it asked of the cloud."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from diskcsi.orchestrator.mock import counted


class CallLog(Protocol):
    """A cloud that tells what it was asked, as a `Mock` does."""

    async def calls(self, *, since: int = 0) -> Sequence[Mapping[str, Any]]:
        """The calls after number `since`, each with its `seq` and `action`."""


@dataclass(slots=True, kw_only=True)
class Step:
    """One thing that was done.

    Attributes:
        chapter: what it is part of.
        seconds: how long it took; 0 until it is over.
        calls: the cloud's actions by name, and how often each was called.
        note: what came out of it, for people; whoever runs the step writes it.
    """

    chapter: str
    title: str
    seconds: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    note: str = ""


class Timeline:
    """Steps in their order, each told when it is over.

    Args:
        cloud: its log says what a step asked of it.
        tell: told of each step that ended well.
    """

    def __init__(self, cloud: CallLog, tell: Callable[[Step], None]) -> None:
        self._cloud = cloud
        self._tell = tell
        self._chapter = ""
        self._seen = 0
        self.steps: list[Step] = []

    def begin_chapter(self, title: str) -> None:
        """What follows is part of `title`."""
        self._chapter = title

    @asynccontextmanager
    async def step(self, title: str) -> AsyncIterator[Step]:
        """One step, which is the block; one that fails isn't told, but its error names it."""
        step = Step(chapter=self._chapter, title=title)
        begun_s = time.monotonic()
        try:
            yield step
        except Exception as error:
            error.add_note(f"in the step {step.chapter!r}: {step.title}")
            raise
        step.seconds = time.monotonic() - begun_s
        calls = await self._cloud.calls(since=self._seen)
        self._seen = max((int(call["seq"]) for call in calls), default=self._seen)
        step.calls = counted(calls)
        self.steps.append(step)
        self._tell(step)

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(step.seconds for step in self.steps)

    @property
    def calls(self) -> int:
        """Of all steps."""
        return sum(step.calls.total() for step in self.steps)
