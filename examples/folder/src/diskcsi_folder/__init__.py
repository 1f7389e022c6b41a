"""Disks in a folder, attached by losetup: an example of a provider for diskcsi."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from diskcsi.spi import (
    CallObserver,
    CloudProvider,
    DeviceRules,
    DiskKind,
    Key,
    NodeFacts,
    NodeFactsSource,
    NodeId,
    Provider,
    Rules,
    Schema,
    SizeRange,
    SnapshotParameters,
    TopologyKeys,
    VolumeParameters,
    setting,
)

ZONE_KEY = "topology.folder.example.org/zone"
ZONE = "here"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderSettings:
    """What an operator can say: by flag, environment or file."""

    folder: str = setting(default="/var/lib/diskcsi-folder", help="where the disks are")
    nodes: tuple[str, ...] = setting(help="ids of all machines that see the folder")
    node: str = setting(default="", env=("KUBE_NODE_NAME",), help="the id of this machine")

    def __post_init__(self) -> None:
        if not self.folder.startswith("/"):
            raise ValueError(f"folder is {self.folder!r}: allowed is an absolute path")


CLASS_KEYS = Schema(
    what="the StorageClass",
    keys=(Key(name="fsType", any_case=True, help="read by the provisioner"),),
)
SNAPSHOT_KEYS = Schema(what="the VolumeSnapshotClass", keys=())


def volume_parameters(given: Mapping[str, str]) -> VolumeParameters:
    """A StorageClass, parsed; unknown keys are refused."""
    CLASS_KEYS.parse(given)
    kind = DiskKind(label="file", sizes=SizeRange(min_gib=1, max_gib=1024))
    return VolumeParameters(kinds=(kind,))


def snapshot_parameters(given: Mapping[str, str]) -> SnapshotParameters:
    """A snapshot class, parsed; nobody asks for one."""
    SNAPSHOT_KEYS.parse(given)
    return SnapshotParameters()


def rules(settings: FolderSettings) -> Rules:  # noqa: ARG001 - every folder has the same rules
    """What the driver has to know of this cloud."""
    return Rules(
        volume_schema=CLASS_KEYS,
        volume_parameters=volume_parameters,
        snapshot_parameters=snapshot_parameters,
        topology=TopologyKeys(zone=(ZONE_KEY,)),
        segments=lambda facts: {ZONE_KEY: facts.zone},
        devices=DeviceRules(serial=lambda _, context: context.get("serialNumber", "")),
        default_zone=ZONE,
    )


@asynccontextmanager
async def open_cloud(
    settings: FolderSettings, observer: CallObserver
) -> AsyncIterator[CloudProvider]:
    """The cloud, while the driver runs; a real one opens its HTTP session here."""
    from diskcsi_folder.cloud import FolderCloud  # late: the driver's socket answers first

    yield FolderCloud(settings, observer, zone=ZONE)


@dataclass(frozen=True, slots=True)
class Told:
    """A machine's facts from its settings; a real cloud has a metadata service."""

    settings: FolderSettings

    async def facts(self) -> NodeFacts:
        """Who and where this machine is."""
        return NodeFacts(node_id=NodeId(self.settings.node), zone=ZONE, region="")


@asynccontextmanager
async def node_facts(settings: FolderSettings) -> AsyncIterator[NodeFactsSource]:
    """The source of the machine's facts, while the driver runs."""
    yield Told(settings)


FOLDER = Provider(
    spi_version=1,
    name="folder",
    driver_name="folder.example.org",
    settings_type=FolderSettings,
    rules=rules,
    open_cloud=open_cloud,
    node_facts=node_facts,
)
