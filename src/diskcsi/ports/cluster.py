"""The little that is asked of Kubernetes: what it knows of this node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode:
    """A Node object.

    Attributes:
        provider_id: what a cloud's controller manager calls the machine (`spec.providerID`);
            empty where there is none.
        system_uuid: of the machine's firmware, as kubelet read it.
    """

    name: str
    labels: Mapping[str, str]
    provider_id: str = ""
    system_uuid: str = ""


class Cluster(Protocol):
    """Kubernetes, as a node's facts may need it."""

    async def node(self) -> ClusterNode:
        """The Node object of this node, read now.

        Raises:
            Unreachable: Kubernetes doesn't answer, or refuses; the message says what is missing.
        """
        ...
