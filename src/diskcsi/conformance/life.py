"""A volume's life over real sockets: what the sidecars and kubelet would make of this provider."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import click

from diskcsi.conformance import processes
from diskcsi.conformance.processes import Pair
from diskcsi.conformance.report import Result, Subject
from diskcsi.model.capabilities import Capability
from diskcsi.orchestrator.kubelet import Kubelet
from diskcsi.orchestrator.plugin import CallFailed
from diskcsi.orchestrator.processes import ProgramFailed
from diskcsi.orchestrator.sidecars import GIB, Claim, Sidecars, Volume

FILE_BYTES = 4 * 1024**2
ROOM_FOR_ITSELF = 0.9
"""The share of a small disk that a filesystem leaves for files."""


class _Different(Exception):  # noqa: N818 - reads as what happened
    """Something is not as it has to be."""


async def run(subject: Subject, capabilities: Collection[Capability]) -> Result:
    """Make, attach, mount, write; and as far as the provider can: grow, snapshot, restore."""
    result = Result(part="life over sockets")
    begun_s = time.monotonic()
    try:
        async with processes.serving(subject) as pair:
            life = _Life(subject, pair, result)
            try:
                await life.run(capabilities)
            finally:
                await life.clean_up(subject.node)
    except (_Different, CallFailed, ProgramFailed, OSError, TimeoutError, ValueError) as error:
        result.broken.append(str(error) or type(error).__name__)
    result.seconds = time.monotonic() - begun_s
    return result


class _Life:
    def __init__(self, subject: Subject, pair: Pair, result: Result) -> None:
        self._subject = subject
        self._result = result
        self._sidecars = Sidecars(pair.controller.plugin)
        self._kubelet = Kubelet(pair.node.plugin, subject.directory)
        self._checksum = ""
        self._made: list[str] = []
        self._snapshots: list[str] = []

    async def clean_up(self, node_id: str) -> None:
        """Take away what is still there; after a good life nothing is, and each call says so."""
        for volume_id in self._made:
            for step in (
                self._kubelet.unmount(volume_id),
                self._sidecars.detach(volume_id, node_id),
                self._sidecars.delete(volume_id),
            ):
                with suppress(CallFailed):
                    await step
        for snapshot_id in self._snapshots:
            with suppress(CallFailed):
                await self._sidecars.delete_snapshot(snapshot_id)

    async def run(self, capabilities: Collection[Capability]) -> None:
        told = await self._kubelet.register()
        self._passed(f"registered as node {told.node_id}")
        claim = Claim(
            name=f"pvc-{uuid4()}", size_gib=self._subject.size_gib, fs_type=self._subject.fs_type,
            parameters=self._subject.parameters, places=[told.segments] if told.segments else [],
        )  # fmt: skip
        volume = await self._sidecars.provision(claim)
        self._made.append(volume.id)
        self._passed(f"made {volume.id} of {volume.size_gib} GiB")
        path = await self._mount(volume, told.node_id)
        self._checksum = await asyncio.to_thread(_write, path / "file")
        await self._leave(volume.id, told.node_id)
        if self._can(Capability.EXPAND, capabilities):
            await self._sidecars.grow(volume, self._subject.larger_gib)
            volume = replace(volume, size_gib=self._subject.larger_gib)
            self._passed(f"grew to {volume.size_gib} GiB")
        await self._verify(volume, told.node_id)
        if self._can(Capability.SNAPSHOTS, capabilities):
            await self._snapshot(volume, told.node_id, capabilities)
        await self._sidecars.delete(volume.id)
        self._passed("deleted")

    async def _snapshot(
        self, volume: Volume, node_id: str, capabilities: Collection[Capability]
    ) -> None:
        snapshot_id = await self._sidecars.snapshot(volume.id, f"snapshot-{uuid4()}")
        self._snapshots.append(snapshot_id)
        self._passed(f"snapshot {snapshot_id}")
        if self._can(Capability.RESTORE, capabilities):
            claim = replace(
                volume.claim, name=f"pvc-{uuid4()}", size_gib=volume.size_gib,
                snapshot_id=snapshot_id,
            )  # fmt: skip
            copy = await self._sidecars.provision(claim)
            self._made.append(copy.id)
            self._passed(f"restored as {copy.id}")
            await self._verify(copy, node_id)
            await self._sidecars.delete(copy.id)
        await self._sidecars.delete_snapshot(snapshot_id)

    async def _mount(self, volume: Volume, node_id: str) -> Path:
        context = await self._sidecars.attach(volume, node_id)
        path = await self._kubelet.mount(volume, context)
        self._passed(f"attached and mounted {volume.id}")
        return path

    async def _verify(self, volume: Volume, node_id: str) -> None:
        path = await self._mount(volume, node_id)
        if await asyncio.to_thread(_checksum, path / "file") != self._checksum:
            raise _Different(f"the file on {volume.id} has changed")
        total = await self._kubelet.total_bytes(volume.id)
        if total < volume.size_gib * GIB * ROOM_FOR_ITSELF:
            raise _Different(f"{volume.id} has {volume.size_gib} GiB, its filesystem {total} bytes")
        self._passed(f"same file, {total / GIB:.1f} GiB")
        await self._leave(volume.id, node_id)

    async def _leave(self, volume_id: str, node_id: str) -> None:
        await self._kubelet.unmount(volume_id)
        await self._sidecars.detach(volume_id, node_id)
        self._passed("unmounted and detached")

    def _can(self, wanted: Capability, capabilities: Collection[Capability]) -> bool:
        if wanted not in capabilities:
            self._result.skipped[f"this provider has no {wanted}"] += 1
        return wanted in capabilities

    def _passed(self, what: str) -> None:
        self._result.passed += 1
        click.echo(f"  {what}")


def _write(path: Path) -> str:
    content = os.urandom(FILE_BYTES)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
