"""A cloud, a controller and a node plug-in for a benchmark, each a process under one directory."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from grpclib.client import Channel

from diskcsi._proto.csi import v1

ZONE, REGION = "cn-hangzhou-g", "cn-hangzhou"
GIB = 1024**3
START_S = 20.0
CALL_S = 900.0
"""The deadline of a call: no benchmark measures retries."""

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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
    endpoint: str
    session: aiohttp.ClientSession
    started_s: float

    def age_s(self) -> float:
        """Seconds since the processes answered."""
        return time.monotonic() - self.started_s

    async def calls(self) -> Sequence[Mapping[str, Any]]:
        """What the cloud was asked so far."""
        return await self._told("calls")  # type: ignore[no-any-return]

    async def state(self) -> Mapping[str, Any]:
        """What the cloud holds."""
        return await self._told("state")  # type: ignore[no-any-return]

    async def _told(self, what: str) -> Any:  # noqa: ANN401 - JSON
        async with self.session.get(f"{self.endpoint}/_mock/{what}") as answer:
            return await answer.json()


@asynccontextmanager
async def running(
    directory: Path, cloud_flags: Sequence[str], *, nodes: int = 1
) -> AsyncIterator[Stack]:
    """Start all, and end all; the first node has a plug-in."""
    (directory / "world.toml").write_text(_world(nodes))
    async with AsyncExitStack() as stack:
        endpoint = await _cloud(stack, directory, cloud_flags)
        controller = await _driver(
            stack, directory / "controller.sock", _credentials(endpoint),
            "--run-node-service=false",
        )  # fmt: skip
        node = await _driver(
            stack, directory / "node.sock", {"REGION_ID": REGION},
            "--run-controller-service=false", "--identity-sources=loop",
            f"--device-root={directory}/cloud/{NODE}/dev", f"--kubelet-root-dir={directory}",
            f"--metadata-url={endpoint}/_imds/{NODE}",
        )  # fmt: skip
        started_s = time.monotonic()
        yield Stack(
            controller=v1.ControllerStub(
                _channel(stack, directory / "controller.sock"), timeout=CALL_S
            ),
            node=v1.NodeStub(_channel(stack, directory / "node.sock"), timeout=CALL_S),
            controller_pid=controller.pid,
            node_pid=node.pid,
            endpoint=endpoint,
            session=await stack.enter_async_context(aiohttp.ClientSession()),
            started_s=started_s,
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


def _credentials(endpoint: str) -> dict[str, str]:
    return {
        "REGION_ID": REGION,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "mockcloud-key-id",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "mockcloud-key-secret",
        "ECS_ENDPOINT": endpoint.removeprefix("http://"),
        "ALICLOUD_CLIENT_SCHEME": "http",
    }


async def _cloud(stack: AsyncExitStack, directory: Path, flags: Sequence[str]) -> str:
    process = await _process(
        stack, {}, "mockcloud", "serve", "--port=0", "--quiet", f"--root={directory}/cloud",
        f"--world={directory}/world.toml", *flags,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - asked for right there
    async with asyncio.timeout(START_S):
        line = (await process.stdout.readline()).decode()
    return line.split()[1]


async def _driver(
    stack: AsyncExitStack, socket: Path, environment: Mapping[str, str], *flags: str
) -> asyncio.subprocess.Process:
    process = await _process(
        stack, environment, "diskcsi", "run", f"--endpoint=unix://{socket}", "--http-port=0",
        "--log-level=warning", *flags,
    )  # fmt: skip
    async with asyncio.timeout(START_S):
        while not socket.exists():
            await asyncio.sleep(0.01)
    return process


async def _process(
    stack: AsyncExitStack, environment: Mapping[str, str], module: str, *arguments: str
) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        stdout=asyncio.subprocess.PIPE if module == "mockcloud" else asyncio.subprocess.DEVNULL,
        env={"PATH": SEARCH_PATH, **environment},
    )  # fmt: skip
    stack.push_async_callback(_end, process)
    return process


async def _end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    await process.wait()


def _channel(stack: AsyncExitStack, socket: Path) -> Channel:
    channel = Channel(path=str(socket))
    stack.callback(channel.close)
    return channel
