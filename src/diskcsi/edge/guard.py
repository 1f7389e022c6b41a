"""One wrapper around every RPC: gate, context, translation, one log line, metrics.

It listens to grpclib's `RecvRequest`, so no handler can forget it, and a handler holds nothing but
decode, call, encode.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from betterproto import Message
from grpclib.const import Status
from grpclib.events import RecvRequest
from grpclib.exceptions import GRPCError
from grpclib.metadata import Deadline
from grpclib.server import Stream

from diskcsi.aio.progress import Progress, in_time
from diskcsi.edge.errors import is_bug, translate
from diskcsi.edge.services import UNKNOWN
from diskcsi.edge.wire import type_info
from diskcsi.telemetry.calls import CallTrace, tracing
from diskcsi.telemetry.logging import bind, logger, tells, unbind_all
from diskcsi.telemetry.meter import RpcCounter

TOLD_FIELDS: Final = (
    "volume_id", "node_id", "snapshot_id", "source_volume_id", "name",
    "staging_target_path", "target_path", "volume_path",
)  # fmt: skip
"""Fields of a request that a log line shows: ids and places, nothing else of it is ever logged."""

QUIET: Final = frozenset({
    "Probe", "GetPluginInfo", "GetPluginCapabilities", "ControllerGetCapabilities",
    "NodeGetCapabilities", "NodeGetVolumeStats", "GroupControllerGetCapabilities",
})  # fmt: skip
"""Asked every few seconds by every kubelet and sidecar: a success is told at DEBUG only."""

NO_METHOD: Final = "unknown"
"""Stands in logs and metrics for names that the contract doesn't know: there is no end of them."""

LATE_S: Final = 1.0
"""Of a call that ends with so little of its time left the caller had run out of patience.

Its own clock began a moment earlier, and it hangs up before the time is over here.
"""

TOLD_BEFORE_S: Final = 0.5
"""What is kept of a caller's time for saying why there is no answer yet: enough for a busy machine, and
little of the ten seconds that the most hurried sidecar waits. Of a shorter time a tenth is kept."""

WORTH_A_LOOK: Final = frozenset({Status.INTERNAL, Status.UNKNOWN, Status.PERMISSION_DENIED})


class Guard:
    """Stands before every RPC of one server.

    Args:
        counter: told of every RPC.
        now: seconds on a clock that never goes back.
    """

    def __init__(self, *, counter: RpcCounter, now: Callable[[], float]) -> None:
        self._counter = counter
        self._now = now
        self._running = 0
        self._open = True
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def running(self) -> int:
        """How many RPCs run now."""
        return self._running

    @property
    def open(self) -> bool:
        """Whether new RPCs are let in."""
        return self._open

    def close_gate(self) -> None:
        """From now on every new RPC is answered UNAVAILABLE; the running ones go on."""
        self._open = False

    async def wait_idle(self) -> None:
        """Wait until no RPC runs."""
        await self._idle.wait()

    @staticmethod
    def bind_ids(message: Message) -> None:
        """Bind the ids of a decoded request to the log lines of its call."""
        fields = type_info(type(message)).meta_by_field_name
        bind(**{name: getattr(message, name) for name in TOLD_FIELDS if name in fields})

    async def listen(self, event: RecvRequest) -> None:
        """Put the guard around the handler that grpclib is about to call."""
        inner, method = event.method_func, event.method_name.rpartition("/")[2]
        if inner is UNKNOWN.func:
            method = NO_METHOD

        async def outer(stream: Stream[Any, Any]) -> None:
            await self._guarded(method, lambda: inner(stream), stream.deadline)

        event.method_func = outer

    async def _guarded(
        self, method: str, call: Callable[[], Awaitable[None]], deadline: Deadline | None
    ) -> None:
        began_s = self._now()
        self._enter(method)
        bind(method=method)
        status = Status.OK
        error: GRPCError | None = None
        cause: Exception | None = None
        with tracing() as calls:
            try:
                self._refuse_when_closed()
                await _in_time(method, call, deadline)
            except asyncio.CancelledError:
                late = deadline is not None and deadline.time_remaining() < LATE_S
                status = Status.DEADLINE_EXCEEDED if late else Status.CANCELLED
                raise
            except Exception as caught:  # noqa: BLE001 - the table is total
                cause = caught
                error = translate(caught, mutated=bool(calls.mutating))
                status = error.status
                raise error from (None if error is caught else caught)
            finally:
                duration_s = self._now() - began_s
                self._leave(method, status, duration_s)
                _tell(_End(method, status, error, cause, duration_s), calls)

    def _refuse_when_closed(self) -> None:
        if not self._open:
            raise GRPCError(Status.UNAVAILABLE, "the driver is shutting down; try again")

    def _enter(self, method: str) -> None:
        unbind_all()
        self._running += 1
        self._idle.clear()
        self._counter.rpc_began(method)

    def _leave(self, method: str, status: Status, duration_s: float) -> None:
        self._running -= 1
        if not self._running:
            self._idle.set()
        self._counter.rpc_ended(method, code=_code_name(status), duration_s=duration_s)


async def _in_time(
    method: str, call: Callable[[], Awaitable[None]], deadline: Deadline | None
) -> None:
    """Call; and before the caller's time is over tell it what it waits for.

    It hears the same status as if it had hung up (`TimeoutError`), with a reason. Only listening
    ends: what changes something runs as a flight, which goes on.
    """
    progress = Progress(method)
    with progress.current():
        if deadline is None:
            await call()
            return
        left_s = max(deadline.time_remaining(), 0.0)
        await in_time(
            call,
            left_s - min(TOLD_BEFORE_S, left_s / 10),
            told=lambda: progress.waits_for() or progress.told(),
        )


@dataclass(frozen=True, slots=True)
class _End:
    """How one RPC ended."""

    method: str
    status: Status
    error: GRPCError | None
    cause: Exception | None
    duration_s: float


def _tell(end: _End, calls: CallTrace) -> None:
    quiet = end.status is Status.OK and end.method in QUIET
    if quiet and not tells(logging.DEBUG):
        return
    facts: dict[str, object] = {
        "code": _code_name(end.status),
        "duration_s": round(end.duration_s, 3),
    }
    if calls.total:
        facts |= {"cloud_calls": calls.total, "cloud_request_id": calls.last_request_id}
    if end.error is not None:
        facts["error"] = end.error.message or ""
    bug = end.cause is not None and is_bug(end.cause)
    if bug:
        facts["exc_info"] = end.cause
    log = logger()
    if bug or end.status in WORTH_A_LOOK:
        log.error("call ended", **facts)
    elif end.status is not Status.OK:
        log.warning("call ended", **facts)
    elif quiet:
        log.debug("call ended", **facts)
    else:
        log.info("call ended", **facts)


def _code_name(status: Status) -> str:
    """As Go spells it, whose dashboards read it: `DEADLINE_EXCEEDED` is `DeadlineExceeded`."""
    spelled_otherwise = {Status.OK: "OK", Status.CANCELLED: "Canceled"}
    return spelled_otherwise.get(status) or status.name.title().replace("_", "")
