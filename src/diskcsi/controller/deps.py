"""What every controller rule works with, wired once by the composition root."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from diskcsi.aio.backoff import backoff
from diskcsi.aio.flights import FlightConflict, Flights, Key, name_of
from diskcsi.aio.limiter import Slots
from diskcsi.aio.locks import KeyedLock
from diskcsi.controller.disks import DiskReader
from diskcsi.controller.doubts import Doubts
from diskcsi.controller.reading import looking, patiently
from diskcsi.controller.refusals import Refusals
from diskcsi.model.capabilities import Capability
from diskcsi.model.errors import Broken, DiskError, Pending, Unsupported
from diskcsi.model.ids import NodeId, VolumeId
from diskcsi.ports.cloud import CloudProvider
from diskcsi.ports.provider import Rules
from diskcsi.telemetry.calls import tracing

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things may take, in seconds.

    Attributes:
        flight_s: the whole work of one operation, however many calls join it. Longer than any
            sidecar's RPC timeout (150 s in the field), so that a retry finds the work running.
        retry_first_s: the pause after a first refusal such as a busy node.
        retry_max_s: the longest pause; a cloud's per-minute windows need no longer one.
        settle_s: how long a disk that was just made, or an attach that was just asked for, may stay
            unseen by reads.
        hidden_s: how long an id that the cloud answered may stay unseen before it is taken for one
            that was deleted long ago. Much longer than `settle_s`: reads that lag are the likelier
            reason, and mistaking them makes a second disk. Well below `flight_s`.
    """

    flight_s: float = 300.0
    retry_first_s: float = 0.2
    retry_max_s: float = 5.0
    settle_s: float = 5.0
    hidden_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deps:
    """The cloud, its rules, and the shared machinery around them."""

    cloud: CloudProvider
    rules: Rules
    disks: DiskReader
    flights: Flights
    slots: Slots[NodeId]
    volumes: KeyedLock[VolumeId]
    random: Random
    timing: Timing = field(default_factory=Timing)
    doubts: Doubts = field(default_factory=Doubts)
    refusals: Refusals = field(default_factory=Refusals)

    async def fly(
        self, key: Key, work: Callable[[], Awaitable[Result]], *, arguments: object = None
    ) -> Result:
        """Run `work` as the one flight of `key`, or join the one that runs.

        The key, put together, says in words what it is: callers hear it.

        The caller may be cancelled; the flight goes on to its own deadline.

        Raises:
            Pending: a flight of this key runs with other arguments.
            TimeoutError: the flight's budget is used up; what it began may still happen.
        """

        async def told() -> Result:
            with tracing() as calls:
                try:
                    return await work()
                except (DiskError, TimeoutError):
                    raise
                except Exception as bug:
                    if not calls.mutating:
                        raise
                    # whoever joined the flight must hear it too: what was begun may exist
                    raise Broken(f"internal error in the middle of {name_of(key)}") from bug

        try:
            return await self.flights.do(
                key, told, arguments=arguments, budget_s=self.timing.flight_s
            )
        except FlightConflict as conflict:
            raise Pending(str(conflict)) from conflict

    async def fly_unless_refused(
        self,
        key: Key,
        work: Callable[[], Awaitable[Result]],
        *,
        arguments: object = None,
        rescheduled: bool = False,
    ) -> Result:
        """As `fly`; a request that was refused just now is refused so again, without the cloud.

        Args:
            rescheduled: after an end of stock or quota a scheduler comes with another place, and
                the cloud is asked for each.

        Raises:
            DiskError: the refusal, of this flight or of the last one.
        """
        self.refusals.repeat(key, arguments)
        return await self.fly(
            key,
            lambda: self.refusals.noting(key, work, arguments, rescheduled=rescheduled),
            arguments=arguments,
        )

    def deadline(self) -> asyncio.Timeout:
        """Bounds work that runs outside of a flight, such as a read: callers may set no deadline."""
        return asyncio.timeout(self.timing.flight_s)

    def attempts(self) -> AsyncIterator[int]:
        """Count attempts from 0 with a growing pause between; the flight's budget ends it."""
        return backoff(
            first_s=self.timing.retry_first_s,
            max_s=self.timing.retry_max_s,
            random=self.random,
        )

    async def patiently(self, read: Callable[[], Awaitable[Result]]) -> Result:
        """The answer of `read`, which is asked again for as long as the cloud throttles it.

        Raises:
            Unreadable: the cloud refuses to be read.
        """

        async def look() -> Result:
            with looking():
                return await read()

        return await patiently(look, self.attempts())

    def require(self, capability: Capability) -> None:
        """Refuse what this provider lacks.

        Raises:
            Unsupported: it lacks `capability`.
        """
        if capability not in self.cloud.capabilities:
            raise Unsupported(f"this provider has no {capability}")
