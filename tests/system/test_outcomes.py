"""Controllers that are killed, and replies that are lost, around each call that changes something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from diskcsi._proto.csi import v1

GIB = 1024**3
NODES = ("i-bp1mockcloudnode0001", "i-bp1mockcloudnode0002")
RPC_S = 15.0
NOT_FINAL = {Status.CANCELLED, Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE, Status.ABORTED}
MODE = v1.VolumeCapabilityAccessModeMode


State = Mapping[str, Any]


class Cloud(Protocol):
    """The fixture's object."""

    def state(self) -> State: ...
    def calls(self) -> Sequence[Mapping[str, object]]: ...
    def fault(self, action: str, **told: object) -> None: ...
    def mend(self) -> None: ...
    async def reaches(self, condition: Callable[[State], bool]) -> None: ...


class Driver(Protocol):
    """One process."""

    socket: Path

    def kill(self) -> None: ...


class Drivers(Protocol):
    """The fixture's object."""

    def controller(self) -> Driver: ...


@asynccontextmanager
async def _calling(driver: Driver) -> AsyncIterator[v1.ControllerStub]:
    channel = Channel(path=str(driver.socket))
    try:
        yield v1.ControllerStub(channel, timeout=RPC_S)
    finally:
        channel.close()


def _capability() -> v1.VolumeCapability:
    return v1.VolumeCapability(
        mount=v1.VolumeCapabilityMountVolume(fs_type="ext4"),
        access_mode=v1.VolumeCapabilityAccessMode(mode=MODE(MODE.SINGLE_NODE_WRITER)),
    )


async def _create(stub: v1.ControllerStub, name: str = "pvc-1") -> str:
    answer = await stub.create_volume(
        v1.CreateVolumeRequest(
            name=name,
            capacity_range=v1.CapacityRange(required_bytes=20 * GIB),
            volume_capabilities=[_capability()],
            parameters={"type": "cloud_ssd", "zoneId": "cn-hangzhou-g"},
        )
    )
    return answer.volume.volume_id


async def _attach(stub: v1.ControllerStub, volume_id: str, node: str = NODES[0]) -> str:
    answer = await stub.controller_publish_volume(
        v1.ControllerPublishVolumeRequest(
            volume_id=volume_id, node_id=node, volume_capability=_capability()
        )
    )
    return answer.publish_context["serialNumber"]


async def _detach(stub: v1.ControllerStub, volume_id: str) -> str:
    await stub.controller_unpublish_volume(
        v1.ControllerUnpublishVolumeRequest(volume_id=volume_id, node_id=NODES[0])
    )
    return ""


async def _delete(stub: v1.ControllerStub, volume_id: str) -> str:
    await stub.delete_volume(v1.DeleteVolumeRequest(volume_id=volume_id))
    return ""


