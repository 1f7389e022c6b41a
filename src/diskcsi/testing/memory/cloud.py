"""The cloud in memory, call by call.

States move when their time on the loop's clock has come, so it works the same in virtual and in
real time, and nothing runs in the background.

Effects are decided in the middle of a call: a call that is cancelled before has none, a call that is
cancelled after has had its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from diskcsi.model.capabilities import EVERY_CAPABILITY, Capability
from diskcsi.model.errors import UnknownOutcome, Unreachable
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.volume import Disk, DiskSpec, Node, Snapshot, SnapshotPage, SnapshotSpec
from diskcsi.ports.cloud import CallObserver, CloudCall
from diskcsi.testing.memory.faults import Fault, Faults, code_of
from diskcsi.testing.memory.state import State
from diskcsi.testing.memory.timeline import Latency

Result = TypeVar("Result")

READ_BATCH: Final = 100

READS: Final = ("find_", "get_", "list_", "check")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCall:
    """One call as it was made.

    Attributes:
        action: the method of the port.
        ids: the ids, or the name, that it was about, in the order of its parameters.
        at_s: when it was made, on the loop's clock.
    """

    action: str
    ids: tuple[str, ...] = ()
    at_s: float = field(default=0.0, compare=False)

    @property
    def mutating(self) -> bool:
        """Whether it would change something."""
        return not self.action.startswith(READS)


class MemoryCloud:
    """Implements `CloudProvider`.

    Args:
        zones: the zones there are.
        nodes: the machines, with how many disks each takes and, as `slots`, how many changes
            at once.
        latency: how long things take.
        observer: told of every call.

    Attributes:
        calls: every call that was made, in order; lost ones too.
        faults: what will go wrong.
        state: what there is, for tests that arrange or look behind the port.
    """

    def __init__(
        self,
        *,
        zones: Sequence[str] = ("zone-a", "zone-b"),
        nodes: Sequence[Node] = (
            Node(id=NodeId("node-1"), zone="zone-a"),
            Node(id=NodeId("node-2"), zone="zone-a"),
            Node(id=NodeId("node-3"), zone="zone-b"),
        ),
        latency: Latency | None = None,
        capabilities: frozenset[Capability] = EVERY_CAPABILITY,
        node_limit: int = 16,
        node_slots: int = 1,
        observer: CallObserver = lambda call: None,  # noqa: ARG005
    ) -> None:
        self.calls: list[MemoryCall] = []
        self.faults = Faults()
        self.state = State(
            zones=tuple(zones),
            nodes={node.id: node for node in nodes},
            latency=latency or Latency(),
            node_limit=node_limit,
            node_slots=node_slots,
        )
        self._capabilities = capabilities
        self._observer = observer

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the constructor was told."""
        return self._capabilities

    @property
    def read_batch(self) -> int:
        """Ids in one read."""
        return READ_BATCH

    @property
    def changes(self) -> list[MemoryCall]:
        """The calls that would change something."""
        return [call for call in self.calls if call.mutating]

    def count(self, action: str) -> int:
        """How many calls of this method were made."""
        return sum(call.action == action for call in self.calls)

    async def find_disks(self, name: str) -> Sequence[Disk]:
        """Those that show up already."""
        return await self._ask("find_disks", (name,), lambda: self.state.disks_named(name))

    async def get_disks(self, volume_ids: Collection[VolumeId]) -> Mapping[VolumeId, Disk]:
        """In calls of a hundred."""
        found: dict[VolumeId, Disk] = {}
        for part in _parts(volume_ids):
            found |= await self._ask("get_disks", part, partial(self.state.disks_of, part))
        return found

    async def create_disk(self, spec: DiskSpec) -> VolumeId:
        """With the token of its name and attempt."""
        return await self._ask("create_disk", (spec.name,), lambda: self.state.create_disk(spec))

    async def delete_disk(self, volume_id: VolumeId) -> None:
        """It shows as `DELETING` for its latency."""
        await self._ask("delete_disk", (volume_id,), lambda: self.state.delete_disk(volume_id))

    async def resize_disk(self, volume_id: VolumeId, size_gib: int) -> None:
        """It has its size after its latency."""
        await self._ask(
            "resize_disk", (volume_id,), lambda: self.state.resize_disk(volume_id, size_gib)
        )

    async def attach_disk(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """It is held after its latency; the state lags behind by its own."""
        await self._ask(
            "attach_disk", (volume_id, node_id), lambda: self.state.attach(volume_id, node_id)
        )

    async def detach_disk(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """It is free after its latency."""
        await self._ask(
            "detach_disk", (volume_id, node_id), lambda: self.state.detach(volume_id, node_id)
        )

    async def get_node(self, node_id: NodeId) -> Node | None:
        """The machine."""
        return await self._ask("get_node", (node_id,), lambda: self.state.nodes.get(node_id))

    async def find_snapshots(self, name: str) -> Sequence[Snapshot]:
        """Those that show up already."""
        return await self._ask("find_snapshots", (name,), lambda: self.state.snapshots_named(name))

    async def get_snapshots(
        self, snapshot_ids: Collection[SnapshotId]
    ) -> Mapping[SnapshotId, Snapshot]:
        """In calls of a hundred."""
        found: dict[SnapshotId, Snapshot] = {}
        for part in _parts(snapshot_ids):
            found |= await self._ask("get_snapshots", part, partial(self.state.snapshots_of, part))
        return found

    async def create_snapshot(self, spec: SnapshotSpec) -> SnapshotId:
        """It is cut after one latency and ready after another."""
        return await self._ask(
            "create_snapshot", (spec.name,), lambda: self.state.create_snapshot(spec)
        )

    async def delete_snapshot(self, snapshot_id: SnapshotId) -> None:
        """At once."""
        await self._ask(
            "delete_snapshot", (snapshot_id,), lambda: self.state.delete_snapshot(snapshot_id)
        )

    async def list_snapshots(
        self, *, source_volume_id: VolumeId | None, limit: int, token: str
    ) -> SnapshotPage:
        """In the order they were made."""
        return await self._ask(
            "list_snapshots",
            (source_volume_id or "",),
            lambda: self.state.page(source_volume_id=source_volume_id, limit=limit, token=token),
        )

    async def check(self) -> None:
        """It is always there, unless a fault says otherwise."""
        await self._ask("check", (), lambda: None)

    async def _ask(self, action: str, ids: tuple[str, ...], effect: Callable[[], Result]) -> Result:
        loop = asyncio.get_running_loop()
        call = MemoryCall(action=action, ids=ids, at_s=loop.time())
        self.calls.append(call)
        code = "OK"
        try:
            return await self._carry_out(call, effect)
        except BaseException as error:
            code = code_of(error)
            raise
        finally:
            self._observer(
                CloudCall(
                    action=action,
                    mutating=call.mutating,
                    code=code,
                    request_id=f"call-{len(self.calls)}",
                    duration_s=loop.time() - call.at_s,
                )
            )

    async def _carry_out(self, call: MemoryCall, effect: Callable[[], Result]) -> Result:
        fault = self.faults.next(call.action)
        await asyncio.sleep(self.state.latency.call_s / 2)
        if fault is not None and fault.gate is not None:
            await fault.gate.wait()
        self.state.pass_time()
        if fault is not None and (fault.error or fault.loses_request or fault.late_s is not None):
            raise self._instead(call, effect, fault)
        result = effect()
        await asyncio.sleep(self.state.latency.call_s / 2)
        if fault is not None and fault.loses_reply:
            raise _unanswered(call)
        return result

    def _instead(self, call: MemoryCall, effect: Callable[[], object], fault: Fault) -> Exception:
        if fault.late_s is not None:
            self.state.timeline.arrive(fault.late_s, effect)
        return fault.error or _unanswered(call)


def _unanswered(call: MemoryCall) -> Exception:
    told = f"no answer to {call.action} {' '.join(call.ids)}"
    return UnknownOutcome(told) if call.mutating else Unreachable(told)


Id = TypeVar("Id", bound=str)


def _parts(ids: Collection[Id]) -> list[tuple[Id, ...]]:
    ordered = sorted(set(ids))
    return [
        tuple(ordered[start : start + READ_BATCH]) for start in range(0, len(ordered), READ_BATCH)
    ]
