"""Where disks and nodes are, as maps of topology keys to values (CSI spec, Topology)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Segments: TypeAlias = Mapping[str, str]
"""One place: for each topology key its value, such as a zone's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """Where a caller can use a volume (CSI spec, TopologyRequirement).

    Attributes:
        requisite: the volume must be reachable from at least one of these; empty: anywhere.
        preferred: the same places in the order of preference.
    """

    requisite: tuple[Segments, ...] = ()
    preferred: tuple[Segments, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyKeys:
    """The keys a provider reads and writes.

    Attributes:
        zone: keys that name a zone; all are understood, the first one is put on volumes.
        region: keys that name a region; all are understood.
    """

    zone: tuple[str, ...]
    region: tuple[str, ...] = ()

    def zone_of(self, segments: Segments) -> str | None:
        """The zone that `segments` name, None when they name none."""
        return next((segments[key] for key in self.zone if key in segments), None)

    def region_of(self, segments: Segments) -> str | None:
        """The region that `segments` name, None when they name none."""
        return next((segments[key] for key in self.region if key in segments), None)

    def of_zone(self, zone: str) -> Segments:
        """The segments that a volume of `zone` carries."""
        return {self.zone[0]: zone}
