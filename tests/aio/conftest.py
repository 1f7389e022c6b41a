"""Every test of this package runs in virtual time, with a task group that must end clean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every coroutine test here the virtual clock."""
    for item in items:
        if "tests/aio" in str(item.path):
            item.add_marker(pytest.mark.looptime)


@pytest.fixture
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """The application's task group; an error that escapes into it fails the test."""
    async with asyncio.TaskGroup() as group:
        yield group
