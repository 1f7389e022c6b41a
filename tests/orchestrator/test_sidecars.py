"""Sidecars against a plug-in whose answers are written down beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server

from diskcsi._proto.csi import v1
from diskcsi.orchestrator import sidecars
from diskcsi.orchestrator.kubelet import PATIENCE as KUBELET
from diskcsi.orchestrator.plugin import CallFailed, Plugin, answered
from diskcsi.orchestrator.sidecars import (
    ATTACHER,
    GIB,
    RESIZER,
    SNAPSHOTTER,
    Claim,
    NotAsAsked,
    Patience,
    Sidecars,
    persisted,
)

CLAIM = Claim(name="pvc-1", size_gib=20)


class Controller(v1.ControllerBase):
    """Answers creates with what it was given, the failures first; remembers what was deleted."""

    def __init__(self, *failures: Status, gib: int = 20, hangs: bool = False) -> None:
        self.hangs = hangs
        self.failures = list(failures)
        self.gib = gib
        self.creates = 0
        self.publishes = 0
        self.deleted: list[str] = []

    async def create_volume(
        self, create_volume_request: v1.CreateVolumeRequest
    ) -> v1.CreateVolumeResponse:
        self.creates += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.failures:
            raise GRPCError(self.failures.pop(0), "as written")
        return v1.CreateVolumeResponse(
            volume=v1.Volume(volume_id="d-1", capacity_bytes=self.gib * GIB)
        )

    async def delete_volume(
        self, delete_volume_request: v1.DeleteVolumeRequest
    ) -> v1.DeleteVolumeResponse:
        self.deleted.append(delete_volume_request.volume_id)
        return v1.DeleteVolumeResponse()

    async def controller_publish_volume(
        self, controller_publish_volume_request: v1.ControllerPublishVolumeRequest
    ) -> v1.ControllerPublishVolumeResponse:
        self.publishes += 1
        return v1.ControllerPublishVolumeResponse(publish_context={"serialNumber": "1"})


@asynccontextmanager
async def calling(controller: Controller, directory: Path) -> AsyncIterator[Sidecars]:
    server = Server([controller])
    await server.start(path=str(directory / "s"))
    try:
        async with Plugin(directory / "s") as plugin:
            yield Sidecars(plugin)
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provisioner that hardly pauses."""
    quick = replace(sidecars.PROVISIONER, call_s=5.0, first_pause_s=0.001, total_s=5.0)
    monkeypatch.setattr(sidecars, "PROVISIONER", quick)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "status", [Status.CANCELLED, Status.DEADLINE_EXCEEDED, Status.UNAVAILABLE, Status.ABORTED]
)
async def test_a_code_that_is_not_final_is_asked_again(tmp_path: Path, status: Status) -> None:
    """The volume may exist, so the provisioner doesn't let go."""
    controller = Controller(status, status)
    async with calling(controller, tmp_path) as asked:
        volume = await asked.provision(CLAIM)
    assert (volume.id, controller.creates) == ("d-1", 3)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "status", [Status.INTERNAL, Status.RESOURCE_EXHAUSTED, Status.INVALID_ARGUMENT]
)
async def test_a_final_code_is_the_users_answer_at_once(tmp_path: Path, status: Status) -> None:
    """Nothing was made, says the driver, so nothing is asked again."""
    controller = Controller(status)
    async with calling(controller, tmp_path) as asked:
        with pytest.raises(CallFailed, match="as written"):
            await asked.provision(CLAIM)
    assert controller.creates == 1


async def test_a_volume_that_is_too_small_is_deleted_again(tmp_path: Path) -> None:
    """The provisioner can't use it and nobody else would delete it."""
    controller = Controller(gib=20)
    async with calling(controller, tmp_path) as asked:
        with pytest.raises(NotAsAsked, match="less than asked for"):
            await asked.provision(replace(CLAIM, size_gib=40))
    assert controller.deleted == ["d-1"]


async def test_a_volume_that_is_not_told_to_be_restored_is_deleted_again(tmp_path: Path) -> None:
    """A user would find it empty where the snapshot's files should be."""
    controller = Controller()
    async with calling(controller, tmp_path) as asked:
        with pytest.raises(NotAsAsked, match="s-1"):
            await asked.provision(replace(CLAIM, snapshot_id="s-1"))
    assert controller.deleted == ["d-1"]


async def test_a_deadline_that_passes_unanswered_is_told_as_such(tmp_path: Path) -> None:
    """Nothing is wrong with the connection: whoever asked waits no longer."""
    async with calling(Controller(hangs=True), tmp_path) as asked:
        with pytest.raises(CallFailed) as caught:
            request = v1.CreateVolumeRequest(name="pvc-1")
            await answered(asked._controller.create_volume(request, timeout=0.05))
    assert caught.value.status is Status.DEADLINE_EXCEEDED


async def test_a_plugin_that_is_gone_reads_unavailable(tmp_path: Path) -> None:
    """A driver that restarts is asked again, since that code isn't final."""
    async with Plugin(tmp_path / "s") as plugin:
        with pytest.raises(CallFailed) as caught:
            await answered(plugin.identity.probe(v1.ProbeRequest()))
    assert caught.value.status is Status.UNAVAILABLE


async def test_the_attacher_calls_twice(tmp_path: Path) -> None:
    """As the stock one was seen to."""
    controller = Controller()
    async with calling(controller, tmp_path) as asked:
        await asked.attach(await asked.provision(CLAIM), "i-1")
    assert controller.publishes == 2


@pytest.mark.looptime
@pytest.mark.parametrize("patience", [ATTACHER, RESIZER, SNAPSHOTTER, KUBELET])
async def test_all_but_the_provisioner_wait_for_room(patience: Patience) -> None:
    """What is exhausted now may be free later, and nobody else can be asked."""
    answers = iter([GRPCError(Status.RESOURCE_EXHAUSTED, "full"), None])

    async def call(timeout_s: float) -> str:
        if (error := next(answers)) is not None:
            raise error
        return "done"

    assert await persisted(call, patience) == "done"


@pytest.mark.looptime
async def test_patience_ends_with_the_latest_failure() -> None:
    """Who waits for ever tells nothing."""
    asked = 0

    async def call(timeout_s: float) -> str:
        nonlocal asked
        asked += 1
        raise GRPCError(Status.ABORTED, f"number {asked}")

    with pytest.raises(CallFailed, match="number 4"):
        await persisted(call, Patience(call_s=1.0, first_pause_s=1.0, total_s=10.0))
