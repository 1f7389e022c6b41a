"""Controllers that are killed, and replies that are lost, around each call that changes something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from diskcsi._proto.csi import v1
from diskcsi.orchestrator.drivers import Driver
from diskcsi.orchestrator.mock import Mock
from tests.system.conftest import Controllers

GIB = 1024**3
NODES = ("i-bp1mockcloudnode0001", "i-bp1mockcloudnode0002")
RPC_S = 15.0
WAIT_S = 20.0
LOOK_S = 0.02
THROTTLED_S = 3.0
"""The scenario's own time: reads are refused for as long as this."""

NOT_FINAL = {Status.CANCELLED, Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE, Status.ABORTED}
MODE = v1.VolumeCapabilityAccessModeMode


State = Mapping[str, Any]


async def _reaches(cloud: Mock, condition: Callable[[State], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition(await cloud.state()):  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_S)


async def _started(controllers: Controllers) -> tuple[Driver, v1.ControllerStub]:
    driver = await controllers.start()
    stub = driver.plugin.controller
    stub.timeout = RPC_S
    return driver, stub


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
    cloud: Mock, controllers: Controllers, name: str
) -> None:
    """The cloud did what it was asked, nobody heard of it, and a retry makes no second one."""
    step = STEPS[name]
    first, stub = await _started(controllers)
    volume_id = await _prepared(stub, step)
    await cloud.fault(step.action, kind="hold_reply", delay_s=600)
    async with asyncio.TaskGroup() as tasks:
        lost = tasks.create_task(_lost(step, stub, volume_id))
        await _reaches(cloud, lambda state: step.done(state) is not None)
        await first.program.kill()
        await lost
    await cloud.mend()
    _, successor = await _started(controllers)
    answer, _ = await _retried(successor, step, volume_id)
    assert answer == step.done(await cloud.state())


async def _lost(step: Step, stub: v1.ControllerStub, volume_id: str) -> None:
    with pytest.raises((StreamTerminatedError, ConnectionError)):
        await step.call(stub, volume_id)


@pytest.mark.parametrize("name", STEPS, ids=[f"leader-failover-{name}" for name in STEPS])
async def test_another_controller_takes_over_while_the_first_hangs(
    cloud: Mock, controllers: Controllers, name: str
) -> None:
    """Nothing that the first one knows is needed, and its late end harms nothing."""
    step = STEPS[name]
    (_, first), (_, second) = await _started(controllers), await _started(controllers)
    volume_id = await _prepared(first, step)
    await cloud.fault(step.action, kind="hold_reply", delay_s=2)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(step.call(first, volume_id))
        await _reaches(cloud, lambda state: step.done(state) is not None)
        answer, _ = await _retried(second, step, volume_id)
    assert answer == asked.result() == step.done(await cloud.state())


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
    cloud: Mock, controllers: Controllers, name: str, reads: str
) -> None:
    """Until the truth is read nothing final is said, and then there is one of it."""
    step = STEPS[name]
    _, stub = await _started(controllers)
    volume_id = await _prepared(stub, step)
    await cloud.fault(step.action, kind="lose_reply")
    if told := READS[reads]:
        skip = 1 if name in ("create", "snapshot", "resize") else 0  # they read first
        await cloud.fault("Describe*", times=2, skip=skip, **told)
    answer, codes = await _retried(stub, step, volume_id)
    assert set(codes) <= NOT_FINAL
    assert answer == step.done(await cloud.state())


async def test_attaches_outlast_throttled_reads(cloud: Mock, controllers: Controllers) -> None:
    """Twenty attaches while reads are throttled for three seconds: no call of 15 s fails."""
    _, stub = await _started(controllers)
    ids = await asyncio.gather(*(_create(stub, f"pvc-{number}") for number in range(20)))
    await cloud.fault("Describe*", kind="throttle", times=0)
    async with asyncio.TaskGroup() as tasks:
        for place, volume_id in enumerate(ids):
            tasks.create_task(_attach(stub, volume_id, NODES[place % 2]))
        await asyncio.sleep(THROTTLED_S)
        await cloud.mend()
    assert all(disk["attached_to"] for disk in (await cloud.state())["disks"])
    assert any(call["code"] == "Throttling" for call in await cloud.calls())
