"""What a contract test works with: the author's world, and an account that cleans up after itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar
from uuid import uuid4

import pytest

from diskcsi.model.capabilities import Capability
from diskcsi.model.errors import MAYBE_RUNNING, DiskError, InUse, NotFound, Pending, UnknownOutcome
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.parameters import DiskKind, SnapshotParameters, VolumeParameters
from diskcsi.model.volume import Disk, DiskSpec, DiskState, Snapshot, SnapshotSpec
from diskcsi.ports.cloud import CloudProvider

Seen = TypeVar("Seen")
Done = TypeVar("Done")
Whole = TypeVar("Whole")


class FaultMaker(Protocol):
    """Causes faults in the cloud behind the provider; `action` is a method of the port."""

    def lose_reply(self, action: str) -> None:
        """The next such call has its effect, and its answer never comes."""

    def throttle(self, action: str) -> None:
        """Refuse such calls for their rate, until `clear`."""

    def clear(self) -> None:
        """Nothing goes wrong any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the author of a provider supplies.

    Attributes:
        node, other_node: two machines of `zone`, which hold no disk of the tests yet.
        far_node: a machine of another zone; None where there is none.
        parameters: a StorageClass as the provider parsed it; its first kind is used.
        shared_parameters: one whose disks several nodes may hold; None where there is none.
        size_gib, larger_gib: two sizes that its first kind is sold in.
        malformed_ids: ids that the cloud never gives.
        absent_volume, absent_node, absent_snapshot: well-formed ids of nothing.
        attach_before_snapshot: the cloud snapshots only disks that were attached once.
        disposable: the cloud ends with the test, so nothing needs to be taken away.
        faults: causes faults; None where that can't be done.
        timeout_s: how long anything may take to become true.
        poll_s: the pause between looks.
    """

    node: NodeId
    other_node: NodeId
    zone: str
    parameters: VolumeParameters
    absent_volume: VolumeId
    absent_node: NodeId
    far_node: NodeId | None = None
    shared_parameters: VolumeParameters | None = None
    snapshot_parameters: SnapshotParameters = field(default_factory=SnapshotParameters)
    size_gib: int = 20
    larger_gib: int = 30
    malformed_ids: tuple[str, ...] = ("", "no such id", "../../etc/passwd", "x" * 300, "盘")
    absent_snapshot: SnapshotId | None = None
    attach_before_snapshot: bool = False
    disposable: bool = False
    faults: FaultMaker | None = None
    timeout_s: float = 30.0
    poll_s: float = 0.05

    @property
    def kind(self) -> DiskKind:
        """The kind of disk that is made."""
        return self.parameters.kinds[0]


class Account:
    """Makes disks and snapshots for one test, waits for them, and takes them away again."""

    def __init__(self, *, cloud: CloudProvider, world: World) -> None:
        self.cloud = cloud
        self.world = world
        self._names: list[str] = []

    def name(self) -> str:
        """A name that nothing has; what gets it is taken away at the end."""
        name = f"contract-{uuid4()}"
        self._names.append(name)
        return name

    def adopt(self, name: str) -> None:
        """Take away at the end what carries this name."""
        self._names.append(name)

    def spec(self, name: str = "", **changes: object) -> DiskSpec:
        """A disk to make."""
        given: Mapping[str, object] = {
            "name": name or self.name(),
            "size_gib": self.world.size_gib,
            "kind": self.world.kind,
            "parameters": self.world.parameters,
            "zone": self.world.zone,
            **changes,
        }
        return DiskSpec(**given)  # type: ignore[arg-type] # fields of DiskSpec

    async def until(
        self, read: Callable[[], Awaitable[Seen]], holds: Callable[[Seen], bool]
    ) -> Seen:
        """What `read` tells once it `holds`.

        Raises:
            AssertionError: it never did; tells what was seen last.
        """
        seen: object = "nothing"
        try:
            async with asyncio.timeout(self.world.timeout_s):
                while True:
                    now = seen = await read()
                    if holds(now):
                        return now
                    await asyncio.sleep(self.world.poll_s)
        except TimeoutError:
            pytest.fail(f"after {self.world.timeout_s} s it was still not so: {seen}")

    async def done(self, change: Callable[[], Awaitable[Done]]) -> Done:
        """The result of `change`, which is asked for again while the cloud is busy."""
        async with asyncio.timeout(self.world.timeout_s):
            while True:
                try:
                    return await change()
                except MAYBE_RUNNING:
                    await asyncio.sleep(self.world.poll_s)

    async def loses_reply(self, action: str, change: Callable[[], Awaitable[object]]) -> bool:
        """Make `change` while its reply gets lost; whether the provider told that it can't know.

        A cloud that is busy is asked again, and its reply is lost again.
        """
        assert self.world.faults is not None
        async with asyncio.timeout(self.world.timeout_s):
            while True:
                self.world.faults.lose_reply(action)
                try:
                    await change()
                except Pending:
                    self.world.faults.clear()
                    await asyncio.sleep(self.world.poll_s)
                except (UnknownOutcome, TimeoutError):
                    return True
                else:
                    return False

    async def disk(self, volume_id: VolumeId) -> Disk | None:
        """The disk as it is now."""
        return (await self.cloud.get_disks([volume_id])).get(volume_id)

    async def see(self, volume_id: VolumeId, holds: Callable[[Disk], bool]) -> Disk:
        """The disk once it `holds`."""
        disk = await self.until(
            lambda: self.disk(volume_id), lambda seen: seen is not None and holds(seen)
        )
        assert disk is not None
        return disk

    async def make(self, name: str = "", **changes: object) -> Disk:
        """A new disk, ready for use."""
        spec = self.spec(name, **changes)
        volume_id = await self.done(lambda: self.cloud.create_disk(spec))
        return await self.see(volume_id, is_available)

    async def attach(self, volume_id: VolumeId, node_id: NodeId) -> Disk:
        """The disk, held by the node, and the cloud done with it."""
        await self.done(lambda: self.cloud.attach_disk(volume_id, node_id))
        return await self.see(
            volume_id,
            lambda disk: node_id in disk.attached_to and disk.state is not DiskState.ATTACHING,
        )

    async def detach(self, volume_id: VolumeId, node_id: NodeId) -> Disk:
        """The disk, free of the node and ready for another."""
        await self.done(lambda: self.cloud.detach_disk(volume_id, node_id))
        return await self.see(
            volume_id,
            lambda disk: node_id not in disk.attached_to and disk.state is not DiskState.DETACHING,
        )

    async def source(self) -> Disk:
        """A disk that can be snapshotted."""
        disk = await self.make()
        if self.world.attach_before_snapshot:
            await self.attach(disk.id, self.world.node)
            await self.detach(disk.id, self.world.node)
        return disk

    def snapshot_spec(self, source: VolumeId, name: str = "") -> SnapshotSpec:
        """A snapshot to make."""
        return SnapshotSpec(
            name=name or self.name(),
            source_volume_id=source,
            parameters=self.world.snapshot_parameters,
        )

    async def snapshot(self, source: VolumeId) -> Snapshot:
        """A new snapshot, ready to be restored."""
        spec = self.snapshot_spec(source)
        snapshot_id = await self.done(lambda: self.cloud.create_snapshot(spec))
        return await self.see_snapshot(snapshot_id, lambda snapshot: snapshot.ready)

    async def see_snapshot(
        self, snapshot_id: SnapshotId, holds: Callable[[Snapshot], bool]
    ) -> Snapshot:
        """The snapshot once it `holds`."""

        async def read() -> Snapshot | None:
            return (await self.cloud.get_snapshots([snapshot_id])).get(snapshot_id)

        snapshot = await self.until(read, lambda seen: seen is not None and holds(seen))
        assert snapshot is not None
        return snapshot

    async def clean_up(self, *, snapshots: bool) -> None:
        """Take everything away that carries a name of this test."""
        for name in self._names:
            for disk in await self.cloud.find_disks(name):
                await self._take_away(disk)
            for snapshot in await self.cloud.find_snapshots(name) if snapshots else ():
                with suppress(NotFound):
                    await self.done(partial(self.cloud.delete_snapshot, snapshot.id))

    async def _take_away(self, disk: Disk) -> None:
        async def deleted() -> bool:
            now = await self.disk(disk.id)
            for holder in now.attached_to if now else ():
                with suppress(DiskError):
                    await self.cloud.detach_disk(disk.id, holder)
            with suppress(InUse, *MAYBE_RUNNING, NotFound):
                await self.cloud.delete_disk(disk.id)
            return await self.disk(disk.id) is None

        await self.until(deleted, bool)


def is_available(disk: Disk) -> bool:
    """Whether it is ready for use and held by nobody."""
    return disk.state is DiskState.AVAILABLE and not disk.attached_to


def all_of_its_tests(mark: pytest.MarkDecorator) -> Callable[[type[Whole]], type[Whole]]:
    """Mark every test of a chapter, and none of the others.

    A mark of the class itself would reach, by inheritance, all chapters of the contract.
    """

    def marked(chapter: type[Whole]) -> type[Whole]:
        for name, test in list(vars(chapter).items()):
            if name.startswith("test_"):
                setattr(chapter, name, mark(test))
        return chapter

    return marked


class Chapter:
    """What every chapter of the contract shares."""

    @pytest.fixture(autouse=True)
    def _skipped_for_a_reason(
        self, request: pytest.FixtureRequest, cloud: CloudProvider, world: World
    ) -> None:
        for marker in request.node.iter_markers("needs"):
            if marker.args[0] not in cloud.capabilities:
                pytest.skip(f"this provider has no {marker.args[0]}")
        if request.node.get_closest_marker("needs_faults") and world.faults is None:
            pytest.skip("this world can't cause faults")

    @pytest.fixture
    async def account(self, cloud: CloudProvider, world: World) -> AsyncIterator[Account]:
        """Makes what a test needs, and takes it away again."""
        account = Account(cloud=cloud, world=world)
        try:
            yield account
        finally:
            if world.faults is not None:
                world.faults.clear()
            if not world.disposable:
                await account.clean_up(snapshots=Capability.SNAPSHOTS in cloud.capabilities)
