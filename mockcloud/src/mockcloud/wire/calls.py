"""The log of calls, for tests and curious people; it never holds a secret."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

KEPT: Final = 20_000
"""Calls that are kept; the oldest go first."""

HIDDEN_VALUE: Final = "***"
HIDDEN: Final = frozenset({"Signature", "SecurityToken", "SignatureNonce", "AccessKeyId"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call.

    Attributes:
        at: seconds since the epoch.
        target: the request's path and query as they came; of what must not be shown, such as a
            signature that an SDK puts there, the name alone.
        lost: whether the answer was withheld from the caller.
        fault: the kind of the fault that struck it; empty: none did.
        made: the id of the disk or snapshot that the order made, or had made before; empty for
            calls that make none, and for those that failed.
    """

    seq: int
    at: float
    action: str
    access_key_id: str
    params: Mapping[str, str]
    method: str
    target: str
    status: int
    code: str
    request_id: str
    duration_s: float
    lost: bool = False
    fault: str = ""
    made: str = ""

    def told(self) -> dict[str, object]:
        """As a JSON object."""
        return asdict(self)


def shown(params: Mapping[str, str]) -> dict[str, str]:
    """The parameters that may be shown."""
    return {name: value for name, value in params.items() if name not in HIDDEN}


def shown_target(target: str) -> str:
    """The path and query without the values that must not be shown."""
    path, mark, query = target.partition("?")
    pairs = (pair.partition("=") for pair in query.split("&"))
    told = (
        name + (f"={HIDDEN_VALUE}" if name in HIDDEN else is_ + value) for name, is_, value in pairs
    )
    return path + mark + "&".join(told)


class CallLog:
    """The latest calls, oldest first."""

    def __init__(self, *, first: int = 1) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT)
        self._next = first

    def next_seq(self) -> int:
        """A number for the next call."""
        self._next += 1
        return self._next - 1

    @property
    def last(self) -> int:
        """The number of the latest call that began."""
        return self._next - 1

    def add(self, call: Call) -> None:
        """Keep one."""
        self._calls.append(call)

    def since(self, seq: int) -> list[Call]:
        """The calls after number `seq`, in the order they ended."""
        return [call for call in self._calls if call.seq > seq]

    def clear(self) -> None:
        """Forget all of them; the numbers go on."""
        self._calls.clear()
