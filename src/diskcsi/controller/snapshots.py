"""CreateSnapshot, DeleteSnapshot, ListSnapshots: one snapshot for one name.

A snapshot is answered as soon as its content is fixed; `ready` says whether a disk can be made
from it yet (CSI spec, CreateSnapshot: the cut, then the upload).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final, NoReturn

from diskcsi.aio.progress import note_refusal, waiting
from diskcsi.controller.deps import Deps
from diskcsi.controller.naming import OPEN, NeverShownError, OneForName
from diskcsi.controller.requests import CreateSnapshot, ListSnapshots
from diskcsi.model.capabilities import Capability
from diskcsi.model.errors import (
    AlreadyExists,
    DiskError,
    NotFound,
    Pending,
    UnknownOutcome,
)
from diskcsi.model.ids import SnapshotId
from diskcsi.model.volume import Snapshot, SnapshotPage, SnapshotSpec
from diskcsi.telemetry.logging import bind

PAGE_LIMIT: Final = 100
"""Snapshots on a page when the caller names no limit, and the most a page holds."""


class Snapshotter:
    """Makes, deletes and lists snapshots."""

    def __init__(self, *, deps: Deps) -> None:
        self._deps = deps

    async def create(self, request: CreateSnapshot) -> Snapshot:
        """The snapshot named `request.name`, made if there is none; cut on return.

        Raises:
            NotFound: the source disk is absent.
            AlreadyExists: the name belongs to a snapshot of another disk.
            WrongState: the disk can't be snapshotted, such as one that was never attached.
        """
        self._deps.require(Capability.SNAPSHOTS)
        parameters = self._deps.rules.snapshot_parameters(request.parameters)
        bind(class_warnings="; ".join(parameters.warnings))
        spec = SnapshotSpec(
            name=request.name, source_volume_id=request.source_volume_id, parameters=parameters
        )
        return await self._deps.fly(
            ("creation of snapshot", request.name), lambda: self._create(spec), arguments=request
        )

    async def delete(self, snapshot_id: SnapshotId) -> None:
        """Delete the snapshot; one that is absent is deleted already."""
        self._deps.require(Capability.SNAPSHOTS)
        await self._deps.fly(
            ("deletion of snapshot", snapshot_id), lambda: self._delete(snapshot_id)
        )

    async def list(self, request: ListSnapshots) -> SnapshotPage:
        """A page of snapshots; an unknown snapshot or source gives an empty one.

        Raises:
            InvalidToken: the token can't be continued.
        """
        self._deps.require(Capability.SNAPSHOTS)
        async with self._deps.deadline():
            return await self._list(request)

    async def _list(self, request: ListSnapshots) -> SnapshotPage:
        if request.snapshot_id is not None:
            snapshot = await self._get(request.snapshot_id)
            if snapshot is None or request.source_volume_id not in (
                None,
                snapshot.source_volume_id,
            ):
                return SnapshotPage(snapshots=())
            return SnapshotPage(snapshots=(snapshot,))
        limit = min(request.limit or PAGE_LIMIT, PAGE_LIMIT)
        return await self._deps.patiently(
            lambda: self._deps.cloud.list_snapshots(
                source_volume_id=request.source_volume_id, limit=limit, token=request.token
            )
        )

    async def _create(self, spec: SnapshotSpec) -> Snapshot:
        snapshot = await self._find(spec)
        if snapshot is None:
            snapshot = await self._make(spec)
        with waiting(lambda: f"no read has shown snapshot {snapshot.id} cut so far"):
            return await self._cut(snapshot, spec)

    async def _cut(self, snapshot: Snapshot, spec: SnapshotSpec) -> Snapshot:
        """The snapshot once its content is fixed."""
        seen: Snapshot | None = snapshot
        async for _ in self._deps.attempts():
            if seen is None:
                raise Pending(f"snapshot {snapshot.id} is not to be seen any more")
            if seen.failed:
                await self._delete_failed(seen)
            if seen.created_at is not None:
                return seen
            seen = await self._get(seen.id) or await self._find(spec)
        raise UnknownOutcome(f"snapshot {spec.name!r} is still being cut")

    async def _delete_failed(self, snapshot: Snapshot) -> NoReturn:
        """A failed snapshot holds nothing, and while it has the name no other one is made."""
        told = f"snapshot {snapshot.id} failed while it was made"
        try:
            with waiting(lambda: f"{told}, and is being deleted"):
                await self._delete(snapshot.id)
        except DiskError as refusal:
            raise Pending(f"{told} and can't be deleted: {refusal}") from refusal
        raise Pending(f"{told} and was deleted", hint="the next try makes a new one")

    async def _make(self, spec: SnapshotSpec) -> Snapshot:
        async def create(attempt: int) -> Snapshot:
            numbered = replace(spec, attempt=attempt)
            snapshot_id = await self._deps.cloud.create_snapshot(numbered)
            with waiting(lambda: f"no read shows snapshot {snapshot_id} now"):
                return await self._appearing(snapshot_id)

        return await OneForName(
            deps=self._deps,
            key=("snapshot", spec.name),
            find=lambda: self._find(spec),
            create=create,
        ).make()

    async def _appearing(self, snapshot_id: SnapshotId) -> Snapshot:
        """The snapshot that the cloud accepted, once a read shows it."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._deps.timing.hidden_s
        async for _ in self._deps.attempts():
            snapshot = await self._get(snapshot_id)
            if snapshot is not None:
                return snapshot
            if loop.time() >= end_s:
                break
        raise NeverShownError(snapshot_id)

    async def _find(self, spec: SnapshotSpec) -> Snapshot | None:
        found = await self._deps.patiently(lambda: self._deps.cloud.find_snapshots(spec.name))
        for snapshot in sorted(found, key=lambda snapshot: snapshot.id):
            if snapshot.source_volume_id == spec.source_volume_id:
                return snapshot
        if found:
            raise AlreadyExists(
                f"snapshot {spec.name!r} exists as {found[0].id}, of disk"
                f" {found[0].source_volume_id}"
            )
        return None

    async def _get(self, snapshot_id: SnapshotId) -> Snapshot | None:
        return await self._deps.disks.get_snapshot(snapshot_id)

    async def _delete(self, snapshot_id: SnapshotId) -> None:
        async for _ in self._deps.attempts():
            try:
                await self._deps.cloud.delete_snapshot(snapshot_id)
            except NotFound:
                return
            except OPEN as refusal:
                note_refusal(refusal)
                if await self._get(snapshot_id) is None:
                    return
            else:
                return
