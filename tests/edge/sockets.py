"""The edge on a real socket, with services that do what a test says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpclib.client import Channel

from diskcsi._proto.csi import v1
from diskcsi.edge import server
from diskcsi.edge.built import Built
from diskcsi.edge.guard import Guard
from diskcsi.edge.identity import IdentityService, PluginFacts
from diskcsi.edge.services import Halves, Service, services
from diskcsi.telemetry.meter import Meter, RpcCounter


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a test talks to."""

    channel: Channel
    guard: Guard
    path: Path

    @property
    def identity(self) -> v1.IdentityStub:
        return v1.IdentityStub(self.channel)

    @property
    def controller(self) -> v1.ControllerStub:
        return v1.ControllerStub(self.channel)

    @property
    def node(self) -> v1.NodeStub:
        return v1.NodeStub(self.channel)


class Heard:
    """A counter that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def rpc_began(self, method: str) -> None:
        self.told.append(("began", method))

    def rpc_ended(self, method: str, *, code: str, duration_s: float) -> None:
        self.told.append(("ended", method, code))


class Controller(v1.ControllerBase):
    """CreateVolume and ControllerPublishVolume do what they are given."""

    def __init__(self, does: Callable[[], Awaitable[object]]) -> None:
        self._does = does

    async def create_volume(
        self, create_volume_request: v1.CreateVolumeRequest
    ) -> v1.CreateVolumeResponse:
        await self._does()
        return v1.CreateVolumeResponse(volume=v1.Volume(volume_id="d-1"))

    async def controller_publish_volume(
        self, controller_publish_volume_request: v1.ControllerPublishVolumeRequest
    ) -> v1.ControllerPublishVolumeResponse:
        await self._does()
        return v1.ControllerPublishVolumeResponse()

    async def controller_get_capabilities(
        self, controller_get_capabilities_request: v1.ControllerGetCapabilitiesRequest
    ) -> v1.ControllerGetCapabilitiesResponse:
        await self._does()
        return v1.ControllerGetCapabilitiesResponse()


def made(value: Any) -> Built[Any]:  # noqa: ANN401 - a fact of any kind
    """A value that is there from the beginning."""
    built: Built[Any] = Built()
    built.make_known(value)
    return built


def identity(plugin: Built[PluginFacts]) -> IdentityService:
    return IdentityService(name="d.example.com", version="1", plugin=plugin)


def served_by(*, controller: Service | None = None, node: Service | None = None) -> list[Service]:
    """All services of a driver, of which these two do something."""
    halves = made(Halves(controller=controller, node=node))
    return list(services(identity=identity(Built()), halves=halves))


@asynccontextmanager
async def serving(
    path: Path,
    served: Sequence[Service],
    *,
    counter: RpcCounter | None = None,
    drain_s: float = 1.0,
) -> AsyncIterator[Served]:
    """Serve while the block runs, with one client."""
    ticks = itertools.count()
    guard = Guard(counter=counter or Meter(), now=lambda: float(next(ticks)))
    async with server.serving(path=path, services=served, guard=guard, drain_s=drain_s):
        channel = Channel(path=str(path))
        try:
            yield Served(channel=channel, guard=guard, path=path)
        finally:
            channel.close()


async def at_once() -> None:
    """Do nothing."""


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    """Do nothing but fail."""

    async def fail() -> None:
        raise error

    return fail


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that other tasks bring about."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - any condition has no event
            await asyncio.sleep(0)
