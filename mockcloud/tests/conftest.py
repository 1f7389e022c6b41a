"""A cloud on a socket, whose time a test moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from mockcloud.app import serving
from mockcloud.engine.clock import FakeClock
from mockcloud.engine.world import default_world
from wireclient import Wire


@pytest.fixture(autouse=True, scope="session")
def outer_loop() -> Iterator[None]:
    """Have a loop set before the first test; Python 3.11 would make one that nobody closes."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A cloud on a socket."""
    clock = FakeClock(float(int(time.time())))  # an SDK that calls here has the real time
    async with (
        serving(config=default_world(), latencies={}, clock=clock) as cloud,
        aiohttp.ClientSession() as http,
    ):
        yield Wire(cloud, clock, http)
