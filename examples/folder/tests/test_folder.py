"""The provider keeps the contract; needs root and loop devices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from diskcsi_folder import FOLDER, ZONE, FolderSettings
from diskcsi_folder import cloud as folder

from diskcsi.spi import CloudProvider, DiskSpec, NodeId, UnknownOutcome, VolumeId
from diskcsi.testing.contract import CloudProviderContract, World


class TestFolder(CloudProviderContract):
    """Every promise of the contract; those of snapshots are skipped, since there are none."""

    @pytest.fixture
    async def cloud(self, tmp_path: Path) -> AsyncIterator[CloudProvider]:
        """The provider, opened as the driver opens it."""
        settings = FolderSettings(folder=str(tmp_path), nodes=("node-1", "node-2"))
        async with FOLDER.open_cloud(settings, lambda call: None) as cloud:  # noqa: ARG005
            yield cloud

    @pytest.fixture
    def world(self) -> World:
        """What there is to test with."""
        rules = FOLDER.rules(FolderSettings(nodes=("node-1", "node-2")))
        return World(
            node=NodeId("node-1"),
            other_node=NodeId("node-2"),
            zone=ZONE,
            parameters=rules.volume_parameters({}),
            absent_volume=VolumeId("vol-00000000000000000000"),
            absent_node=NodeId("node-9"),
            size_gib=1,
            larger_gib=2,
        )


@pytest.fixture
def stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A losetup that never ends; its process is named in the file once it runs."""
    tool, told = tmp_path / "losetup", tmp_path / "pid"
    tool.write_text(f"#!/bin/sh\necho $$ > {told}.new\nmv {told}.new {told}\nexec sleep 600\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return told


async def attach(directory: Path) -> None:
    """Attach a new disk."""
    settings = FolderSettings(folder=str(directory), nodes=("node-1",))
    parameters = FOLDER.rules(settings).volume_parameters({})
    spec = DiskSpec(
        name="disk", size_gib=1, kind=parameters.kinds[0], parameters=parameters, zone=ZONE
    )
    async with FOLDER.open_cloud(settings, lambda call: None) as cloud:  # noqa: ARG005
        await cloud.attach_disk(await cloud.create_disk(spec), NodeId("node-1"))


def process_of(stuck: Path) -> Path | None:
    """The directory of the process in `/proc`, once it runs."""
    return Path("/proc", stuck.read_text().strip()) if stuck.exists() else None


async def running(stuck: Path) -> Path:
    """The same, as soon as there is one."""
    async with asyncio.timeout(10):
        while (process := process_of(stuck)) is None:  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)
    return process


async def test_a_tool_that_does_not_end_is_given_up(
    tmp_path: Path, stuck: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have had its effect, and it doesn't stay."""
    monkeypatch.setattr(folder, "LOSETUP_S", 0.5)
    attaching = asyncio.create_task(attach(tmp_path))
    process = await running(stuck)
    with pytest.raises(UnknownOutcome, match="no end in"):
        await attaching
    assert not process.exists()


async def test_a_call_that_is_cancelled_leaves_no_process(tmp_path: Path, stuck: Path) -> None:
    """Nobody would end it."""
    attaching = asyncio.create_task(attach(tmp_path))
    process = await running(stuck)
    attaching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attaching
    assert not process.exists()
