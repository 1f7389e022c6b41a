"""Requests that can't be served: the right code, a message that helps, and an untouched cloud."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
import pytest_asyncio
from betterproto import Message
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from mockcloud.app import Cloud

from diskcsi._proto.csi import v1
from diskcsi.model.sizes import GIB
from tests.app.driver import NODE, ZONE, Driver, keys, mock, plan, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

_Mode = v1.VolumeCapabilityAccessModeMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A driver and its cloud."""

    driver: Driver
    cloud: Cloud


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One for all: nothing that is sent here may leave a trace in it."""
    directory = tmp_path_factory.mktemp("driver")
    async with mock() as cloud, running(plan(directory, cloud=keys(cloud))) as driver:
        yield Served(driver=driver, cloud=cloud)


def capability(mode: int = _Mode.SINGLE_NODE_WRITER, fs_type: str = "ext4") -> v1.VolumeCapability:
    return v1.VolumeCapability(
        access_mode=v1.VolumeCapabilityAccessMode(mode=_Mode(mode)),
        mount=v1.VolumeCapabilityMountVolume(fs_type=fs_type),
    )


def create(
    *,
    size_gib: int = 20,
    parameters: dict[str, str] | None = None,
    **fields: Any,  # noqa: ANN401
) -> v1.CreateVolumeRequest:
    given = {
        "name": "pvc-bad",
        "capacity_range": v1.CapacityRange(required_bytes=size_gib * GIB),
        "volume_capabilities": [capability()],
        "parameters": {"type": "cloud_ssd", "zoneId": ZONE, **(parameters or {})},
    }
    return v1.CreateVolumeRequest(**{**given, **fields})


def attach(
    volume_id: str = "d-bp1absent", node_id: str = NODE
) -> v1.ControllerPublishVolumeRequest:
    return v1.ControllerPublishVolumeRequest(
        volume_id=volume_id, node_id=node_id, volume_capability=capability()
    )


def bounds(required_bytes: int, limit_bytes: int) -> v1.CapacityRange:
    return v1.CapacityRange(required_bytes=required_bytes, limit_bytes=limit_bytes)


FROM_NOTHING = v1.VolumeContentSource(
    snapshot=v1.VolumeContentSourceSnapshotSource(snapshot_id="s-bp1absent")
)
ELSEWHERE = v1.TopologyRequirement(
    requisite=[v1.Topology(segments={"topology.kubernetes.io/zone": "cn-beijing-a"})]
)

INVALID, RANGE = Status.INVALID_ARGUMENT, Status.OUT_OF_RANGE

CASES: dict[str, tuple[Message, Status, str]] = {
    "misspelled key": (create(parameters={"tpye": "x"}), INVALID, "tpye"),
    "unknown category": (create(parameters={"type": "cloud_gold"}), INVALID, "cloud_essd"),
    "odd boolean": (create(parameters={"encrypted": "on"}), INVALID, "encrypted"),
    "small": (create(size_gib=5), RANGE, "20 GiB"),
    "large": (create(size_gib=99_999), RANGE, "32768 GiB"),
    "narrow": (create(capacity_range=bounds(30 * GIB, 25 * GIB)), RANGE, "limit_bytes"),
    "between two GiB": (
        create(capacity_range=bounds(20 * GIB + 1, 20 * GIB + 2)), RANGE, "limit_bytes",
    ),
    "negative": (create(capacity_range=bounds(-1, 0)), INVALID, "required_bytes"),
    "no capability": (create(volume_capabilities=[]), INVALID, "volume_capabilities"),
    "many writers of a filesystem": (
        create(volume_capabilities=[capability(_Mode.MULTI_NODE_MULTI_WRITER)]), INVALID,
        "MULTI_NODE_MULTI_WRITER",
    ),
    "unknown filesystem": (
        create(volume_capabilities=[capability(fs_type="ntfs")]), INVALID, "ext4",
    ),
    "no name": (create(name=""), INVALID, "name"),
    "long name": (create(name="x" * 129), INVALID, "name"),
    "zone of another region": (create(parameters={"zoneId": "cn-beijing-a"}), INVALID, "cn-beijing-a"),
    "place outside the class's zone": (
        create(accessibility_requirements=ELSEWHERE), Status.RESOURCE_EXHAUSTED, "cn-beijing-a",
    ),
    "absent snapshot": (
        create(volume_content_source=FROM_NOTHING), Status.NOT_FOUND, "s-bp1absent",
    ),
    "attach an absent disk": (attach(), Status.NOT_FOUND, "d-bp1absent"),
    "attach nothing": (attach(volume_id=""), INVALID, "volume_id"),
    "attach to nowhere": (attach(node_id=""), INVALID, "node_id"),
    "grow an absent disk": (
        v1.ControllerExpandVolumeRequest(
            volume_id="d-bp1absent", capacity_range=bounds(30 * GIB, 0)
        ),
        Status.NOT_FOUND, "d-bp1absent",
    ),
    "snapshot an absent disk": (
        v1.CreateSnapshotRequest(name="a", source_volume_id="d-bp1absent"), Status.NOT_FOUND,
        "d-bp1absent",
    ),
    "go on from nowhere": (
        v1.ListSnapshotsRequest(starting_token="nowhere"), Status.ABORTED, "starting_token",
    ),
    "validate an absent disk": (
        v1.ValidateVolumeCapabilitiesRequest(
            volume_id="d-bp1absent", volume_capabilities=[capability()]
        ),
        Status.NOT_FOUND, "d-bp1absent",
    ),
}  # fmt: skip
"""What is sent, the code, and a word that the message must have."""

METHODS = {
    v1.CreateVolumeRequest: "create_volume",
    v1.ControllerPublishVolumeRequest: "controller_publish_volume",
    v1.ControllerExpandVolumeRequest: "controller_expand_volume",
    v1.CreateSnapshotRequest: "create_snapshot",
    v1.ListSnapshotsRequest: "list_snapshots",
    v1.ValidateVolumeCapabilitiesRequest: "validate_volume_capabilities",
    v1.DeleteVolumeRequest: "delete_volume",
    v1.ControllerUnpublishVolumeRequest: "controller_unpublish_volume",
    v1.DeleteSnapshotRequest: "delete_snapshot",
}


async def send(served: Served, message: Message) -> Message:
    method = getattr(served.driver.controller, METHODS[type(message)])
    return cast("Message", await method(message))


def changes(cloud: Cloud) -> list[str]:
    """The calls that changed something."""
    return [
        call.action
        for call in cloud.calls.since(0)
        if call.status == 200 and not call.action.startswith("Describe")
    ]


@pytest.mark.parametrize("case", CASES)
async def test_it_is_refused_by_code_and_word_and_changes_nothing(
    served: Served, case: str
) -> None:
    """The code tells machines whether to go on, the message tells people what to mend.

    The cloud's own log is the witness that nothing came of it. Each request is sent once: the driver
    answers one that comes again at once by heart, and with another code.
    """
    message, status, word = CASES[case]
    with pytest.raises(GRPCError) as refused:
        await send(served, message)
    assert (refused.value.status, word in (refused.value.message or "")) == (status, True)
    assert (changes(served.cloud), served.cloud.engine.disks) == ([], {})


@pytest.mark.parametrize(
    "message",
    [
        v1.DeleteVolumeRequest(volume_id="d-bp1absent"),
        v1.DeleteVolumeRequest(volume_id="no disk's id"),
        v1.DeleteSnapshotRequest(snapshot_id="s-bp1absent"),
        v1.DeleteSnapshotRequest(snapshot_id="no snapshot's id"),
        v1.ControllerUnpublishVolumeRequest(volume_id="d-bp1absent", node_id=NODE),
        v1.ControllerUnpublishVolumeRequest(volume_id="no disk's id"),
    ],
    ids=repr,
)
async def test_what_is_gone_already_is_well(served: Served, message: Message) -> None:
    """Absent or malformed: the caller wanted it gone, and it is."""
    await send(served, message)
    assert changes(served.cloud) == []
