"""The provider keeps the contract; needs root and loop devices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from diskcsi_folder import FOLDER, ZONE, FolderSettings

from diskcsi.spi import CloudProvider, NodeId, VolumeId
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
