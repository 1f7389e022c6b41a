"""The three services that are served, and the answers for all the rest.

An RPC that is not served must still be answered UNIMPLEMENTED with a content type, or Go's clients
read UNKNOWN and stop. The generated base classes do that for every RPC of the contract; `Served`
does it for paths that the contract doesn't know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from diskcsi._proto.csi import v1
from diskcsi.edge.controller import ControllerService
from diskcsi.edge.identity import IdentityService
from diskcsi.edge.node import NodeService


class Service(Protocol):
    """What grpclib serves."""

    def __mapping__(self) -> dict[str, Handler]:
        """The handlers by path."""
        ...


def services(
    *,
    identity: IdentityService,
    controller: ControllerService | None,
    node: NodeService | None,
) -> Sequence[Service]:
    """Every service of the contract; where we have none it answers UNIMPLEMENTED throughout."""
    return (
        identity,
        controller or v1.ControllerBase(),
        node or v1.NodeBase(),
        v1.GroupControllerBase(),
        v1.SnapshotMetadataBase(),
    )


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
