"""Time in the cloud in memory: how long things take, and what is still to happen."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from diskcsi.model.errors import DiskError


@dataclass(slots=True, kw_only=True)
class Latency:
    """Seconds that things take.

    Attributes:
        call_s: one call.
        status_s: how long `Disk.state` lags behind the truth about attachment.
        cut_s, upload_s: of a snapshot, until its content is fixed, and from then until ready.
        show_s: until a read shows what was just made.
    """

    call_s: float = 0.0
    create_s: float = 0.0
    delete_s: float = 0.0
    attach_s: float = 0.0
    detach_s: float = 0.0
    status_s: float = 0.0
    resize_s: float = 0.0
    cut_s: float = 0.0
    upload_s: float = 0.0
    show_s: float = 0.0


@dataclass(slots=True)
class Timeline:
    """What is still to happen, in the order of the loop's clock.

    Nothing runs by itself: whoever looks lets the time pass first.

    Attributes:
        now_s: the moment that is looked at; what follows from an event counts from its time.
    """

    now_s: float = 0.0
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _count: int = 0

    def pass_time(self) -> None:
        """Let everything happen whose time has come."""
        now_s = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= now_s:
            self.now_s, _, happen = heapq.heappop(self._due)
            happen()
        self.now_s = now_s

    def later(self, after_s: float, happen: Callable[[], None]) -> None:
        """Let something happen so many seconds from `now_s`; at once if that is none."""
        if not after_s:
            happen()
            return
        self._count += 1
        heapq.heappush(self._due, (self.now_s + after_s, self._count, happen))

    def arrive(self, after_s: float, effect: Callable[[], object]) -> None:
        """A call that arrives later; what refuses it then is heard by nobody."""

        def happen() -> None:
            with suppress(DiskError):
                effect()

        self.later(after_s, happen)

    def forget(self) -> None:
        """Nothing of it happens."""
        self._due.clear()
