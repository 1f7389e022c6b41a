"""Who and where this node is: told by the cloud's metadata service, or by settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from diskcsi.model.ids import NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What a node plug-in tells of its machine.

    Attributes:
        instance_type: the cloud's name of the machine's type; empty when unknown.
        attached_serials: serials of every disk that the cloud attached to this machine, ours
            or not; None when the source can't tell.
    """

    node_id: NodeId
    zone: str
    region: str
    instance_type: str = ""
    attached_serials: frozenset[str] | None = None


class NodeFactsSource(Protocol):
    """Where a node's facts come from."""

    async def facts(self) -> NodeFacts:
        """Read them now.

        Raises:
            Unreachable: the source doesn't answer; the message names the settings that would
                do instead.
        """
