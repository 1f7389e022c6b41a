"""An account of a cloud whose time moves when told: what tests of the calls have in hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from mockcloud.actions import Actor
from mockcloud.engine.clock import FakeClock
from mockcloud.engine.engine import Engine
from mockcloud.engine.knobs import Knobs
from mockcloud.engine.latency import Latencies, ranges
from mockcloud.engine.world import DEFAULT_KEY, Machine, WorldConfig
from mockcloud.errors import ApiError
from mockcloud.hypervisor.base import Hypervisor, NoHypervisor
from mockcloud.wire.params import Params

REGION: Final = "cn-hangzhou"
G, H = "cn-hangzhou-g", "cn-hangzhou-h"
I1, I2, I3, N1, N2 = "i-1", "i-2", "i-3", "i-nvme-1", "i-nvme-2"
NVME: Final = "ecs.g7se.16xlarge"

STEPS: Final = {
    "create": "2", "restore": "3", "attach": "4", "status_lag": "0.5", "detach": "3",
    "snapshot_cut": "1", "snapshot_done": "10",
}  # fmt: skip
SETTLED_S: Final = 60.0
"""After it whatever was begun is done."""


def machines() -> tuple[Machine, ...]:
    """Two in one zone, one in the other, and two that take NVMe disks."""
    return (
        Machine(id=I1, zone=G),
        Machine(id=I2, zone=G),
        Machine(id=I3, zone=H),
        Machine(id=N1, zone=G, type=NVME),
        Machine(id=N2, zone=G, type=NVME),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account, its engine, and its time."""

    engine: Engine
    clock: FakeClock

    async def call(self, action: str, told: Mapping[str, object] = {}, /, **more: object) -> Any:  # noqa: ANN401 - JSON; never changed
        """The answer of a call; its region is this account's unless another is told."""
        values = {"RegionId": REGION, **told, **more}
        params = Params({name: str(value) for name, value in values.items() if value is not None})
        return await Actor(engine=self.engine).act(action, params)

    async def refused(self, action: str, told: Mapping[str, object] = {}, /, **more: object) -> str:
        """Status and code of a call that must fail."""
        try:
            answer = await self.call(action, told, **more)
        except ApiError as error:
            return f"{error.status} {error.code}"
        return f"200 {answer}"

    async def passes(self, seconds: float = SETTLED_S) -> None:
        """Let time pass, and everything happen that is due on the way."""
        await self.engine.schedule.advance(self.clock, seconds)

    async def creates(self, told: Mapping[str, object] = {}, /, **more: object) -> str:
        """The id of a disk that is Available: 20 GiB of cloud_essd unless told otherwise."""
        usual = {"ZoneId": G, "Size": 20, "DiskCategory": "cloud_essd"}
        answer = await self.call("CreateDisk", {**usual, **told, **more})
        await self.passes()
        return str(answer["DiskId"])

    async def holds(self, disk_id: str, instance_id: str) -> None:
        """Attach, and see it done."""
        await self.call("AttachDisk", DiskId=disk_id, InstanceId=instance_id)
        await self.passes()

    async def disk(self, disk_id: str) -> Any:  # noqa: ANN401 - JSON
        """What a search shows of a disk; None when it shows none."""
        answer = await self.call("DescribeDisks", DiskIds=f'["{disk_id}"]')
        return next(iter(answer["Disks"]["Disk"]), None)

    async def status(self, disk_id: str) -> str:
        """The status that a search shows."""
        return str((await self.disk(disk_id))["Status"])

    async def count(self) -> int:
        """How many disks there are."""
        return int((await self.call("DescribeDisks"))["TotalCount"])


def account(
    *,
    more_machines: tuple[Machine, ...] = (),
    sold_out: frozenset[str] = frozenset(),
    steps: Mapping[str, str] | None = None,
    hypervisor: Hypervisor | None = None,
    **knobs: Any,  # noqa: ANN401 - of Knobs
) -> Account:
    """An account in a region with two zones, and its odd ways."""
    clock = FakeClock()
    config = WorldConfig(
        zones={REGION: (G, H), "cn-beijing": ("cn-beijing-a",)},
        machines=(*machines(), *more_machines),
        keys=(DEFAULT_KEY,),
        knobs=Knobs(**knobs),
        sold_out=sold_out,
    )
    engine = Engine(
        config=config,
        clock=clock,
        latencies=Latencies(ranges=ranges("zero", {**STEPS, **(steps or {})}), random=Random(1)),
        hypervisor=hypervisor or NoHypervisor(),
        random=Random(2),
    )
    return Account(engine=engine, clock=clock)
