"""Counts calls from the first one on, and tells them to the metrics once those are there.

The metrics' library takes longer to import than registration likes to wait, so the socket answers
before it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class RpcCounter(Protocol):
    """Told of every CSI call."""

    def rpc_began(self, method: str) -> None:
        """One CSI call came in."""

    def rpc_ended(self, method: str, *, code: str, duration_s: float) -> None:
        """One CSI call got its status."""


class Meter:
    """Keeps what was counted until `tell_to` names a counter; from then on hands it through."""

    def __init__(self) -> None:
        self._counter: RpcCounter | None = None
        self._kept: list[Callable[[RpcCounter], None]] = []

    def tell_to(self, counter: RpcCounter) -> None:
        """Hand over what was kept, in order, and all that follows."""
        for told in self._kept:
            told(counter)
        self._kept.clear()
        self._counter = counter

    def rpc_began(self, method: str) -> None:
        """One CSI call came in."""
        self._tell(lambda counter: counter.rpc_began(method))

    def rpc_ended(self, method: str, *, code: str, duration_s: float) -> None:
        """One CSI call got its status."""
        self._tell(lambda counter: counter.rpc_ended(method, code=code, duration_s=duration_s))

    def _tell(self, told: Callable[[RpcCounter], None]) -> None:
        if self._counter is None:
            self._kept.append(told)
        else:
            told(self._counter)
