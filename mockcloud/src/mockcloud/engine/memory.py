"""A cloud written down, so that it goes on after its process ended, however that happened."""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import json
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

from mockcloud.engine.engine import Engine
from mockcloud.engine.state import Attachment, Disk, Instance, Snapshot
from mockcloud.hypervisor.base import Known

VERSION: Final = 1
NAME: Final = "state.json"
CALLS_A_START: Final = 1_000_000
"""Numbers of calls go on from start to start; the calls themselves are forgotten."""

APPEARS: Final = "device_appears"
"""The effect by which a device comes that could not be made at the start."""

Effect = Callable[..., Awaitable[None]]


class LostMemory(Exception):  # noqa: N818 - reads as what is so
    """What was written down can't be taken up; the message says why and what to do."""


class Memory:
    """The file of one cloud.

    Args:
        root: the directory of the file; made when it is missing.
        seed: of ids, together with a salt that each directory has of its own: each start draws
            others, and so does each of several clouds on one machine.
    """

    def __init__(self, *, root: Path, seed: int) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._path = root / NAME
        self._seed = seed
        self._salt = ""
        self._starts = 0
        self._asked = self._written = 0
        self._latest = ""
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()

    def claim(self) -> None:
        """Be the only server here until this process ends, when the kernel closes what is open.

        Raises:
            LostMemory: another one has the directory.
        """
        claim = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(claim)
            raise LostMemory(
                f"another server has the disks in {self._path.parent}, and each would write over"
                " what the other knows; give one of them another directory (--root; in the chart"
                " server.hostPath)"
            ) from None

    @property
    def first_call(self) -> int:
        """The number of the first call of this start."""
        return self._starts * CALLS_A_START + 1

    async def take_up(self, engine: Engine, effects: Iterable[Effect]) -> None:
        """Let the engine go on where it ended, and be written down from now on.

        Raises:
            LostMemory: the file is of another version, or none of ours.
        """
        told = await asyncio.to_thread(self._read)
        self._starts = told.get("starts", -1) + 1
        self._salt = told.get("salt") or secrets.token_hex(8)
        random = Random(f"{self._seed}/{self._salt}/{self._starts}")
        engine.go_on(count=told.get("count", 0), random=random)
        named = {effect.__name__: effect for effect in effects}
        if told:
            _recall(engine, told, named)
        known = Known(
            held={
                disk.serial: {one.instance_id for one in disk.attachments}
                for disk in engine.disks.values()
            },
            snapshots=engine.snapshots.keys(),
            off={one.id for one in engine.instances.values() if one.status == "Stopped"},
        )
        ids = {disk.serial: disk.id for disk in engine.disks.values()}
        for serial, instance_id in await engine.hypervisor.adopt(told.get("hypervisor", {}), known):
            engine.later(0, named[APPEARS], ids[serial], instance_id)
        engine.keep = lambda: self.keep(engine)
        engine.changed = self._changed.set
        await self.keep(engine)

    async def keep(self, engine: Engine) -> None:
        """Return when what is now stands on the disk; calls that come together share a write."""
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._written >= mine:
                return
            covers = self._asked
            text = json.dumps(self._told(engine))
            if text != self._latest:
                await self._written_out(text)
                self._latest = text
            self._written = covers

    async def _written_out(self, text: str) -> None:
        writing = asyncio.get_running_loop().run_in_executor(None, self._write, text)
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:  # its thread goes on, and the next write must not meet it
            await asyncio.wait({writing})
            raise

    async def keep_forever(self, engine: Engine) -> None:
        """Write down what happens by itself; while that fails, try again with the next change."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.keep(engine)
            except OSError:
                logging.getLogger(__name__).exception("%s can't be written", self._path)

    def _told(self, engine: Engine) -> dict[str, Any]:
        return {
            "version": VERSION,
            "salt": self._salt,
            "starts": self._starts,
            "count": engine.count,
            "disks": [dataclasses.asdict(one) for one in engine.disks.values()],
            "snapshots": [dataclasses.asdict(one) for one in engine.snapshots.values()],
            "instances": [dataclasses.asdict(one) for one in engine.instances.values()],
            "ended": sorted(engine.ended),
            "tokens": engine.tokens.told(),
            "orders": [dataclasses.asdict(one) for one in engine.orders.values()],
            "hypervisor": engine.hypervisor.told(),
        }

    def _read(self) -> dict[str, Any]:
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if found := next(self._path.parent.glob("*/*.img"), None):
                raise LostMemory(
                    f"{self._path.parent} has disks such as {found.name}, but no {NAME} that tells"
                    " whose they are; name another directory, or remove them"
                ) from None
            return {}
        except ValueError as error:
            raise LostMemory(f"{self._path} can't be read: {error}; remove the directory") from None
        if not isinstance(told, dict) or told.get("version") != VERSION:
            raise LostMemory(
                f"{self._path} was not written by this version of the program; use the one that"
                " wrote it, or remove the directory with all disks in it"
            )
        return told

    def _write(self, text: str) -> None:
        """Replace the file: a reader finds the old one or the new one, after a crash as well."""
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _recall(engine: Engine, told: Mapping[str, Any], effects: Mapping[str, Effect]) -> None:
    for one in told["disks"]:
        attachments = [Attachment(**each) for each in one["attachments"]]
        disk = Disk(**{**one, "attachments": attachments})
        engine.disks[disk.id] = disk
        if disk.operation in ("attaching", "detaching"):
            engine.busy[disk.operation_on].add(disk.id)
    engine.snapshots.update({one["id"]: Snapshot(**one) for one in told["snapshots"]})
    engine.instances.update({one["id"]: Instance(**one) for one in told["instances"]})
    engine.ended.update(told["ended"])
    for instance_id in engine.ended:  # of the world's own
        engine.instances.pop(instance_id, None)
    engine.tokens.remember(told["tokens"])
    for order in told["orders"]:
        delay_s = max(0.0, order["due_at"] - engine.clock.time())
        effect, copies = effects[order["effect"]], order.get("copies", False)
        engine.later(delay_s, effect, *order["about"], copies=copies)
