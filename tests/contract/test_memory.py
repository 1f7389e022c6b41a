from __future__ import annotations

import pytest

from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.testing.contract import CloudProviderContract, World
from diskcsi.testing.memory import MEMORY_RULES, Latency, MemoryCloud

SLOW = Latency(
    call_s=0.05, create_s=1.0, delete_s=0.5, attach_s=2.0, detach_s=1.5, status_s=0.5,
    resize_s=1.0, cut_s=1.0, upload_s=3.0, show_s=0.3,
)  # fmt: skip
ACTIONS_TOO_MANY = 1000


class MemoryFaults:
    """The contract's faults, by the cloud's own script."""

    def __init__(self, cloud: MemoryCloud) -> None:
        self._faults = cloud.faults

    def lose_reply(self, action: str) -> None:
        self._faults.lose_reply(action)

    def throttle(self, action: str) -> None:
        self._faults.throttle(action, times=ACTIONS_TOO_MANY)

    def clear(self) -> None:
        self._faults.clear()


def memory_world(cloud: MemoryCloud) -> World:
    return World(
        node=NodeId("node-1"),
        other_node=NodeId("node-2"),
        far_node=NodeId("node-3"),
        zone="zone-a",
        parameters=MEMORY_RULES.volume_parameters({}),
        shared_parameters=MEMORY_RULES.volume_parameters({"shared": "true"}),
        absent_volume=VolumeId("disk-9999"),
        absent_node=NodeId("node-9999"),
        absent_snapshot=SnapshotId("snap-9999"),
        disposable=True,
        faults=MemoryFaults(cloud),
    )


@pytest.mark.looptime
class TestMemoryCloud(CloudProviderContract):
    """Everything takes its time, which is virtual."""

    @pytest.fixture
    def cloud(self) -> MemoryCloud:
        return MemoryCloud(latency=SLOW)

    @pytest.fixture
    def world(self, cloud: MemoryCloud) -> World:
        return memory_world(cloud)


@pytest.mark.looptime
class TestMemoryCloudWithoutLatency(CloudProviderContract):
    """Everything happens at once, as on a disk of one's own."""

    @pytest.fixture
    def cloud(self) -> MemoryCloud:
        return MemoryCloud()

    @pytest.fixture
    def world(self, cloud: MemoryCloud) -> World:
        return memory_world(cloud)
