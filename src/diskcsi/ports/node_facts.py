"""Who and where this node is: told by the cloud's metadata, the Node object, or settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from diskcsi.model.ids import NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What a node plug-in tells of its machine.

    Attributes:
        instance_type: the cloud's name of the machine's type; empty when unknown.
        attached_serials: serials of every disk that the cloud attached to this machine, ours
            or not; None when the source can't tell.
        source: who told them, for the log, such as `metadata service`.
        passed_over: why others that come first did not, for the log; empty when none does.
    """

    node_id: NodeId
    zone: str
    region: str
    instance_type: str = ""
    attached_serials: frozenset[str] | None = None
    source: str = field(default="", compare=False)
    passed_over: str = field(default="", compare=False)


class NodeFactsSource(Protocol):
    """Where a node's facts come from."""

    async def facts(self) -> NodeFacts:
        """Read them now.

        Raises:
            Unreachable: the source doesn't answer; the message names the settings that would
                do instead.
        """
