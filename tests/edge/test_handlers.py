"""Every served call reaches its rule, and the rule's answer reaches the caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from betterproto import Message

from diskcsi._proto.csi import v1
from diskcsi.controller import requests as controller
from diskcsi.edge.controller import ControllerRules, ControllerService
from diskcsi.edge.node import NodeRules, NodeService
from diskcsi.model.capabilities import AccessMode, BlockAccess, VolumeCapability
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.sizes import GIB, Capacity
from diskcsi.model.volume import Snapshot, SnapshotPage
from diskcsi.node import requests as node
from tests.edge.sockets import Served, served_by, serving

D1, S1, I1 = VolumeId("d-1"), SnapshotId("s-1"), NodeId("i-1")
STAGING, TARGET = "/k/staging", "/k/target"

_Mode = v1.VolumeCapabilityAccessModeMode
SENT_RAW = v1.VolumeCapability(
    access_mode=v1.VolumeCapabilityAccessMode(mode=_Mode(_Mode.SINGLE_NODE_WRITER)),
    block=v1.VolumeCapabilityBlockVolume(),
)
RAW = VolumeCapability(mode=AccessMode.SINGLE_NODE_WRITER, access=BlockAccess())
VOLUME = controller.Volume(id=D1, size_gib=20, segments={}, context={})
SNAPSHOT = Snapshot(id=S1, name="a", source_volume_id=D1, size_gib=20, ready=True)
TOLD_SNAPSHOT = {
    "snapshotId": "s-1", "sourceVolumeId": "d-1", "sizeBytes": str(20 * GIB), "readyToUse": True,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request, the rule's method with its arguments, what that gives, and what is answered."""

    sent: Message
    method: str
    given: tuple[object, ...]
    gives: object = None
    told: dict[str, Any] = field(default_factory=dict)


