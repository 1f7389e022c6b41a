"""The rules of the node run in virtual time, over a machine in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.node.machine import Machine, machine

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test here the virtual clock."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.looptime)


@pytest.fixture
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """The application's task group; an error that escapes into it fails the test."""
    async with asyncio.TaskGroup() as group:
        yield group


@pytest.fixture
async def node(tasks: asyncio.TaskGroup) -> Machine:
    """A node plug-in's rules on a machine without disks."""
    return machine(tasks)
