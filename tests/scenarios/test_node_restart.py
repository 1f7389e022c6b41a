"""A node plug-in dies while a volume is in use; pods don't notice, and kubelet goes on."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from diskcsi.orchestrator import drivers
from diskcsi.orchestrator.kubelet import Kubelet
from diskcsi.orchestrator.mock import Mock, serving
from diskcsi.orchestrator.plugin import Plugin
from diskcsi.orchestrator.sidecars import Claim, Sidecars

REGION, NODE = "cn-hangzhou", "i-bp1mockcloudnode0001"


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, since a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
async def cloud(directory: Path) -> AsyncIterator[Mock]:
    async with serving(directory, "--latency=zero", "--hypervisor=loop") as mock:
        yield mock


@pytest.mark.host
@pytest.mark.parametrize("fs_type", ["ext4", "xfs"])
async def test_a_killed_node_plugins_successor_takes_over_what_is_mounted(
    cloud: Mock, directory: Path, fs_type: str
) -> None:
    """Staging again changes nothing, the file stays, and all comes off as if nothing happened."""
    claim = Claim(
        name="pvc-1", size_gib=20, fs_type=fs_type,
        parameters={"type": "cloud_ssd", "zoneId": "cn-hangzhou-g"},
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        controller = await stack.enter_async_context(
            drivers.controller("c", cloud, region=REGION, directory=directory)
        )
        asked = Sidecars(controller.plugin)

        async def node() -> drivers.Driver:
            return await stack.enter_async_context(
                drivers.node("n", cloud, instance=NODE, region=REGION, directory=directory)
            )

        first = await node()
        kubelet = Kubelet(await stack.enter_async_context(Plugin(first.socket)), directory / "k")
        volume = await asked.provision(claim)
        context = await asked.attach(volume, NODE)
        path = await kubelet.mount(volume, context)
        (path / "data").write_text("kept")
        await first.program.kill()
        await node()
        assert await kubelet.mount(volume, context) == path
        assert (path / "data").read_text() == "kept"
        await kubelet.unmount(volume.id)
        await asked.detach(volume.id, NODE)
        await asked.delete(volume.id)
    assert not path.exists()
