"""What the rules need to know: one kind of disk, one zone, and the link by which a disk is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from diskcsi.providers.local.settings import LocalSettings
from diskcsi.spi import (
    DeviceRules,
    DiskKind,
    Key,
    NodeFacts,
    NodeId,
    NodeSlots,
    Rules,
    Schema,
    SizeRange,
    SnapshotParameters,
    TopologyKeys,
    VolumeParameters,
)

ZONE_KEY: Final = "topology.local.diskcsi.io/zone"

LARGEST_GIB: Final = 16 * 1024
"""The largest file that ext4 holds with its usual blocks of 4 KiB: 16 TiB."""

FILES: Final = DiskKind(label="file", sizes=SizeRange(min_gib=1, max_gib=LARGEST_GIB))

VOLUME_SCHEMA: Final = Schema(
    what="the StorageClass",
    keys=(Key(name="fsType", any_case=True, default="", help="read by the provisioner"),),
)
SNAPSHOT_SCHEMA: Final = Schema(what="the VolumeSnapshotClass", keys=())

AT_ONCE: Final = 8
"""Attaches that one node takes at once: each is a few system calls."""


def rules_for(settings: LocalSettings) -> Rules:
    """The rules of one directory."""
    return Rules(
        volume_schema=VOLUME_SCHEMA,
        volume_parameters=_volume_parameters,
        snapshot_parameters=_snapshot_parameters,
        topology=TopologyKeys(zone=(ZONE_KEY,)),
        segments=lambda facts: {ZONE_KEY: facts.zone},
        devices=DeviceRules(serial=lambda _, context: context.get("serialNumber", "")),
        default_zone=settings.zone,
        slots=NodeSlots(attach=AT_ONCE),
    )


def _volume_parameters(given: Mapping[str, str]) -> VolumeParameters:
    VOLUME_SCHEMA.parse(given)
    return VolumeParameters(kinds=(FILES,))


def _snapshot_parameters(given: Mapping[str, str]) -> SnapshotParameters:
    SNAPSHOT_SCHEMA.parse(given)
    return SnapshotParameters()


@dataclass(frozen=True, slots=True)
class ToldFacts:
    """A node's facts from the settings; there is nobody else to ask."""

    settings: LocalSettings

    async def facts(self) -> NodeFacts:
        """This node."""
        return NodeFacts(
            node_id=NodeId(self.settings.this_node), zone=self.settings.zone, region=""
        )
