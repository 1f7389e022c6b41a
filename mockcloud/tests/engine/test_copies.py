"""Copies of disks, which take long, while the cloud goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mockcloud.actions import Actor
from mockcloud.app import serving
from mockcloud.engine.engine import Engine
from mockcloud.engine.latency import ranges
from mockcloud.engine.memory import Memory
from mockcloud.engine.world import parse_world
from mockcloud.hypervisor.base import NoHypervisor
from mockcloud.wire.params import Params
from typing_extensions import override

WORLD = "[knobs]\nsnapshot_needs_attach = false\n"
ESSD = {"ZoneId": "cn-hangzhou-g", "DiskCategory": "cloud_essd", "Size": "20"}
PATIENCE_S, LOOK_S = 10.0, 0.005


class Slow(NoHypervisor):
    """Copies only when it may go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    @override
    async def snapshot(self, serial: str, snapshot_id: str) -> None:
        await self._copy()

    @override
    async def restore(self, serial: str, snapshot_id: str, size_gib: int) -> None:
        await self._copy()

    async def _copy(self) -> None:
        self.begun.set()
        await self.go_on.wait()


@contextlib.asynccontextmanager
async def cloud(hypervisor: Slow, root: Path | None = None) -> AsyncIterator[Engine]:
    """A cloud whose time is real; with a directory it goes on where it ended."""
    memory = Memory(root=root, seed=1) if root else None
    async with serving(
        config=parse_world(WORLD), latencies=ranges("zero", {}), hypervisor=hypervisor,
        memory=memory,
    ) as one:  # fmt: skip
        yield one.engine


async def call(engine: Engine, action: str, **told: str) -> Any:  # noqa: ANN401 - JSON
    """The answer of a call, which comes soon."""
    async with asyncio.timeout(PATIENCE_S):
        return await Actor(engine=engine).act(action, Params({"RegionId": "cn-hangzhou", **told}))


async def until(engine: Engine, statuses: list[str]) -> None:
    """Wait until disks and snapshots are so."""

    def now() -> list[str]:
        disks, snapshots = engine.disks.values(), engine.snapshots.values()
        return [*(one.status for one in disks), *(one.status for one in snapshots)]

    async with asyncio.timeout(PATIENCE_S):
        while now() != statuses:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(LOOK_S)


async def creation_times(engine: Engine) -> list[str]:
    """What whoever waits for the cut goes by."""
    told = await call(engine, "DescribeSnapshots")
    return [one["CreationTime"] for one in told["Snapshots"]["Snapshot"]]


async def snapshot_begun(engine: Engine, slow: Slow) -> str:
    """The id of a snapshot that is being copied."""
    disk_id = (await call(engine, "CreateDisk", **ESSD))["DiskId"]
    snapshot_id: str = (await call(engine, "CreateSnapshot", DiskId=disk_id))["SnapshotId"]
    async with asyncio.timeout(PATIENCE_S):
        await slow.begun.wait()
    return snapshot_id


async def restore_begun(engine: Engine, slow: Slow) -> None:
    """A disk that is being copied from a finished snapshot."""
    slow.go_on.set()
    snapshot_id = await snapshot_begun(engine, slow)
    await until(engine, ["Available", "accomplished"])
    slow.go_on.clear()
    slow.begun.clear()
    await call(engine, "CreateDisk", SnapshotId=snapshot_id, **ESSD)
    async with asyncio.timeout(PATIENCE_S):
        await slow.begun.wait()


async def test_calls_are_answered_while_a_snapshot_is_copied() -> None:
    """Those that change something too; the snapshot is cut, and done, when its copy is."""
    slow = Slow()
    async with cloud(slow) as engine:
        await snapshot_begun(engine, slow)
        await call(engine, "CreateDisk", **ESSD)
        await until(engine, ["Available", "Available", "progressing"])
        assert await creation_times(engine) == [""]
        slow.go_on.set()
        await until(engine, ["Available", "Available", "accomplished"])
        assert "" not in await creation_times(engine)


async def test_a_disk_of_a_snapshot_is_creating_until_it_is_copied() -> None:
    """The order is answered at once."""
    slow = Slow()
    async with cloud(slow) as engine:
        await restore_begun(engine, slow)
        await until(engine, ["Available", "Creating", "accomplished"])
        slow.go_on.set()
        await until(engine, ["Available", "Available", "accomplished"])


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
@pytest.mark.parametrize("begin", [snapshot_begun, restore_begun])
async def test_a_copy_that_an_end_cut_short_begins_anew(
    tmp_path: Path, begin: Callable[[Engine, Slow], Awaitable[object]], *, killed: bool
) -> None:
    """However the server ended; and it ends at once, however long the copy takes."""
    slow, state = Slow(), tmp_path / "state.json"
    async with asyncio.timeout(PATIENCE_S), cloud(slow, tmp_path) as engine:
        await begin(engine, slow)
        await engine.keep()
        as_killed = state.read_text()
    if killed:
        state.write_text(as_killed)
    slow.go_on.set()
    async with cloud(slow, tmp_path) as engine:
        disks = ["Available"] * len(engine.disks)
        await until(engine, [*disks, "accomplished"])
