"""What one source tells of a machine: often a part only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

REQUIRED: Final = {"node_id": "instance id", "zone": "zone", "region": "region"}
"""Without these a node can't be registered; the words are for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Facts of a machine; what is not told is empty."""

    node_id: str = ""
    zone: str = ""
    region: str = ""
    instance_type: str = ""
    attached_serials: frozenset[str] | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The words for what a node needs and is not told."""
        return tuple(word for name, word in REQUIRED.items() if not getattr(self, name))

    def or_by(self, later: Known) -> Known:
        """These facts, and what is missing of them by another source."""
        return Known(
            node_id=self.node_id or later.node_id,
            zone=self.zone or later.zone,
            region=self.region or later.region,
            instance_type=self.instance_type or later.instance_type,
            attached_serials=later.attached_serials
            if self.attached_serials is None
            else self.attached_serials,
        )


Ask: TypeAlias = Callable[[], Awaitable[Known]]
"""Asks one source; raises Unreachable when it tells nothing."""