CASES = {
    "create_volume": Case(
        sent=v1.CreateVolumeRequest(name="a", volume_capabilities=[SENT_RAW]),
        method="create", given=(controller.CreateVolume(name="a", capabilities=(RAW,)),),
        gives=VOLUME, told={"volume": {"volumeId": "d-1", "capacityBytes": str(20 * GIB)}},
    ),
    "delete_volume": Case(
        sent=v1.DeleteVolumeRequest(volume_id="d-1"), method="delete", given=(D1,)
    ),
    "controller_publish_volume": Case(
        sent=v1.ControllerPublishVolumeRequest(
            volume_id="d-1", node_id="i-1", volume_capability=SENT_RAW
        ),
        method="attach", given=(D1, I1, RAW), gives={"serialNumber": "x"},
        told={"publishContext": {"serialNumber": "x"}},
    ),
    "controller_unpublish_volume": Case(
        sent=v1.ControllerUnpublishVolumeRequest(volume_id="d-1", node_id="i-1"),
        method="detach", given=(D1, I1),
    ),
    "validate_volume_capabilities": Case(
        sent=v1.ValidateVolumeCapabilitiesRequest(volume_id="d-1", volume_capabilities=[SENT_RAW]),
        method="why_not", given=(controller.Validate(volume_id=D1, capabilities=(RAW,)),),
        gives="wrong zone", told={"message": "wrong zone"},
    ),
    "controller_expand_volume": Case(
        sent=v1.ControllerExpandVolumeRequest(
            volume_id="d-1", capacity_range=v1.CapacityRange(required_bytes=30 * GIB)
        ),
        method="expand", given=(D1, Capacity(required_bytes=30 * GIB), None),
        gives=controller.Expanded(size_gib=30, node_must_grow=True),
        told={"capacityBytes": str(30 * GIB), "nodeExpansionRequired": True},
    ),
    "create_snapshot": Case(
        sent=v1.CreateSnapshotRequest(name="a", source_volume_id="d-1"),
        method="create", given=(controller.CreateSnapshot(name="a", source_volume_id=D1),),
        gives=SNAPSHOT, told={"snapshot": TOLD_SNAPSHOT},
    ),
    "delete_snapshot": Case(
        sent=v1.DeleteSnapshotRequest(snapshot_id="s-1"), method="delete", given=(S1,)
    ),
    "list_snapshots": Case(
        sent=v1.ListSnapshotsRequest(max_entries=7, starting_token="t", source_volume_id="d-1"),
        method="list", given=(controller.ListSnapshots(source_volume_id=D1, limit=7, token="t"),),
        gives=SnapshotPage(snapshots=(SNAPSHOT,), next_token="u"),
        told={"entries": [{"snapshot": TOLD_SNAPSHOT}], "nextToken": "u"},
    ),
    "node_stage_volume": Case(
        sent=v1.NodeStageVolumeRequest(
            volume_id="d-1", staging_target_path=STAGING, volume_capability=SENT_RAW,
            publish_context={"a": "b"}, volume_context={"c": "d"},
        ),
        method="stage",
        given=(
            node.Stage(
                volume_id=D1, staging_path=STAGING, capability=RAW,
                publish_context={"a": "b"}, volume_context={"c": "d"},
            ),
        ),
    ),
    "node_unstage_volume": Case(
        sent=v1.NodeUnstageVolumeRequest(volume_id="d-1", staging_target_path=STAGING),
        method="unstage", given=(D1, STAGING),
    ),
    "node_publish_volume": Case(
        sent=v1.NodePublishVolumeRequest(
            volume_id="d-1", target_path=TARGET, volume_capability=SENT_RAW, readonly=True
        ),
        method="publish",
        given=(
            node.Publish(
                volume_id=D1, staging_path="", target_path=TARGET, capability=RAW, read_only=True
            ),
        ),
    ),
    "node_unpublish_volume": Case(
        sent=v1.NodeUnpublishVolumeRequest(volume_id="d-1", target_path=TARGET),
        method="unpublish", given=(D1, TARGET),
    ),
    "node_expand_volume": Case(
        sent=v1.NodeExpandVolumeRequest(
            volume_id="d-1", volume_path=TARGET, volume_capability=SENT_RAW
        ),
        method="expand",
        given=(node.Expand(volume_id=D1, volume_path=TARGET, capability=RAW),),
        gives=7, told={"capacityBytes": "7"},
    ),
    "node_get_volume_stats": Case(
        sent=v1.NodeGetVolumeStatsRequest(volume_id="d-1", volume_path=TARGET),
        method="usage", given=(D1, TARGET), gives=node.Usage(total_bytes=7),
        told={"usage": [{"total": "7", "unit": "BYTES"}]},
    ),
    "node_get_info": Case(
        sent=v1.NodeGetInfoRequest(), method="info", given=(),
        gives=node.Info(node_id=I1, max_volumes=16, segments={"zone": "a"}),
        told={
            "nodeId": "i-1", "maxVolumesPerNode": "16",
            "accessibleTopology": {"segments": {"zone": "a"}},
        },
    ),
}  # fmt: skip


class Rule:
    """Any rule: whatever it is asked, it writes down and gives the one answer."""

    capabilities: frozenset[object] = frozenset()

    def __init__(self, gives: object) -> None:
        self._gives = gives
        self.asked: list[tuple[str, tuple[object, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        async def ask(*given: object) -> object:
            self.asked.append((name, given))
            return self._gives

        return ask


class EveryRule:
    """Has the one rule wherever a service looks for one."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def __getattr__(self, name: str) -> Rule:
        return self._rule


async def called(served: Served, name: str, sent: Message) -> Message:
    stub = served.node if name.startswith("node_") else served.controller
    return cast("Message", await getattr(stub, name)(sent))


@pytest.mark.parametrize("name", CASES)
async def test_a_call_is_decoded_asked_and_answered(tmp_path: Path, name: str) -> None:
    """Three moves, over a real socket."""
    case = CASES[name]
    rule = Rule(case.gives)
    rules: Any = EveryRule(rule)
    services = served_by(
        controller=ControllerService(rules=cast("ControllerRules", rules)),
        node=NodeService(rules=cast("NodeRules", rules)),
    )
    async with serving(tmp_path / "s", services) as served:
        told = await called(served, name, case.sent)
    assert (rule.asked, told.to_dict()) == ([(case.method, case.given)], case.told)


def test_every_served_call_is_here() -> None:
    """But for the two that tell capabilities, which ask no rule."""
    served = {name for kind in (ControllerService, NodeService) for name in vars(kind)}
    own = {name for name in served if not name.startswith("_")}
    assert own - set(CASES) == {"controller_get_capabilities", "node_get_capabilities"}
