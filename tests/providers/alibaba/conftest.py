"""The provider over a real socket, against a cloud in this process where nothing takes time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from mockcloud.app import Cloud, serving
from mockcloud.engine.world import default_world

from diskcsi.ports.cloud import CloudCall
from diskcsi.providers.alibaba.calls import Calls, http_session
from diskcsi.providers.alibaba.cloud import EcsCloud
from diskcsi.providers.alibaba.credentials import Credentials, CredentialsSource, StaticCredentials
from tests.providers.alibaba.support import KEY, REGION

CallsTo = Callable[..., Calls]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with http_session(connect_timeout_s=30.0, call_timeout_s=60.0) as session:
        yield session


@pytest.fixture
def told() -> list[CloudCall]:
    """What the observer was told."""
    return []


@pytest.fixture
def pauses() -> list[float]:
    """The pauses that were made between tries, in seconds; none really passes."""
    return []


@pytest.fixture
def calls_to(http: aiohttp.ClientSession, told: list[CloudCall], pauses: list[float]) -> CallsTo:
    """Makes the seam to an endpoint."""

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    def make(
        endpoint: str,
        *,
        credentials: CredentialsSource | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> Calls:
        return Calls(
            http=session or http,
            endpoint=endpoint,
            region=REGION,
            credentials=credentials or StaticCredentials(KEY),
            observer=told.append,
            pause=pause,
        )

    return make


@pytest.fixture
async def world() -> AsyncIterator[Cloud]:
    """A cloud in which everything happens at once."""
    async with serving(config=default_world(), latencies={}) as cloud:
        yield cloud


@pytest.fixture
def ecs(world: Cloud, calls_to: CallsTo) -> EcsCloud:
    """The provider's cloud over that one."""
    key = default_world().keys[0]
    calls = calls_to(
        f"http://127.0.0.1:{world.port}",
        credentials=StaticCredentials(Credentials(key_id=key.id, secret=key.secret)),
    )
    return EcsCloud(calls=calls, region=REGION, cluster_id="c-1")
