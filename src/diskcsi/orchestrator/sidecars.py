"""What the stock sidecars ask of a controller: their order, time limits, retries, and finality.

Each asks again after a code that isn't final, with a growing pause, until its patience ends. What
is final is raised at once: the sidecar writes it to the user's object.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from betterproto import which_one_of
from grpclib.const import Status

from diskcsi._proto.csi import v1
from diskcsi.orchestrator.plugin import NOT_FINAL, CallFailed, Plugin, answered

Answer = TypeVar("Answer")

GIB: Final = 1024**3
_Mode = v1.VolumeCapabilityAccessModeMode

NOT_FINAL_BUT_AT_CREATE: Final = NOT_FINAL | {Status.RESOURCE_EXHAUSTED}
"""Where no claim could be scheduled elsewhere, callers wait for room; only a provisioner gives up."""


class NotAsAsked(Exception):  # noqa: N818 - reads as what happened
    """A driver called a volume made that isn't what was asked for; the message says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a caller waits, in seconds.

    Attributes:
        call_s: the deadline of one call.
        first_pause_s, longest_pause_s: between two calls; it doubles.
        total_s: after this the latest failure is raised. A sidecar never ends; a demo has to.
        not_final: the codes after which it asks again.
    """

    call_s: float
    first_pause_s: float = 1.0
    longest_pause_s: float = 300.0
    total_s: float = 120.0
    not_final: frozenset[Status] = NOT_FINAL_BUT_AT_CREATE


PROVISIONER: Final = Patience(call_s=15.0, not_final=NOT_FINAL)
ATTACHER: Final = Patience(call_s=15.0)
RESIZER: Final = Patience(call_s=10.0)
SNAPSHOTTER: Final = Patience(call_s=60.0)
"""The sidecars' own defaults for a call."""


async def persisted(call: Callable[[float], Awaitable[Answer]], patience: Patience) -> Answer:
    """The answer of `call`, which gets its deadline and is asked again while nothing is final.

    Raises:
        CallFailed: with a final code, or the latest one when the patience ends.
    """
    loop = asyncio.get_running_loop()
    end_s, pause_s = loop.time() + patience.total_s, patience.first_pause_s
    while True:
        try:
            return await answered(call(patience.call_s))
        except CallFailed as failed:
            last_word = failed.status not in patience.not_final
            if last_word or loop.time() + pause_s > end_s:
                raise
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, patience.longest_pause_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What somebody asks storage for, and the class that serves it.

    Attributes:
        name: the volume's name; a sidecar makes it of the claim's uid.
        parameters: of the StorageClass.
        places: topologies that would do, the preferred one first; none where the class binds
            at once.
        snapshot_id: what it is restored from; empty for an empty volume.
    """

    name: str
    size_gib: int
    fs_type: str = "ext4"
    parameters: Mapping[str, str] = field(default_factory=dict)
    places: Sequence[Mapping[str, str]] = ()
    snapshot_id: str = ""

    @property
    def capability(self) -> v1.VolumeCapability:
        """One node writes to a filesystem."""
        return v1.VolumeCapability(
            mount=v1.VolumeCapabilityMountVolume(fs_type=self.fs_type),
            access_mode=v1.VolumeCapabilityAccessMode(mode=_Mode(_Mode.SINGLE_NODE_WRITER)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume that was made for a claim."""

    claim: Claim
    id: str
    size_gib: int
    context: Mapping[str, str]
    segments: Mapping[str, str]


def _origin(told: v1.Volume) -> str:
    _, source = which_one_of(told.content_source, "type")
    if isinstance(source, v1.VolumeContentSourceSnapshotSource):
        return source.snapshot_id
    return ""


def _misfit(volume: Volume, snapshot_id: str) -> str:
    if volume.size_gib < volume.claim.size_gib:
        return f"has {volume.size_gib} GiB, less than asked for"
    if snapshot_id != volume.claim.snapshot_id:
        return f"is told to be made of {snapshot_id!r}, not of {volume.claim.snapshot_id!r}"
    return ""


