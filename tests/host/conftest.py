"""A machine of loop devices for each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.host.loops import Machine, machine


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Machine]:
    """The node's rules over this machine; what was mounted and attached is undone."""
    async with asyncio.TaskGroup() as tasks:
        with machine(tmp_path, tasks) as made:
            yield made
