"""A provider that does nothing: its disks are on every node before anybody asks for them.

What a cluster takes with it is what Kubernetes, the sidecars and the mounts take, and the driver's
own work; whatever another provider takes beyond that is its cloud's. Each disk is given once: it is
not blank any more after that. What is made lives as long as the process, so there must be one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from diskcsi.spi import (
    CallObserver,
    Capability,
    CloudProvider,
    DeviceRules,
    Disk,
    DiskKind,
    DiskSpec,
    DiskState,
    Exhausted,
    Key,
    Node,
    NodeFacts,
    NodeFactsSource,
    NodeId,
    NodeSlots,
    NoSnapshots,
    NotFound,
    Provider,
    Rules,
    Schema,
    SizeRange,
    SnapshotParameters,
    TopologyKeys,
    Unsupported,
    VolumeId,
    VolumeParameters,
    setting,
)

ZONE_KEY = "topology.instant.diskcsi.io/zone"
ZONE = "here"
SIZES = SizeRange(min_gib=1, max_gib=1)
CLASS_KEYS = Schema(
    what="the StorageClass",
    keys=(Key(name="fsType", any_case=True, help="read by the provisioner"),),
)
SNAPSHOT_KEYS = Schema(what="the VolumeSnapshotClass", keys=())
AT_ONCE = 1000
"""Attaches of one node that run beside each other: as many as there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstantSettings:
    """What an operator can say."""

    serials: tuple[str, ...] = setting(default=(), help="of the disks that every node has")
    node: str = setting(default="", env=("KUBE_NODE_NAME",), help="the id of this machine")


class InstantCloud(NoSnapshots):
    """Disks of 1 GiB, as many as there are serials."""

    capabilities = frozenset({Capability.EXPAND, Capability.SNAPSHOTS})
    """Neither is asked for; without them the sidecars of both would not run beside the others."""

    read_batch = 100

    def __init__(self, serials: Sequence[str]) -> None:
        self._blank = list(serials)
        self._disks: dict[VolumeId, Disk] = {}

    async def check(self) -> None:
        """It always answers."""

    async def find_disks(self, name: str) -> Sequence[Disk]:
        """The disk of this name, or none."""
        return [disk for disk in self._disks.values() if disk.name == name]

    async def get_disks(self, volume_ids: Collection[VolumeId]) -> Mapping[VolumeId, Disk]:
        """Those that were given and not deleted."""
        return {one: self._disks[one] for one in volume_ids if one in self._disks}

    async def create_disk(self, spec: DiskSpec) -> VolumeId:
        """Give the next one."""
        for found in await self.find_disks(spec.name):
            return found.id
        if not self._blank:
            raise Exhausted("no disk is left that was never used")
        serial = self._blank.pop(0)
        disk = Disk(
            id=VolumeId(f"v-{serial}"), size_gib=spec.size_gib, state=DiskState.AVAILABLE,
            name=spec.name, zone=ZONE, serial=serial,
        )  # fmt: skip
        self._disks[disk.id] = disk
        return disk.id

    async def delete_disk(self, volume_id: VolumeId) -> None:
        """Forget it."""
        self._existing(volume_id)
        del self._disks[volume_id]

    async def resize_disk(self, volume_id: VolumeId, size_gib: int) -> None:
        """Its disks have one size."""
        raise Unsupported(f"disk {volume_id} can't have {size_gib} GiB")

    async def attach_disk(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """Note who has it; every node sees it anyway."""
        self._disks[volume_id] = replace(
            self._existing(volume_id), state=DiskState.IN_USE, attached_to=frozenset({node_id})
        )

    async def detach_disk(self, volume_id: VolumeId, node_id: NodeId) -> None:  # noqa: ARG002
        """Note that nobody has it."""
        self._disks[volume_id] = replace(
            self._existing(volume_id), state=DiskState.AVAILABLE, attached_to=frozenset()
        )

    async def get_node(self, node_id: NodeId) -> Node | None:
        """Any node will do."""
        return Node(id=node_id, zone=ZONE)

    def _existing(self, volume_id: VolumeId) -> Disk:
        if volume_id not in self._disks:
            raise NotFound(f"disk {volume_id} is absent")
        return self._disks[volume_id]


def volume_parameters(given: Mapping[str, str]) -> VolumeParameters:
    """A StorageClass, parsed."""
    CLASS_KEYS.parse(given)
    return VolumeParameters(kinds=(DiskKind(label="instant", sizes=SIZES),))


def snapshot_parameters(given: Mapping[str, str]) -> SnapshotParameters:
    """A snapshot class, parsed; nobody asks for one."""
    SNAPSHOT_KEYS.parse(given)
    return SnapshotParameters()


def rules(settings: InstantSettings) -> Rules:  # noqa: ARG001 - the rules are always the same
    """What the driver has to know of this cloud."""
    return Rules(
        volume_schema=CLASS_KEYS,
        volume_parameters=volume_parameters,
        snapshot_parameters=snapshot_parameters,
        topology=TopologyKeys(zone=(ZONE_KEY,)),
        segments=lambda facts: {ZONE_KEY: facts.zone},
        devices=DeviceRules(serial=lambda _, context: context.get("serialNumber", "")),
        default_zone=ZONE,
        slots=NodeSlots(attach=AT_ONCE, detach=AT_ONCE),
    )


@asynccontextmanager
async def open_cloud(
    settings: InstantSettings,
    observer: CallObserver,  # noqa: ARG001 - no call goes out
) -> AsyncIterator[CloudProvider]:
    """The cloud, while the driver runs."""
    yield InstantCloud(settings.serials)


@dataclass(frozen=True, slots=True)
class Told:
    """A machine's facts from its settings."""

    settings: InstantSettings

    async def facts(self) -> NodeFacts:
        """Who and where this machine is."""
        return NodeFacts(node_id=NodeId(self.settings.node), zone=ZONE, region="")


@asynccontextmanager
async def node_facts(settings: InstantSettings) -> AsyncIterator[NodeFactsSource]:
    """The source of the machine's facts, while the driver runs."""
    yield Told(settings)


INSTANT = Provider(
    spi_version=1,
    name="instant",
    driver_name="instant.diskcsi.io",
    settings_type=InstantSettings,
    rules=rules,
    open_cloud=open_cloud,
    node_facts=node_facts,
)