class Sidecars:
    """Provisioner, attacher, resizer and snapshotter of one controller."""

    def __init__(self, plugin: Plugin) -> None:
        self._controller = plugin.controller

    async def provision(self, claim: Claim) -> Volume:
        """Make the volume of a claim; one that isn't what was asked for is deleted again, as there.

        Raises:
            CallFailed: with the reason that a claim's user would read.
            NotAsAsked: it is too small, or isn't told to hold what it was to be restored from.
        """
        request = v1.CreateVolumeRequest(
            name=claim.name,
            capacity_range=v1.CapacityRange(required_bytes=claim.size_gib * GIB),
            volume_capabilities=[claim.capability],
            parameters=dict(claim.parameters),
        )
        if claim.places:
            places = [v1.Topology(segments=dict(place)) for place in claim.places]
            request.accessibility_requirements = v1.TopologyRequirement(
                requisite=places, preferred=places
            )
        if claim.snapshot_id:
            request.volume_content_source = v1.VolumeContentSource(
                snapshot=v1.VolumeContentSourceSnapshotSource(snapshot_id=claim.snapshot_id)
            )
        answer = await persisted(
            lambda timeout: self._controller.create_volume(request, timeout=timeout), PROVISIONER
        )
        made = Volume(
            claim=claim,
            id=answer.volume.volume_id,
            size_gib=answer.volume.capacity_bytes // GIB,
            context=answer.volume.volume_context,
            segments=answer.volume.accessible_topology[0].segments
            if answer.volume.accessible_topology
            else {},
        )
        if fault := _misfit(made, _origin(answer.volume)):
            await self.delete(made.id)
            raise NotAsAsked(f"{made.id} {fault}")
        return made

    async def delete(self, volume_id: str) -> None:
        """Delete a volume."""
        request = v1.DeleteVolumeRequest(volume_id=volume_id)
        await persisted(
            lambda timeout: self._controller.delete_volume(request, timeout=timeout), PROVISIONER
        )

    async def attach(self, volume: Volume, node_id: str) -> Mapping[str, str]:
        """Attach, with the second call that the stock attacher mostly makes; the context."""
        request = v1.ControllerPublishVolumeRequest(
            volume_id=volume.id,
            node_id=node_id,
            volume_capability=volume.claim.capability,
            volume_context=dict(volume.context),
        )
        answer = v1.ControllerPublishVolumeResponse()
        for _ in range(2):
            answer = await persisted(
                lambda timeout: self._controller.controller_publish_volume(
                    request, timeout=timeout
                ),
                ATTACHER,
            )
        return answer.publish_context

    async def detach(self, volume_id: str, node_id: str) -> None:
        """Detach."""
        request = v1.ControllerUnpublishVolumeRequest(volume_id=volume_id, node_id=node_id)
        await persisted(
            lambda timeout: self._controller.controller_unpublish_volume(request, timeout=timeout),
            ATTACHER,
        )

    async def grow(self, volume: Volume, size_gib: int) -> bool:
        """Grow the disk; whether the node has to grow what is on it."""
        request = v1.ControllerExpandVolumeRequest(
            volume_id=volume.id,
            capacity_range=v1.CapacityRange(required_bytes=size_gib * GIB),
            volume_capability=volume.claim.capability,
        )
        answer = await persisted(
            lambda timeout: self._controller.controller_expand_volume(request, timeout=timeout),
            RESIZER,
        )
        return answer.node_expansion_required

    async def snapshot(self, volume_id: str, name: str) -> str:
        """Make a snapshot and wait until a volume can be made of it; its id.

        Raises:
            TimeoutError: it isn't ready within the snapshotter's patience.
        """
        request = v1.CreateSnapshotRequest(source_volume_id=volume_id, name=name)
        async with asyncio.timeout(SNAPSHOTTER.total_s):
            while True:
                answer = await persisted(
                    lambda timeout: self._controller.create_snapshot(request, timeout=timeout),
                    SNAPSHOTTER,
                )
                if answer.snapshot.ready_to_use:
                    return answer.snapshot.snapshot_id
                await asyncio.sleep(SNAPSHOTTER.first_pause_s / 4)

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete a snapshot."""
        request = v1.DeleteSnapshotRequest(snapshot_id=snapshot_id)
        await persisted(
            lambda timeout: self._controller.delete_snapshot(request, timeout=timeout), SNAPSHOTTER
        )