async def _resize(stub: v1.ControllerStub, volume_id: str) -> str:
    answer = await stub.controller_expand_volume(
        v1.ControllerExpandVolumeRequest(
            volume_id=volume_id, capacity_range=v1.CapacityRange(required_bytes=30 * GIB)
        )
    )
    return str(answer.capacity_bytes // GIB)


async def _snapshot(stub: v1.ControllerStub, volume_id: str) -> str:
    answer = await stub.create_snapshot(
        v1.CreateSnapshotRequest(source_volume_id=volume_id, name="snap-1")
    )
    return answer.snapshot.snapshot_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call that changes something.

    Attributes:
        action: the cloud's name for it.
        call: asks the driver for it; what the answer tells.
        done: what the cloud's state tells once it has happened, alike; None before.
        attached: whether the disk has to be attached first.
    """

    action: str
    call: Callable[..., Any]
    done: Callable[[Any], str | None]
    attached: bool = False


def _only(things: list[Any], tell: Callable[[Any], str | None]) -> str | None:
    return tell(things[0]) if len(things) == 1 else None


STEPS = {
    "create": Step(
        action="CreateDisk",
        call=lambda stub, _: _create(stub),
        done=lambda state: _only(state["disks"], lambda disk: disk["id"]),
    ),
    "attach": Step(
        action="AttachDisk",
        call=_attach,
        done=lambda state: _only(
            state["disks"],
            lambda disk: (
                disk["id"].removeprefix("d-") if disk["attached_to"] == [NODES[0]] else None
            ),
        ),
    ),
    "detach": Step(
        action="DetachDisk",
        call=_detach,
        done=lambda state: _only(state["disks"], lambda disk: None if disk["attached_to"] else ""),
        attached=True,
    ),
    "delete": Step(
        action="DeleteDisk", call=_delete, done=lambda state: None if state["disks"] else ""
    ),
    "resize": Step(
        action="ResizeDisk",
        call=_resize,
        done=lambda state: _only(
            state["disks"], lambda disk: "30" if disk["size_gib"] == 30 else None
        ),
        attached=True,
    ),
    "snapshot": Step(
        action="CreateSnapshot",
        call=_snapshot,
        done=lambda state: _only(state["snapshots"], lambda one: one["id"]),
        attached=True,
    ),
}


async def _prepared(stub: v1.ControllerStub, step: Step) -> str:
    if step is STEPS["create"]:
        return ""
    volume_id = await _create(stub)
    if step.attached:
        await _attach(stub, volume_id)
    return volume_id


async def _retried(stub: v1.ControllerStub, step: Step, volume_id: str) -> tuple[str, list[Status]]:
    """Ask again for as long as a sidecar would; the answer, and the codes on the way."""
    codes: list[Status] = []
    async with asyncio.timeout(60):
        while True:
            try:
                return await step.call(stub, volume_id), codes
            except GRPCError as error:
                codes.append(error.status)
                if error.status not in NOT_FINAL:
                    raise


@pytest.mark.parametrize("name", STEPS, ids=[f"killed-after-{name}" for name in STEPS])
async def test_a_killed_controllers_successor_finds_what_was_done(
    cloud: Cloud, drivers: Drivers, name: str
) -> None:
    """The cloud did what it was asked, nobody heard of it, and a retry makes no second one."""
    step = STEPS[name]
    first = drivers.controller()
    async with _calling(first) as stub:
        volume_id = await _prepared(stub, step)
        cloud.fault(step.action, kind="hold_reply", delay_s=600)
        asked = asyncio.ensure_future(step.call(stub, volume_id))
        await cloud.reaches(lambda state: step.done(state) is not None)
        first.kill()
        with pytest.raises((StreamTerminatedError, ConnectionError)):
            await asked
    cloud.mend()
    async with _calling(drivers.controller()) as stub:
        answer, _ = await _retried(stub, step, volume_id)
    assert answer == step.done(cloud.state())


@pytest.mark.parametrize("name", STEPS, ids=[f"leader-failover-{name}" for name in STEPS])
async def test_another_controller_takes_over_while_the_first_hangs(
    cloud: Cloud, drivers: Drivers, name: str
) -> None:
    """Nothing that the first one knows is needed, and its late end harms nothing."""
    step = STEPS[name]
    async with _calling(drivers.controller()) as first, _calling(drivers.controller()) as second:
        volume_id = await _prepared(first, step)
        cloud.fault(step.action, kind="hold_reply", delay_s=2)
        asked = asyncio.ensure_future(step.call(first, volume_id))
        await cloud.reaches(lambda state: step.done(state) is not None)
        answer, _ = await _retried(second, step, volume_id)
        assert answer == step.done(cloud.state())
        assert await asked == answer


READS: dict[str, dict[str, object]] = {
    "": {},
    "-reads-denied": {"kind": "error", "status": 403, "code": "Forbidden.RAM"},
    "-reads-fail": {"kind": "error", "status": 503, "code": "ServiceUnavailable"},
    "-reads-throttled": {"kind": "throttle"},
}
"""How the reads fare that have to find out what was done."""


@pytest.mark.parametrize("reads", READS, ids=[reads or "reads-work" for reads in READS])
@pytest.mark.parametrize("name", STEPS, ids=[f"lost-reply-{name}" for name in STEPS])
async def test_a_lost_reply_ends_in_success_and_never_in_a_final_code(
    cloud: Cloud, drivers: Drivers, name: str, reads: str
) -> None:
    """Until the truth is read nothing final is said, and then there is one of it."""
    step = STEPS[name]
    async with _calling(drivers.controller()) as stub:
        volume_id = await _prepared(stub, step)
        cloud.fault(step.action, kind="lose_reply")
        if told := READS[reads]:
            skip = 1 if name in ("create", "snapshot", "resize") else 0  # they read first
            cloud.fault("Describe*", times=2, skip=skip, **told)
        answer, codes = await _retried(stub, step, volume_id)
    assert set(codes) <= NOT_FINAL
    assert answer == step.done(cloud.state())


async def test_attaches_outlast_throttled_reads(cloud: Cloud, drivers: Drivers) -> None:
    """Twenty attaches while reads are throttled for three seconds: no call of 15 s fails."""
    async with _calling(drivers.controller()) as stub:
        ids = await asyncio.gather(*(_create(stub, f"pvc-{number}") for number in range(20)))
        cloud.fault("Describe*", kind="throttle", times=0)
        asyncio.get_running_loop().call_later(3.0, cloud.mend)
        await asyncio.gather(
            *(_attach(stub, id_, NODES[place % 2]) for place, id_ in enumerate(ids))
        )
    assert all(disk["attached_to"] for disk in cloud.state()["disks"])
    assert any(call["code"] == "Throttling" for call in cloud.calls())
