"""Faults that a test or a person asks for: lost requests and replies, delays, errors, throttling."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, Final

from mockcloud.errors import ApiError

KINDS: Final = ("error", "delay", "lose_request", "lose_reply", "hold_reply", "throttle")


@dataclass(slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        action: which calls, as a pattern such as `Describe*`.
        kind: one of `KINDS`.
        times: how often it happens yet; 0: until it is removed.
        skip: how many calls pass unharmed first.
        status, code, message: of an `error`.
        delay_s: of a `delay`, before the call is carried out; of a `hold_reply`, after it.
        match: parameters that a call must have to be struck.
    """

    action: str
    kind: str
    times: int = 1
    skip: int = 0
    status: int = 500
    code: str = "InternalError"
    message: str = "The request processing has failed due to some unknown error."
    delay_s: float = 0.0
    match: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.action, str):
            raise ValueError(f"action is {self.action!r}: allowed is a call's name, or a pattern")  # noqa: TRY004
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}: allowed are {', '.join(KINDS)}")
        for name, least in (("times", 0), ("skip", 0), ("status", 400), ("delay_s", 0)):
            value = getattr(self, name)
            fits = isinstance(value, int | float) if name == "delay_s" else type(value) is int
            if not fits or value < least:
                raise ValueError(f"{name} is {value!r}: allowed is a number from {least}")
        if self.match is not None and not isinstance(self.match, Mapping):
            raise ValueError(f"match is {self.match!r}: allowed is an object of parameters")

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> Fault:
        """A fault from a JSON object.

        Raises:
            ValueError: a member is unknown or missing.
        """
        if not isinstance(told, Mapping):
            raise TypeError("a fault is a JSON object")
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(told) - known):
            raise ValueError(
                f"unknown members {', '.join(unknown)}; allowed are {', '.join(sorted(known))}"
            )
        if "action" not in told or "kind" not in told:
            raise ValueError("action and kind are required")
        return cls(**told)

    def check_action(self, actions: Iterable[str]) -> None:
        """Refuse a fault that would never strike.

        Raises:
            ValueError: no action is meant.
        """
        names = sorted(actions)
        if any(fnmatchcase(name, self.action) for name in names):
            return
        near = difflib.get_close_matches(self.action, names, n=1)
        guess = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"
        raise ValueError(f"action is {self.action!r}, which is no call of this mock{guess}")

    @property
    def drops_request(self) -> bool:
        """Whether the connection is cut before the call is carried out."""
        return self.kind == "lose_request"

    @property
    def drops_reply(self) -> bool:
        """Whether the connection is cut after the call was carried out."""
        return self.kind == "lose_reply"

    @property
    def holds_reply(self) -> bool:
        """Whether the call is carried out at once, and the answer comes late."""
        return self.kind == "hold_reply"

    def strikes(self, action: str, params: Mapping[str, str]) -> bool:
        """Whether it hits this call."""
        wanted = self.match or {}
        return fnmatchcase(action, self.action) and all(
            params.get(name) == value for name, value in wanted.items()
        )


class Faults:
    """The faults in force, first come first served; at most one strikes a call."""

    def __init__(self, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._faults: list[Fault] = []
        self._pause = pause

    def add(self, fault: Fault) -> None:
        """From the next call on."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._faults.clear()

    def strike(self, action: str, params: Mapping[str, str]) -> Fault | None:
        """The fault that hits this call, and is used up by it; None: the call is unharmed."""
        for fault in self._faults:
            if not fault.strikes(action, params):
                continue
            if fault.skip:
                fault.skip -= 1
                return None
            if fault.times:
                fault.times -= 1
                if not fault.times:
                    self._faults.remove(fault)
            return fault
        return None

    async def before(self, fault: Fault) -> None:
        """Wait or fail before the call is carried out, as the fault says.

        Raises:
            ApiError: the fault is an error.
        """
        if fault.kind == "delay":
            await self._pause(fault.delay_s)
        elif fault.kind == "throttle":
            raise ApiError(400, "Throttling", "Request was denied due to request throttling.")
        elif fault.kind == "error":
            raise ApiError(fault.status, fault.code, fault.message)

    async def after(self, fault: Fault) -> None:
        """Keep the answer back."""
        await self._pause(fault.delay_s)
