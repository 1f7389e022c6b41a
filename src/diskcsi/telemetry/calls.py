"""What one RPC asked of the cloud, gathered beside the code that asks.

A `CallTrace` lives in a context variable. Tasks copy their creator's context, so the work that an
RPC starts writes into that RPC's trace, even when the RPC itself is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class CallTrace:
    """The calls to the cloud under one roof.

    Attributes:
        mutating: how many calls went out that change something.
        last_request_id: the cloud's id of the latest call that got an answer.
        within: the wider trace that hears of every call as well.
    """

    total: int = 0
    mutating: int = 0
    last_request_id: str = ""
    within: CallTrace | None = field(default=None, repr=False)

    def note(self, *, mutating: bool, request_id: str) -> None:
        """Count one call here and in the wider traces."""
        self.total += 1
        self.mutating += mutating
        self.last_request_id = request_id or self.last_request_id
        if self.within is not None:
            self.within.note(mutating=mutating, request_id=request_id)


_current: ContextVar[CallTrace | None] = ContextVar("diskcsi_call_trace", default=None)


@contextmanager
def tracing() -> Iterator[CallTrace]:
    """A new trace for the calls of this block and of the tasks it creates."""
    trace = CallTrace(within=_current.get())
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)


def note_call(*, mutating: bool, request_id: str) -> None:
    """Count one call to the cloud; without effect outside of a trace."""
    trace = _current.get()
    if trace is not None:
        trace.note(mutating=mutating, request_id=request_id)
