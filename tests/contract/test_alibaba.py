from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import ClassVar

import pytest
from mockcloud.app import Cloud, serving
from mockcloud.engine.world import DEFAULT_KEY, default_world
from mockcloud.faults import Fault

from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.ports.cloud import CloudProvider
from diskcsi.providers.alibaba import ALIBABA
from diskcsi.providers.alibaba.settings import AlibabaSettings
from diskcsi.testing.contract import CloudProviderContract, World

REGION = "cn-hangzhou"

NVME_TYPE = "ecs.g8i.xlarge"
"""Only machines with NVMe hold disks that others hold as well."""

ACTIONS = {
    "get_disks": "DescribeDisks",
    "create_disk": "CreateDisk",
    "delete_disk": "DeleteDisk",
    "resize_disk": "ResizeDisk",
    "attach_disk": "AttachDisk",
    "detach_disk": "DetachDisk",
    "create_snapshot": "CreateSnapshot",
}


class MockFaults:
    """The contract's faults, by the server's script."""

    def __init__(self, mock: Cloud) -> None:
        self._mock = mock

    def lose_reply(self, action: str) -> None:
        self._mock.faults.add(Fault(action=ACTIONS[action], kind="lose_reply"))

    def throttle(self, action: str) -> None:
        self._mock.faults.add(Fault(action=ACTIONS[action], kind="throttle", times=0))

    def clear(self) -> None:
        self._mock.faults.clear()


class TestAlibabaOverMockcloud(CloudProviderContract):
    """The ECS provider, over signed HTTP on real sockets."""

    latencies: ClassVar[dict[str, tuple[float, float]]] = {}

    @pytest.fixture
    async def mock(self) -> AsyncIterator[Cloud]:
        world = default_world()
        config = replace(
            world, machines=tuple(replace(one, type=NVME_TYPE) for one in world.machines)
        )
        async with serving(config=config, latencies=self.latencies) as mock:
            yield mock

    @pytest.fixture
    async def cloud(self, mock: Cloud) -> AsyncIterator[CloudProvider]:
        settings = AlibabaSettings(
            region=REGION,
            ecs_scheme="http",
            ecs_endpoint=f"127.0.0.1:{mock.port}",
            access_key_id=DEFAULT_KEY.id,
            access_key_secret=DEFAULT_KEY.secret,
        )
        async with ALIBABA.open_cloud(settings, lambda call: None) as cloud:  # noqa: ARG005
            yield cloud

    @pytest.fixture
    def world(self, mock: Cloud) -> World:
        rules = ALIBABA.rules(AlibabaSettings(region=REGION))
        node, other_node, far_node = (
            NodeId(one.id) for one in mock.engine.instances.values() if one.region == REGION
        )
        return World(
            node=node,
            other_node=other_node,
            far_node=far_node,
            zone=mock.engine.instances[node].zone,
            parameters=rules.volume_parameters({"type": "cloud_essd"}),
            shared_parameters=rules.volume_parameters(
                {"type": "cloud_essd", "multiAttach": "true"}
            ),
            snapshot_parameters=rules.snapshot_parameters({}),
            absent_volume=VolumeId("d-bp1absent"),
            absent_node=NodeId("i-bp1absent"),
            absent_snapshot=SnapshotId("s-bp1absent"),
            attach_before_snapshot=True,
            disposable=True,
            faults=MockFaults(mock),
            poll_s=0.01,
        )


class TestAlibabaWhereThingsTakeTime(TestAlibabaOverMockcloud):
    """States lag behind attachments, and new disks behind their answers."""

    latencies: ClassVar[dict[str, tuple[float, float]]] = {
        "call": (0.001, 0.003),
        "create": (0.02, 0.05),
        "attach": (0.03, 0.06),
        "detach": (0.03, 0.06),
        "status_lag": (0.01, 0.03),
        "resize_device": (0.01, 0.03),
        "snapshot_cut": (0.01, 0.03),
        "snapshot_done": (0.02, 0.06),
        "hidden_init": (0.0, 0.05),
        "describe_lag": (0.0, 0.03),
    }
