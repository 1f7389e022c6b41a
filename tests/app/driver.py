"""A whole driver in this process, with the Alibaba provider."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import aiohttp
from grpclib.client import Channel
from mockcloud.app import Cloud, serving
from mockcloud.engine.latency import ranges
from mockcloud.engine.world import default_world

from diskcsi import app
from diskcsi._proto.csi import v1
from diskcsi.model.sizes import GIB
from diskcsi.providers import registry
from diskcsi.settings import Plan, Settings, fill

KEY_ID, KEY_SECRET = "mockcloud-key-id", "mockcloud-key-secret"
REGION, ZONE = "cn-hangzhou", "cn-hangzhou-g"
START_S = 20.0
FIRST_PORT, PROCESSES, PORTS_EACH = 12_000, 100, 200
_turns = count()
NODE = "i-bp1mockcloudnode0001"

_Mode = v1.VolumeCapabilityAccessModeMode
CREATE = v1.CreateVolumeRequest(
    name="pvc-1",
    capacity_range=v1.CapacityRange(required_bytes=20 * GIB),
    volume_capabilities=[
        v1.VolumeCapability(
            access_mode=v1.VolumeCapabilityAccessMode(mode=_Mode(_Mode.SINGLE_NODE_WRITER)),
            mount=v1.VolumeCapabilityMountVolume(fs_type="ext4"),
        )
    ],
    parameters={"type": "cloud_essd", "zoneId": ZONE},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What a test talks to."""

    channel: Channel
    http: str
    session: aiohttp.ClientSession
    stop: asyncio.Event

    @property
    def identity(self) -> v1.IdentityStub:
        return v1.IdentityStub(self.channel)

    @property
    def controller(self) -> v1.ControllerStub:
        return v1.ControllerStub(self.channel)

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text of what the HTTP port answers."""
        async with self.session.get(f"{self.http}{path}") as answer:
            return answer.status, await answer.text()


def plan(
    directory: Path, *, cloud: Mapping[str, object], settings: Mapping[str, object] | None = None
) -> Plan:
    """A controller's plan; `cloud` are settings of the provider."""
    own = {
        "endpoint": f"unix://{directory}/csi.sock",
        "http_port": free_port(),
        "run_node_service": False,
        "log_level": "debug",
        **(settings or {}),
    }
    provider = registry.load("alibaba")
    vendors = {"region": REGION, "ecs_scheme": "http", **cloud}
    return Plan(
        settings=fill(Settings, flags=own, environment={}, file={}),
        provider=provider,
        provider_settings=fill(provider.settings_type, flags=vendors, environment={}, file={}),
    )


def keys(cloud: Cloud) -> dict[str, object]:
    """Settings of the provider that reach a mock in this process."""
    return {
        "ecs_endpoint": f"127.0.0.1:{cloud.port}",
        "access_key_id": KEY_ID,
        "access_key_secret": KEY_SECRET,
    }


def mock(port: int = 0) -> AbstractAsyncContextManager[Cloud]:
    """A cloud in which everything happens at once."""
    return serving(config=default_world(), latencies=ranges("zero", {}), port=port)


def free_port() -> int:
    """A port of this machine that nobody listens on, nor will before it is used.

    It is one of this process' own, and below those that the kernel gives to whoever asks for any.
    """
    first = FIRST_PORT + os.getpid() % PROCESSES * PORTS_EACH
    for _ in range(PORTS_EACH):
        port = first + next(_turns) % PORTS_EACH
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError(f"no port from {first} on is free")


@asynccontextmanager
async def running(what: Plan) -> AsyncIterator[Driver]:
    """Serve while the block runs, then stop; an error of the driver is raised here."""
    stop = asyncio.Event()
    port = what.settings.metrics_port
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as session:
        tasks.create_task(app.serve(what, stop))
        await until_answers("127.0.0.1", port)
        channel = Channel(path=what.settings.socket_path)
        try:
            yield Driver(
                channel=channel, http=f"http://127.0.0.1:{port}", session=session, stop=stop
            )
        finally:
            channel.close()
            stop.set()
            gc.unfreeze()  # a server's own process would never need what it froze


async def until_answers(host: str, port: int) -> None:
    """Wait for a port to be listened on."""
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            await writer.wait_closed()
            return
