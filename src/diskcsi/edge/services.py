"""The three services that are served, and the answers for all the rest.

An RPC that is not served must still be answered UNIMPLEMENTED with a content type, or Go's clients
read UNKNOWN and stop. The generated base classes do that for every RPC of the contract; `Served`
does it for paths that the contract doesn't know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from diskcsi._proto.csi import v1
from diskcsi.edge.built import Built


class Service(Protocol):
    """What grpclib serves."""

    def __mapping__(self) -> dict[str, Handler]:
        """The handlers by path."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """What a process serves beside Identity; a half that it doesn't serve is None."""

    controller: Service | None
    node: Service | None


def services(*, identity: Service, halves: Built[Halves]) -> Sequence[Service]:
    """Every service of the contract; where we have none it answers UNIMPLEMENTED throughout.

    Identity answers at once. Calls of the halves wait until those are built.
    """

    async def controller() -> Service:
        return (await halves.get()).controller or v1.ControllerBase()

    async def node() -> Service:
        return (await halves.get()).node or v1.NodeBase()

    return (
        identity,
        _Later(v1.ControllerBase(), controller),
        _Later(v1.NodeBase(), node),
        v1.GroupControllerBase(),
        v1.SnapshotMetadataBase(),
    )


class _Later:
    """The paths of a service whose handlers come later."""

    def __init__(self, like: Service, service: Callable[[], Awaitable[Service]]) -> None:
        self._like = like
        self._service = service

    def __mapping__(self) -> dict[str, Handler]:
        return {
            path: handler._replace(func=partial(self._handle, path))
            for path, handler in self._like.__mapping__().items()
        }

    async def _handle(self, path: str, stream: Any) -> None:  # noqa: ANN401 - grpclib's own
        service = await self._service()
        await service.__mapping__()[path].func(stream)


class _AnyMessage(v1.ProbeRequest):
    """Never decoded: an unknown path's request is not read."""


async def _unknown_path(stream: object) -> None:  # noqa: ARG001 - answered without a look
    raise GRPCError(Status.UNIMPLEMENTED, "no such method")


UNKNOWN: Final = Handler(_unknown_path, Cardinality.UNARY_UNARY, _AnyMessage, _AnyMessage)


class Served(dict[str, Handler]):
    """Handlers by path, with an answer for paths that nobody serves."""

    def get(self, path: str, default: object = None) -> Handler:  # noqa: ARG002
        """The path's handler, or the one that answers UNIMPLEMENTED."""
        return super().get(path) or UNKNOWN
