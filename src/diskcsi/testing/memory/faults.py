"""What goes wrong with a call, and when: told before it happens, by the name of the port's method."""

from __future__ import annotations

from asyncio import Event
from dataclasses import dataclass
from fnmatch import fnmatchcase

from diskcsi.model.errors import DiskError, Throttled


@dataclass(slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong with the next calls that it strikes.

    Attributes:
        action: which methods, as a pattern such as `get_*`.
        times: how many calls it strikes yet.
        error: raised in place of the effect.
        loses_request: the call never arrives.
        loses_reply: the effect happens, and the caller never hears of it.
        late_s: the caller gives up at once, and the effect happens this many seconds later.
        gate: the call waits for it before its effect.
    """

    action: str
    times: int = 1
    error: Exception | None = None
    loses_request: bool = False
    loses_reply: bool = False
    late_s: float | None = None
    gate: Event | None = None


class Faults:
    """The faults that wait for their calls, first come first served; one strikes a call."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def lose_request(self, action: str, *, times: int = 1) -> None:
        """The calls never arrive; whoever made them can't tell."""
        self._waiting.append(Fault(action=action, times=times, loses_request=True))

    def lose_reply(self, action: str, *, times: int = 1) -> None:
        """The calls have their effect; whoever made them can't tell."""
        self._waiting.append(Fault(action=action, times=times, loses_reply=True))

    def arrive_late(self, action: str, *, after_s: float, times: int = 1) -> None:
        """The calls are given up, and have their effect so many seconds later all the same."""
        self._waiting.append(Fault(action=action, times=times, late_s=after_s))

    def throttle(self, action: str, *, times: int = 1) -> None:
        """The calls are refused for their rate."""
        self.refuse(action, Throttled("too many calls", code="TooMany"), times=times)

    def refuse(self, action: str, error: Exception, *, times: int = 1) -> None:
        """The calls are answered with this error and have no effect; a `DiskError`, or a bug."""
        self._waiting.append(Fault(action=action, times=times, error=error))

    def hold(self, action: str) -> Event:
        """The next such call waits for the event before it has its effect."""
        gate = Event()
        self._waiting.append(Fault(action=action, gate=gate))
        return gate

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._waiting.clear()

    def next(self, action: str) -> Fault | None:
        """The fault that strikes this call, counted off."""
        for fault in self._waiting:
            if fnmatchcase(action, fault.action):
                fault.times -= 1
                if not fault.times:
                    self._waiting.remove(fault)
                return fault
        return None


def code_of(error: BaseException) -> str:
    """What a `CloudCall` tells of a call that ended so."""
    if isinstance(error, DiskError) and error.code:
        return error.code
    return type(error).__name__
