"""Every test of this package runs in virtual time, with tasks that must end clean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from diskcsi.model.ids import VolumeId
from diskcsi.testing.memory import MemoryCloud
from tests.controller.rig import Rig, build, observe


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every coroutine test here the virtual clock."""
    for item in items:
        if "tests/controller" in str(item.path):
            item.add_marker(pytest.mark.looptime)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A controller over an empty cloud in which nothing takes time."""
    async with asyncio.TaskGroup() as tasks:
        yield build(MemoryCloud(observer=observe), tasks)


@pytest.fixture
def volume_id(rig: Rig) -> VolumeId:
    """A disk in a cloud where things take their time."""
    latency = rig.cloud.state.latency
    latency.call_s, latency.attach_s, latency.detach_s = 0.05, 2.0, 1.5
    latency.status_s = 0.5
    return rig.given_disk().id
