"""A cloud that is written down, and goes on."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from account import I1, Account, account
from mockcloud.actions import EFFECTS
from mockcloud.engine.memory import LostMemory, Memory
from mockcloud.hypervisor.base import NoHypervisor
from typing_extensions import override


async def taken_up(root: Path, **more: Any) -> Account:  # noqa: ANN401 - of Knobs
    """The cloud of a directory, as a new process finds it; its time begins again."""
    here = account(**more)
    await Memory(root=root, seed=1).take_up(here.engine, EFFECTS)
    return here


def shown(here: Account) -> dict[str, Any]:
    """Everything that is written down of a cloud, but how often it started."""
    return {
        "disks": here.engine.disks, "snapshots": here.engine.snapshots,
        "instances": here.engine.instances, "ended": here.engine.ended,
        "orders": sorted((o.effect, o.about) for o in here.engine.orders.values()),
        "tokens": here.engine.tokens.told(), "busy": {k: v for k, v in here.engine.busy.items() if v},
    }  # fmt: skip


def written(root: Path) -> str:
    """What stands in the file."""
    return (root / "state.json").read_text()


def names_in(root: Path) -> list[str]:
    """What stands in a directory."""
    return [path.name for path in root.iterdir()]


async def test_all_that_there_is_goes_on(tmp_path: Path) -> None:
    """Disks on their way, snapshots, machines, tokens and running orders."""
    here = await taken_up(tmp_path)
    disk = await here.creates(ClientToken="t", MultiAttach="Enabled")
    await here.holds(disk, "i-nvme-1")
    await here.call("CreateSnapshot", DiskId=disk)
    await here.call("AttachDisk", DiskId=await here.creates(), InstanceId=I1)
    await here.call("DeleteInstance", InstanceId="i-2", Force=True)
    again = await taken_up(tmp_path)
    assert shown(again) == shown(here)


def test_one_server_has_a_directory(tmp_path: Path) -> None:
    """A second one is told what to do, and the first goes on."""
    one, other = (Memory(root=tmp_path, seed=1) for _ in range(2))
    one.claim()
    with pytest.raises(LostMemory, match=rf"another server has the disks in {tmp_path},.*--root"):
        other.claim()


@pytest.mark.parametrize(
    ("action", "after", "status"),
    [("AttachDisk", 4, "In_use"), ("DetachDisk", 3, "Available")],
)
async def test_what_was_going_on_ends_in_its_time(
    tmp_path: Path, action: str, after: float, status: str
) -> None:
    """The new process ends what the old one began."""
    here = await taken_up(tmp_path)
    disk = await here.creates()
    if action == "DetachDisk":
        await here.holds(disk, I1)
    await here.call(action, DiskId=disk, InstanceId=I1)
    again = await taken_up(tmp_path)
    again.clock.set(here.clock.time())
    await again.passes(after + 1)
    assert await again.status(disk) == status


class Waiting(NoHypervisor):
    """Takes a device away only when it may go on."""

    def __init__(self) -> None:
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    @override
    async def detach(self, serial: str, instance_id: str) -> None:
        self.asked.set()
        await self.go_on.wait()


async def test_what_a_stop_cut_short_is_done_after_the_restart(tmp_path: Path) -> None:
    """A request that carries it out is cancelled when the server ends."""
    waiting = Waiting()
    here = await taken_up(tmp_path, steps={"detach": "0"}, hypervisor=waiting)
    disk = await here.creates()
    await here.holds(disk, I1)
    async with asyncio.TaskGroup() as tasks:
        request = tasks.create_task(here.call("DetachDisk", DiskId=disk, InstanceId=I1))
        await waiting.asked.wait()
        request.cancel()
    await here.engine.keep()
    again = await taken_up(tmp_path)
    again.clock.set(here.clock.time())
    await again.passes()
    assert await again.status(disk) == "Available"


async def test_each_start_draws_other_ids_and_call_numbers(tmp_path: Path) -> None:
    """Whoever remembers the last call sees only later ones."""
    first = await taken_up(tmp_path)
    ids = {await first.creates()}
    memory = Memory(root=tmp_path, seed=1)
    second = account()
    await memory.take_up(second.engine, EFFECTS)
    ids.add(await second.creates())
    assert (len(ids), memory.first_call) == (2, 1_000_001)


async def test_two_clouds_draw_different_ids(tmp_path: Path) -> None:
    """They may share a kernel, where a disk's file is known by its name."""
    ids = {await (await taken_up(tmp_path / name)).creates() for name in ("one", "other")}
    assert len(ids) == 2


async def test_a_write_leaves_one_whole_file(tmp_path: Path) -> None:
    """Nothing half written is beside it."""
    here = await taken_up(tmp_path)
    await here.creates()
    assert names_in(tmp_path) == ["state.json"]
    assert len(json.loads(written(tmp_path))["disks"]) == 1


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("state.json", "{", "can't be read"),
        ("state.json", '{"version": 99}', "was not written by this version"),
        ("disks/bp1.img", "", "but no state.json that tells whose they are"),
    ],
    ids=["torn", "other-version", "disks-alone"],
)
async def test_a_directory_that_is_not_its_own_is_left_alone(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    """It is refused, and nothing in it is changed."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(LostMemory, match=words):
        await taken_up(tmp_path)
    assert path.read_text() == text


async def test_a_write_that_fails_is_made_good_by_the_next_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its trouble is logged, and the cloud goes on."""
    here, memory = account(), Memory(root=tmp_path, seed=1)
    await memory.take_up(here.engine, EFFECTS)
    obstacle = tmp_path / "state.new"
    obstacle.mkdir()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(memory.keep_forever(here.engine))
        here.engine.ended.add("i-gone")
        here.engine.changed()
        while "can't be written" not in caplog.text:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0)
        obstacle.rmdir()
        here.engine.changed()
        while "i-gone" not in written(tmp_path):  # noqa: ASYNC110 - nor has a file
            await asyncio.sleep(0)
        writer.cancel()


async def test_a_write_that_is_cancelled_is_waited_for(tmp_path: Path) -> None:
    """Its thread goes on: the last write of a server that ends would come before it, or amid it."""
    here, memory = account(), Memory(root=tmp_path, seed=1)
    await memory.take_up(here.engine, EFFECTS)
    here.engine.ended.update(f"i-gone-{number}" for number in range(20_000))
    fifo = tmp_path / "state.new"  # takes 64 KiB, and the rest when somebody has read them
    os.mkfifo(fifo)
    async with asyncio.TaskGroup() as tasks:
        request = tasks.create_task(memory.keep(here.engine))
        await asyncio.sleep(0)
        reader = os.open(fifo, os.O_RDONLY)  # returns when the write has begun
        request.cancel()
        for _ in range(9):
            await asyncio.sleep(0)
        waited_for = not request.done()
        os.close(reader)
    assert (waited_for, request.cancelled()) == (True, True)


async def test_calls_that_only_read_write_nothing(tmp_path: Path) -> None:
    """The file stays the same one."""
    here = await taken_up(tmp_path)
    before = (tmp_path / "state.json").stat().st_ino
    await here.call("DescribeDisks")
    assert (tmp_path / "state.json").stat().st_ino == before


def test_every_effect_is_known_by_a_name_of_its_own() -> None:
    """Or one would go on as the other."""
    names = [effect.__name__ for effect in EFFECTS]
    assert len(set(names)) == len(names)
