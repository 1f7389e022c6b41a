from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.server import Server

from diskcsi._proto.csi import v1
from diskcsi.orchestrator import kubelet
from diskcsi.orchestrator.kubelet import Kubelet
from diskcsi.orchestrator.plugin import CallFailed, Plugin
from diskcsi.orchestrator.sidecars import Claim, Patience, Volume

VOLUME = Volume(
    claim=Claim(name="pvc-1", size_gib=20), id="d-1", size_gib=20, context={"kind": "ssd"},
    segments={},
)  # fmt: skip


class Node(v1.NodeBase):
    """Does nothing, remembers everything, and fails at first as it was told."""

    def __init__(self, *failures: Status) -> None:
        self.failures = list(failures)
        self.asked: list[str] = []
        self.staging_existed = False
        self.contexts: list[dict[str, str]] = []

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.failures:
            raise GRPCError(self.failures.pop(0), "as written")

    async def node_stage_volume(
        self, node_stage_volume_request: v1.NodeStageVolumeRequest
    ) -> v1.NodeStageVolumeResponse:
        self.staging_existed = os.path.isdir(node_stage_volume_request.staging_target_path)  # noqa: PTH112, ASYNC240 - a moment, on a local filesystem
        self.contexts.append(node_stage_volume_request.publish_context)
        self._ask("stage")
        return v1.NodeStageVolumeResponse()

    async def node_publish_volume(
        self, node_publish_volume_request: v1.NodePublishVolumeRequest
    ) -> v1.NodePublishVolumeResponse:
        self.contexts.append(node_publish_volume_request.publish_context)
        self._ask("publish")
        return v1.NodePublishVolumeResponse()

    async def node_unpublish_volume(
        self, node_unpublish_volume_request: v1.NodeUnpublishVolumeRequest
    ) -> v1.NodeUnpublishVolumeResponse:
        self._ask("unpublish")
        return v1.NodeUnpublishVolumeResponse()

    async def node_unstage_volume(
        self, node_unstage_volume_request: v1.NodeUnstageVolumeRequest
    ) -> v1.NodeUnstageVolumeResponse:
        self._ask("unstage")
        return v1.NodeUnstageVolumeResponse()

    async def node_get_volume_stats(
        self, node_get_volume_stats_request: v1.NodeGetVolumeStatsRequest
    ) -> v1.NodeGetVolumeStatsResponse:
        self._ask("stats")
        units = v1.VolumeUsageUnit
        return v1.NodeGetVolumeStatsResponse(
            usage=[
                v1.VolumeUsage(unit=units(units.INODES), total=7),
                v1.VolumeUsage(unit=units(units.BYTES), total=4096),
            ]
        )


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubelet that hardly pauses."""
    quick = Patience(call_s=5.0, first_pause_s=0.001, total_s=5.0)
    monkeypatch.setattr(kubelet, "PATIENCE", quick)


@asynccontextmanager
async def calling(node: Node, directory: Path) -> AsyncIterator[Kubelet]:
    server = Server([node])
    await server.start(path=str(directory / "s"))
    try:
        async with Plugin(directory / "s") as plugin:
            yield Kubelet(plugin, directory / "kubelet")
    finally:
        server.close()
        await server.wait_closed()


async def test_a_volume_is_staged_before_it_is_published(tmp_path: Path) -> None:
    """A pod's mount is made of the machine's."""
    node = Node()
    async with calling(node, tmp_path) as asked:
        await asked.mount(VOLUME, {"serialNumber": "1"})
    assert node.asked == ["stage", "publish"]


async def test_a_volume_is_unpublished_before_it_is_unstaged(tmp_path: Path) -> None:
    """Nothing is taken away under a pod."""
    node = Node()
    async with calling(node, tmp_path) as asked:
        await asked.unmount("d-1")
    assert node.asked == ["unpublish", "unstage"]


async def test_the_staging_directory_is_made_for_the_driver(tmp_path: Path) -> None:
    """As kubelet makes it; only what lies in the pod's directory is the driver's to make."""
    node = Node()
    async with calling(node, tmp_path) as asked:
        await asked.mount(VOLUME, {})
    assert node.staging_existed


async def test_a_pods_path_is_of_kubelets_kind(tmp_path: Path) -> None:
    """By such paths a driver tells the mounts that kubelet made from those of a person."""
    async with calling(Node(), tmp_path) as asked:
        path = await asked.mount(VOLUME, {})
    assert path.match("pods/*/volumes/kubernetes.io~csi/*/mount")


async def test_what_the_controller_said_reaches_both_calls(tmp_path: Path) -> None:
    """The serial number is how a node recognizes a disk."""
    node = Node()
    async with calling(node, tmp_path) as asked:
        await asked.mount(VOLUME, {"serialNumber": "1"})
    assert node.contexts == [{"serialNumber": "1"}] * 2


async def test_an_uncertain_stage_is_asked_again_before_anything_else(tmp_path: Path) -> None:
    """What may have been mounted is settled first."""
    node = Node(Status.ABORTED, Status.DEADLINE_EXCEEDED)
    async with calling(node, tmp_path) as asked:
        await asked.mount(VOLUME, {})
    assert node.asked == ["stage", "stage", "stage", "publish"]


async def test_a_refused_stage_publishes_nothing(tmp_path: Path) -> None:
    """The pod's user reads the refusal."""
    node = Node(Status.FAILED_PRECONDITION)
    async with calling(node, tmp_path) as asked:
        with pytest.raises(CallFailed, match="as written"):
            await asked.mount(VOLUME, {})
    assert node.asked == ["stage"]


async def test_the_size_told_is_in_bytes_not_inodes(tmp_path: Path) -> None:
    """Statistics come in two units, in any order."""
    async with calling(Node(), tmp_path) as asked:
        assert await asked.total_bytes("d-1") == 4096
