"""The cloud: its state, its time, and the slow changes that calls set off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVarTuple

from mockcloud.engine.clock import Clock, Schedule
from mockcloud.engine.latency import Latencies
from mockcloud.engine.state import Disk, Instance, Snapshot
from mockcloud.engine.tokens import Tokens
from mockcloud.engine.world import WorldConfig
from mockcloud.errors import ApiError
from mockcloud.hypervisor.base import Hypervisor
from mockcloud.wire.params import Params

ID_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
ID_LENGTH: Final = 20

REGION_PREFIXES: Final = {
    "cn-hangzhou": "bp1", "cn-beijing": "2ze", "cn-shanghai": "uf6", "cn-shenzhen": "wz9",
    "cn-hongkong": "j6c", "cn-wulanchabu": "0jl", "us-west-1": "rj9", "cn-huhehaote": "hp3",
}  # fmt: skip

MINUTE_S: Final = 60

About = TypeVarTuple("About")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to happen at a time: an effect by its name, and what it is about.

    It is told in words, so that it can be written down and go on after a restart.

    Attributes:
        copies: whether it copies a disk, which takes long.
    """

    due_at: float
    effect: str
    about: tuple[Any, ...]
    copies: bool = False


class Engine:
    """One account's part of the cloud.

    Args:
        copies: where effects happen that copy a disk, so that no other has to wait for them; by
            default beside all others.

    Attributes:
        disks, snapshots, instances: what there is, by id.
        busy: for each machine, the disks that are on their way to or from it.
        ended: machines that were deleted; none of them comes back.
        orders: what is to happen yet.
        keep: writes down what there is now, where it shall outlive this process.
        changed: called after something happened by itself.
    """

    def __init__(
        self,
        *,
        config: WorldConfig,
        clock: Clock,
        latencies: Latencies,
        hypervisor: Hypervisor,
        random: Random,
        copies: Schedule | None = None,
    ) -> None:
        self.config = config
        self.knobs = config.knobs
        self.clock = clock
        self.schedule = Schedule(clock=clock)
        self.copies = copies or self.schedule
        self.latencies = latencies
        self.hypervisor = hypervisor
        self.tokens = Tokens(clock=clock, knobs=config.knobs)
        self.disks: dict[str, Disk] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.instances: dict[str, Instance] = {
            one.id: Instance(
                id=one.id,
                region=config.region_of(one.zone),
                zone=one.zone,
                type_name=one.type,
                status=one.status,
                created_at=clock.time(),
                running_since=clock.time(),
                tags=dict(one.tags),
            )
            for one in config.machines
        }
        self.busy: dict[str, set[str]] = defaultdict(set)
        self.ended: set[str] = set()
        self.orders: dict[int, Order] = {}
        self.keep: Callable[[], Awaitable[None]] = _nothing_kept
        self.changed: Callable[[], None] = _nobody_told
        self._random = random
        self._ordered = 0
        self._count = 0
        self._minute = 0
        self._calls: dict[tuple[str, str], int] = {}

    @property
    def count(self) -> int:
        """The latest number that `next_order` gave."""
        return self._count

    def go_on(self, *, count: int, random: Random) -> None:
        """After a restart: let numbers and ids be others than before."""
        self._count, self._random = count, random

    def later(
        self,
        delay_s: float,
        effect: Callable[[Engine, *About], Awaitable[None]],
        *about: *About,
        copies: bool = False,
    ) -> None:
        """Let an effect happen in `delay_s` seconds; it is a function of a module, known by name.

        Args:
            copies: whether it copies a disk. Others go on meanwhile, so it must bear what they change.
        """
        self._ordered += 1
        number = self._ordered
        self.orders[number] = Order(
            due_at=self.clock.time() + delay_s,
            effect=effect.__name__,
            about=about,
            copies=copies,
        )

        async def happens() -> None:
            try:
                await effect(self, *about)
            except Exception:
                self._over(number)
                raise
            self._over(number)  # not when it is cancelled: what a stop cut short goes on after it

        (self.copies if copies else self.schedule).after(delay_s, happens)

    def _over(self, number: int) -> None:
        del self.orders[number]
        self.changed()

    def new_id(self, kind: str, region: str) -> str:
        """A fresh id as the cloud would make it in this region."""
        prefix = REGION_PREFIXES.get(region, "mck")
        rest = "".join(self._random.choices(ID_LETTERS, k=ID_LENGTH - len(prefix)))
        return f"{kind}-{prefix}{rest}"

    def next_order(self) -> int:
        """A number greater than all before."""
        self._count += 1
        return self._count

    def disk(self, disk_id: str) -> Disk:
        """The disk of this id."""
        found = self.disks.get(disk_id)
        if found is None:
            raise ApiError(404, "InvalidDiskId.NotFound", "The specified disk does not exist.")
        return found

    def instance(self, instance_id: str) -> Instance:
        """The machine of this id."""
        found = self.instances.get(instance_id)
        if found is None:
            raise ApiError(
                404, "InvalidInstanceId.NotFound", "The specified InstanceId does not exist."
            )
        return found

    def disks_on(self, instance_id: str) -> Iterator[Disk]:
        """Disks that a machine holds, or is about to."""
        for disk in self.disks.values():
            coming = disk.operation == "attaching" and disk.operation_on == instance_id
            if coming or disk.attached_to(instance_id):
                yield disk

    def snapshot_running(self, disk_id: str) -> bool:
        """Whether a snapshot of this disk is being made."""
        return any(
            one.disk_id == disk_id and one.status == "progressing"
            for one in self.snapshots.values()
        )

    def region_of_call(self, params: Params) -> str:
        """The region a call is about: the one it names, or that of what it is about."""
        for name, known in (
            ("DiskId", self.disks),
            ("SnapshotId", self.snapshots),
            ("InstanceId", self.instances),
        ):
            if (one := known.get(params.text(name))) is not None:
                return one.region
        return params.text("RegionId")

    def count_call(self, action: str, region: str) -> None:
        """Refuse the call when its minute is used up; each action in each region has its own.

        Raises:
            ApiError: `Throttling`, until the next minute of the clock begins.
        """
        read = action.startswith(("Describe", "List"))
        limit = self.knobs.reads_per_minute if read else self.knobs.writes_per_minute
        if not limit:
            return
        minute = int(self.clock.time() // MINUTE_S)
        if minute != self._minute:
            self._minute, self._calls = minute, {}
        used = self._calls.get((action, region), 0)
        if used >= limit:
            raise ApiError(
                self.knobs.throttle_status,
                "Throttling",
                "Request was denied due to request throttling.",
            )
        self._calls[(action, region)] = used + 1

    async def close(self) -> None:
        """End on the machine as the hypervisor does."""
        await self.hypervisor.close()


async def _nothing_kept() -> None:
    pass


def _nobody_told() -> None:
    pass
