"""A node plug-in's rules over a machine in memory, and requests as kubelet makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from diskcsi.aio.flights import Flights
from diskcsi.aio.locks import KeyedLock
from diskcsi.model.capabilities import AccessMode, BlockAccess, MountAccess, VolumeCapability
from diskcsi.model.ids import VolumeId
from diskcsi.model.sizes import Capacity
from diskcsi.node.deps import NodeDeps
from diskcsi.node.expand import NodeExpander
from diskcsi.node.foreign import ForeignDisks
from diskcsi.node.publish import Publisher
from diskcsi.node.requests import Expand, Publish, Stage
from diskcsi.node.stage import Stager
from diskcsi.node.stats import StatsReader
from diskcsi.ports.provider import DeviceRules
from diskcsi.testing.host import GIB, FakeHost

VOLUME, SERIAL = VolumeId("d-one"), "one"
OTHER_VOLUME, OTHER_SERIAL = VolumeId("d-two"), "two"
KUBELET = "/var/lib/kubelet"
STAGING = f"{KUBELET}/plugins/kubernetes.io/csi/disk.example/0a1b/globalmount"
OTHER_STAGING = f"{KUBELET}/plugins/kubernetes.io/csi/disk.example/2c3d/globalmount"
RAW = f"{STAGING}/{VOLUME}"
TARGET = f"{KUBELET}/pods/1/volumes/kubernetes.io~csi/pv-one/mount"
OTHER_TARGET = f"{KUBELET}/pods/2/volumes/kubernetes.io~csi/pv-one/mount"
WRITER = AccessMode.SINGLE_NODE_WRITER
SHARED = AccessMode.SINGLE_NODE_MULTI_WRITER
READER = AccessMode.SINGLE_NODE_READER_ONLY


def context(serial: str = SERIAL, size_gib: int = 20) -> dict[str, str]:
    """What the controller tells of an attached disk."""
    return {"serialNumber": serial, "sizeBytes": str(size_gib * GIB)}


def mounted(
    fs_type: str = "ext4", *, flags: Sequence[str] = (), mode: AccessMode = SHARED
) -> VolumeCapability:
    """A filesystem."""
    return VolumeCapability(
        mode=mode, access=MountAccess(fs_type=fs_type, mount_flags=tuple(flags))
    )


def raw(mode: AccessMode = SHARED) -> VolumeCapability:
    """A raw device."""
    return VolumeCapability(mode=mode, access=BlockAccess())


STAGE = Stage(
    volume_id=VOLUME, staging_path=STAGING, capability=mounted(), publish_context=context()
)
PUBLISH = Publish(
    volume_id=VOLUME,
    staging_path=STAGING,
    target_path=TARGET,
    capability=mounted(),
    publish_context=context(),
)
RAW_STAGE = replace(STAGE, capability=raw())
RAW_PUBLISH = replace(PUBLISH, capability=raw())


def expand(size_gib: int, path: str = TARGET) -> Expand:
    """A growth of the volume to this size."""
    return Expand(
        volume_id=VOLUME,
        volume_path=path,
        staging_path=STAGING,
        capacity=Capacity(required_bytes=size_gib * GIB),
    )


def serial_of(volume_id: VolumeId, given: Mapping[str, str]) -> str:
    """The context's word, else what the id tells."""
    return given.get("serialNumber", volume_id.removeprefix("d-"))


@dataclass(kw_only=True)
class Machine:
    """The rules under test and the host below them."""

    host: FakeHost
    deps: NodeDeps
    foreign: ForeignDisks
    stager: Stager
    publisher: Publisher
    expander: NodeExpander
    stats: StatsReader


def machine(
    tasks: asyncio.TaskGroup, *, check_filesystems: bool = True, flight_s: float = 300.0
) -> Machine:
    """A machine without disks."""
    host = FakeHost()
    deps = NodeDeps(
        devices=host,
        filesystems=host,
        mounts=host,
        marks=host,
        rules=DeviceRules(serial=serial_of),
        flights=Flights(tasks=tasks),
        volumes=KeyedLock(),
        default_fs_type="ext4",
        check_filesystems=check_filesystems,
        flight_s=flight_s,
    )
    foreign = ForeignDisks(notes=host)
    stager = Stager(deps=deps, foreign=foreign)
    return Machine(
        host=host,
        deps=deps,
        foreign=foreign,
        stager=stager,
        publisher=Publisher(deps=deps, stager=stager),
        expander=NodeExpander(deps=deps),
        stats=StatsReader(deps=deps),
    )
