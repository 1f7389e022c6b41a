"""A cloud, controllers and a node plug-in, each a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from diskcsi.orchestrator import drivers
from diskcsi.orchestrator.drivers import Driver
from diskcsi.orchestrator.mock import Mock, serving

REGION, INSTANCE = "cn-hangzhou", "i-bp1mockcloudnode0001"


@dataclass(slots=True, kw_only=True)
class Controllers:
    """Starts controllers; at the end each is asked to stop and must end well."""

    mock: Mock
    directory: Path
    running: AsyncExitStack
    started: int = 0

    async def start(self) -> Driver:
        """One more, on a socket of its own."""
        self.started += 1
        return await self.running.enter_async_context(
            drivers.controller(
                f"controller-{self.started}", self.mock, region=REGION, directory=self.directory
            )
        )


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Mock]:
    """A cloud whose disks are names only."""
    async with serving(tmp_path, "--latency=zero") as mock:
        yield mock


@pytest.fixture
async def controllers(tmp_path: Path, cloud: Mock) -> AsyncIterator[Controllers]:
    """None runs yet."""
    async with AsyncExitStack() as running:
        yield Controllers(mock=cloud, directory=tmp_path, running=running)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A controller and a node plug-in on a cloud with loop disks, and where all of it lives."""

    directory: Path
    controller: Driver
    node: Driver


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """Everything started; this cloud lets a disk be snapshotted that was never attached."""
    knob = "--knob=snapshot_needs_attach=false"
    async with (
        serving(tmp_path, "--latency=zero", "--hypervisor=loop", knob) as mock,
        drivers.controller("controller", mock, region=REGION, directory=tmp_path) as controller,
        drivers.node("node", mock, instance=INSTANCE, region=REGION, directory=tmp_path) as node,
    ):
        yield Stack(directory=tmp_path, controller=controller, node=node)
