"""A cloud, a controller and a node plug-in for a benchmark, each a process under one directory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diskcsi._proto.csi import v1
from diskcsi.orchestrator import drivers, mock
from diskcsi.orchestrator.mock import Mock

ZONE, REGION = "cn-hangzhou-g", "cn-hangzhou"
GIB = 1024**3
CALL_S = 900.0
"""The deadline of a call: no benchmark measures retries."""

AS_DEPLOYED = ("--http-port=0", "--log-level=warning")
"""With metrics, whose server takes its memory."""


def node_name(number: int) -> str:
    """The instance id of node `number`, from 1."""
    return f"i-bp1benchnode{number:04}"


NODE = node_name(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What runs."""

    controller: v1.ControllerStub
    node: v1.NodeStub
    controller_pid: int
    node_pid: int
    mock: Mock
    started_s: float

    def age_s(self) -> float:
        """Seconds since the processes answered."""
        return time.monotonic() - self.started_s

    async def calls(self) -> Sequence[Mapping[str, Any]]:
        """What the cloud was asked so far."""
        return await self.mock.calls()

    async def state(self) -> Mapping[str, Any]:
        """What the cloud holds."""
        return await self.mock.state()


@asynccontextmanager
async def running(
    directory: Path, cloud_flags: Sequence[str], *, nodes: int = 1
) -> AsyncIterator[Stack]:
    """Start all, and end all; the first node has a plug-in."""
    world = directory / "world.toml"
    world.write_text(_world(nodes))
    async with (
        mock.serving(directory, "--quiet", f"--world={world}", *cloud_flags) as cloud,
        drivers.controller(
            "controller", cloud, region=REGION, directory=directory, flags=AS_DEPLOYED
        ) as controller,
        drivers.node(
            "node", cloud, instance=NODE, region=REGION, directory=directory, flags=AS_DEPLOYED
        ) as node,
    ):
        for stub in (controller.plugin.controller, node.plugin.node):
            stub.timeout = CALL_S
        yield Stack(
            controller=controller.plugin.controller,
            node=node.plugin.node,
            controller_pid=controller.program.pid,
            node_pid=node.program.pid,
            mock=cloud,
            started_s=time.monotonic(),
        )


def capability() -> v1.VolumeCapability:
    """One writer, ext4."""
    mode = v1.VolumeCapabilityAccessModeMode
    return v1.VolumeCapability(
        mount=v1.VolumeCapabilityMountVolume(fs_type="ext4"),
        access_mode=v1.VolumeCapabilityAccessMode(mode=mode(mode.SINGLE_NODE_WRITER)),
    )


async def create(controller: v1.ControllerStub, name: str, *, size_gib: int = 20) -> str:
    """A fresh volume; returns its id."""
    answer = await controller.create_volume(
        v1.CreateVolumeRequest(
            name=name,
            capacity_range=v1.CapacityRange(required_bytes=size_gib * GIB),
            volume_capabilities=[capability()],
            parameters={"type": "cloud_ssd", "zoneId": ZONE},
        )
    )
    return answer.volume.volume_id


async def publish(controller: v1.ControllerStub, volume_id: str, node_id: str) -> dict[str, str]:
    """Attach; returns what the node needs to know."""
    answer = await controller.controller_publish_volume(
        v1.ControllerPublishVolumeRequest(
            volume_id=volume_id, node_id=node_id, volume_capability=capability()
        )
    )
    return answer.publish_context


async def unpublish(controller: v1.ControllerStub, volume_id: str, node_id: str) -> None:
    """Detach."""
    await controller.controller_unpublish_volume(
        v1.ControllerUnpublishVolumeRequest(volume_id=volume_id, node_id=node_id)
    )


def _world(nodes: int) -> str:
    return "".join(
        f'[[instances]]\nid = "{node_name(number)}"\nzone = "{ZONE}"\n'
        for number in range(1, nodes + 1)
    )
