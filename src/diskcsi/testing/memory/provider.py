"""The cloud in memory as a provider, so that rules are tested with real `Rules`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from diskcsi.model.ids import NodeId
from diskcsi.model.parameters import DiskKind, SnapshotParameters, VolumeParameters
from diskcsi.model.schema import Key, Schema, boolean, comma_list, one_of
from diskcsi.model.sizes import SizeRange
from diskcsi.model.topology import Segments, TopologyKeys
from diskcsi.ports.cloud import CallObserver, CloudProvider
from diskcsi.ports.node_facts import NodeFacts, NodeFactsSource
from diskcsi.ports.provider import SPI_VERSION, DeviceRules, Provider, Rules
from diskcsi.ports.settings import setting
from diskcsi.testing.memory.cloud import MemoryCloud

SIZES: Final = {
    "plain": SizeRange(min_gib=1, max_gib=500),
    "quick": SizeRange(min_gib=20, max_gib=1000),
}
"""The kinds of disk that are sold, by the value of the class's `kind`."""

ZONE_KEY: Final = "topology.memory.example/zone"
REGION_KEY: Final = "topology.memory.example/region"

VOLUME_SCHEMA: Final = Schema(
    what="the StorageClass",
    keys=(
        Key(
            name="kind",
            parse=comma_list(one_of(SIZES)),
            default=("plain",),
            help="comma list of kinds of disk, tried in order",
        ),
        Key(name="zone", parse=comma_list(), default=(), help="comma list of zones"),
        Key(name="region", default="", help="must be the driver's own where it is given"),
        Key(name="shared", parse=boolean(), default=False, help="let several nodes hold the disk"),
        Key(
            name="roundUp", parse=boolean(), default=False,
            help="raise a size below the kind's smallest to that smallest",
        ),
        Key(name="fsType", any_case=True, default="", help="read by the provisioner"),
        Key(name="colour", default=None, help="none", warning="it has no effect"),
    ),
)  # fmt: skip

SNAPSHOT_SCHEMA: Final = Schema(
    what="the VolumeSnapshotClass",
    keys=(Key(name="keepDays", default="", help="accepted", warning="it has no effect"),),
)


def memory_kind(label: str = "plain") -> DiskKind:
    """One of the kinds of disk that are sold."""
    return DiskKind(label=label, sizes=SIZES[label], attributes={"kind": label})


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySettings:
    """Where the cloud in memory pretends to be, and on which of its machines this process runs."""

    region: str = setting(default="region-1", help="region of the disks")
    default_zone: str = setting(default="", help="zone of disks that nothing else places")
    node_id: str = setting(default="node-1", help="this machine's id")
    zone: str = setting(default="zone-a", help="this machine's zone")


def _volume_parameters(given: Mapping[str, str]) -> VolumeParameters:
    parsed = VOLUME_SCHEMA.parse(given)
    return VolumeParameters(
        kinds=tuple(memory_kind(label) for label in parsed.values["kind"]),
        zones=parsed.values["zone"],
        region=parsed.values["region"],
        multi_attach=parsed.values["shared"],
        round_up=parsed.values["roundUp"],
        round_up_key="roundUp",
        warnings=parsed.warnings,
    )


def _snapshot_parameters(given: Mapping[str, str]) -> SnapshotParameters:
    return SnapshotParameters(warnings=SNAPSHOT_SCHEMA.parse(given).warnings)


def _segments(facts: NodeFacts) -> Segments:
    return {ZONE_KEY: facts.zone, REGION_KEY: facts.region}


def memory_rules(settings: MemorySettings) -> Rules:
    """The rules of this cloud."""
    return Rules(
        volume_schema=VOLUME_SCHEMA,
        volume_parameters=_volume_parameters,
        snapshot_parameters=_snapshot_parameters,
        topology=TopologyKeys(zone=(ZONE_KEY,), region=(REGION_KEY,)),
        segments=_segments,
        devices=DeviceRules(serial=lambda _, context: context.get("serialNumber", "")),
        region=settings.region,
        default_zone=settings.default_zone,
        volume_limit={"small": 4, "large": 16}.get,
    )


@asynccontextmanager
async def _open_cloud(
    settings: MemorySettings,  # noqa: ARG001 - it is everywhere
    observer: CallObserver,
) -> AsyncIterator[CloudProvider]:
    yield MemoryCloud(observer=observer)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ToldFacts:
    settings: MemorySettings

    async def facts(self) -> NodeFacts:
        return NodeFacts(
            node_id=NodeId(self.settings.node_id),
            zone=self.settings.zone,
            region=self.settings.region,
            instance_type="large",
        )


@asynccontextmanager
async def _node_facts(settings: MemorySettings) -> AsyncIterator[NodeFactsSource]:
    yield _ToldFacts(settings=settings)


MEMORY_PROVIDER: Final = Provider(
    spi_version=SPI_VERSION,
    name="memory",
    driver_name="memory.diskcsi.example",
    settings_type=MemorySettings,
    rules=memory_rules,
    open_cloud=_open_cloud,
    node_facts=_node_facts,
)

MEMORY_RULES: Final = memory_rules(MemorySettings())
"""The rules with the settings' defaults."""
