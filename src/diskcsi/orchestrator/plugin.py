"""A CSI plug-in behind its socket."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from diskcsi._proto.csi import v1

Answer = TypeVar("Answer")

NOT_FINAL: Final = frozenset(
    {Status.CANCELLED, Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE, Status.ABORTED}
)
"""After these codes what was asked for may exist, or come to exist, and callers ask again; any
other one says that nothing was made (the sidecars' common `IsFinalError`)."""


class CallFailed(Exception):  # noqa: N818 - reads as what happened
    """A call ended with a code other than OK."""

    def __init__(self, status: Status, message: str) -> None:
        super().__init__(f"{status.name}: {message}")
        self.status = status
        self.message = message

    @property
    def final(self) -> bool:
        """Whether a provisioner takes it for the last word."""
        return self.status not in NOT_FINAL


class Plugin:
    """The three services behind one socket; use it as an asynchronous context.

    The stubs' calls raise grpclib's errors; `failures` turns them into `CallFailed`.
    """

    def __init__(self, socket: Path) -> None:
        self._channel = Channel(path=str(socket))
        self.identity = v1.IdentityStub(self._channel)
        self.controller = v1.ControllerStub(self._channel)
        self.node = v1.NodeStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()


@contextmanager
def failures() -> Iterator[None]:
    """Tell of a call's failure as callers see it: with a code, also where nobody answered.

    A lost connection reads UNAVAILABLE, and a deadline that passed here DEADLINE_EXCEEDED.

    Raises:
        CallFailed: the call inside ended with a code other than OK.
    """
    try:
        yield
    except GRPCError as error:
        raise CallFailed(error.status, error.message or "") from error
    except TimeoutError as error:  # an OSError, too
        raise CallFailed(Status.DEADLINE_EXCEEDED, "no answer in time") from error
    except (StreamTerminatedError, OSError) as error:
        raise CallFailed(Status.UNAVAILABLE, f"connection lost: {error}") from error


async def answered(call: Awaitable[Answer]) -> Answer:
    """The answer of one call.

    Raises:
        CallFailed: it ended with a code other than OK.
    """
    with failures():
        return await call
