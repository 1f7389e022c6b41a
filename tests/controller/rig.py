"""A controller's rules over the cloud in memory, and requests as the sidecars make them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

import pytest

from diskcsi.aio.flights import Flights
from diskcsi.aio.limiter import Slots
from diskcsi.aio.locks import KeyedLock
from diskcsi.controller.attach import Attacher
from diskcsi.controller.create import VolumeCreator
from diskcsi.controller.delete import VolumeDeleter
from diskcsi.controller.deps import Deps
from diskcsi.controller.disks import DiskReader
from diskcsi.controller.expand import VolumeExpander
from diskcsi.controller.requests import CreateSnapshot, CreateVolume, Volume
from diskcsi.controller.snapshots import Snapshotter
from diskcsi.controller.validate import VolumeValidator
from diskcsi.model.capabilities import AccessMode, BlockAccess, MountAccess, VolumeCapability
from diskcsi.model.ids import NodeId, VolumeId
from diskcsi.model.sizes import GIB, Capacity
from diskcsi.model.topology import Requirement
from diskcsi.model.volume import Disk, DiskState, Snapshot
from diskcsi.ports.cloud import CloudCall
from diskcsi.ports.provider import Rules
from diskcsi.telemetry.calls import note_call
from diskcsi.testing.memory import MEMORY_RULES, ZONE_KEY, MemoryCloud

NODE, OTHER_NODE, FAR_NODE = NodeId("node-1"), NodeId("node-2"), NodeId("node-3")
ABSENT = VolumeId("disk-9999")

SIDECAR_S = 0.5
"""What a sidecar waits after the first failure of a call, as the chart starts it."""

MOUNT = VolumeCapability(mode=AccessMode.SINGLE_NODE_WRITER, access=MountAccess(fs_type="ext4"))
BLOCK = VolumeCapability(mode=AccessMode.SINGLE_NODE_WRITER, access=BlockAccess())
SHARED_BLOCK = VolumeCapability(mode=AccessMode.MULTI_NODE_MULTI_WRITER, access=BlockAccess())


def zones(*names: str) -> Requirement:
    """What the scheduler asks for: these zones, in this order of preference."""
    places = tuple({ZONE_KEY: name} for name in names)
    return Requirement(requisite=tuple(reversed(places)), preferred=places)


def gib(required: int = 0, limit: int = 0) -> Capacity:
    """A capacity range in GiB."""
    return Capacity(required_bytes=required * GIB, limit_bytes=limit * GIB)


ORDER = CreateVolume(
    name="pvc-1", capabilities=(MOUNT,), capacity=gib(20), requirement=zones("zone-a")
)


LOSSES = [
    pytest.param("lose_reply", "", id="lost-reply"),
    pytest.param("lose_request", "", id="lost-request"),
    pytest.param("throttle", "", id="api-throttled"),
    pytest.param("throttle", "get_disks", id="api-throttled-reads"),
]
"""What may happen to a change or, where an action is named, to the reads around it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """One controller process and its cloud."""

    cloud: MemoryCloud
    deps: Deps
    tasks: asyncio.TaskGroup

    @property
    def creator(self) -> VolumeCreator:
        return VolumeCreator(deps=self.deps)

    @property
    def deleter(self) -> VolumeDeleter:
        return VolumeDeleter(deps=self.deps)

    @property
    def attacher(self) -> Attacher:
        return Attacher(deps=self.deps)

    @property
    def expander(self) -> VolumeExpander:
        return VolumeExpander(deps=self.deps)

    @property
    def snapshotter(self) -> Snapshotter:
        return Snapshotter(deps=self.deps)

    @property
    def validator(self) -> VolumeValidator:
        return VolumeValidator(deps=self.deps)

    def restarted(self, *, rules: Rules | None = None) -> Rig:
        """Another process, which remembers nothing, over the same cloud."""
        return build(self.cloud, self.tasks, rules=rules or self.deps.rules)

    async def create(self, order: CreateVolume = ORDER, **changes: object) -> Volume:
        """A volume, made or found again."""
        return await self.creator.create(replace(order, **changes))  # type: ignore[arg-type] # its fields

    async def attach(
        self, volume_id: VolumeId, node_id: NodeId = NODE, capability: VolumeCapability = MOUNT
    ) -> Mapping[str, str]:
        """The publish context of a disk that the node holds now."""
        return await self.attacher.attach(volume_id, node_id, capability)

    async def detach(self, volume_id: VolumeId, node_id: NodeId | None = NODE) -> None:
        """The node holds the disk no more."""
        await self.attacher.detach(volume_id, node_id)

    async def snapshot(self, volume_id: VolumeId, name: str = "snapshot-1") -> Snapshot:
        """A snapshot, made or found again."""
        return await self.snapshotter.create(CreateSnapshot(name=name, source_volume_id=volume_id))

    def disks(self) -> list[Disk]:
        """What is there, looked at from behind."""
        self.cloud.state.pass_time()
        return list(self.cloud.state.disks.values())

    def disk(self, volume_id: VolumeId) -> Disk:
        """One disk, looked at from behind."""
        self.cloud.state.pass_time()
        return self.cloud.state.disks[volume_id]

    def given_disk(self, name: str = "given", **changes: object) -> Disk:
        """A disk that was there before."""
        disk = Disk(
            id=VolumeId(f"disk-{name}"),
            size_gib=20,
            state=DiskState.AVAILABLE,
            name=name,
            zone="zone-a",
            serial=name,
            attributes={"kind": "plain"},
        )
        disk = replace(disk, **changes)  # type: ignore[arg-type] # its fields
        self.cloud.state.disks[disk.id] = disk
        return disk

    def begin(self, work: object) -> asyncio.Task[object]:
        """Run this beside the test, as another RPC; the test awaits it."""
        return asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type] # a coroutine


def build(cloud: MemoryCloud, tasks: asyncio.TaskGroup, *, rules: Rules = MEMORY_RULES) -> Rig:
    """One controller over `cloud`."""
    random = Random(1)
    return Rig(
        cloud=cloud,
        tasks=tasks,
        deps=Deps(
            cloud=cloud,
            rules=rules,
            disks=DiskReader(cloud=cloud, tasks=tasks, random=random),
            flights=Flights(tasks=tasks),
            slots=Slots.shared(1),
            volumes=KeyedLock(),
            random=random,
        ),
    )


def observe(call: CloudCall) -> None:
    """What the application's observer does for the rules."""
    note_call(mutating=call.mutating, request_id=call.request_id)
