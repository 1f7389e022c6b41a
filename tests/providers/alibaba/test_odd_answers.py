from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diskcsi.model.errors import DiskError, UnknownOutcome, Unreachable
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.volume import SnapshotSpec
from diskcsi.providers.alibaba.calls import Calls
from diskcsi.providers.alibaba.cloud import EcsCloud
from diskcsi.providers.alibaba.parameters import snapshot_parameters
from tests.providers.alibaba.support import REGION, disk_spec

WORDS = (
    "Disks", "Disk", "Snapshots", "Snapshot", "Instances", "Instance", "DiskId", "SnapshotId",
    "InstanceId", "Size", "SourceDiskSize", "CreationTime", "Tags", "Tag", "TagKey", "TagValue",
    "Attachments", "Attachment", "NextToken", "Status", "MultiAttach", "MountInstances",
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["d-1", "s-1", "i-1", "20", "Available", "LegacyShared", "2026-01-01"])
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=12,
)
LISTS = st.lists(st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=6), max_size=2)
WRAPPED = {
    outer: st.dictionaries(st.just(inner), LISTS | VALUES, min_size=1) | VALUES
    for outer, inner in (("Disks", "Disk"), ("Snapshots", "Snapshot"), ("Instances", "Instance"))
}
BODIES = st.fixed_dictionaries(
    {}, optional={**WRAPPED, "NextToken": VALUES, "DiskId": VALUES, "SnapshotId": VALUES}
)

READS: dict[str, Callable[[EcsCloud], Awaitable[object]]] = {
    "find disks": lambda cloud: cloud.find_disks("pvc-1"),
    "get disks": lambda cloud: cloud.get_disks([VolumeId("d-1")]),
    "get node": lambda cloud: cloud.get_node(NodeId("i-1")),
    "find snapshots": lambda cloud: cloud.find_snapshots("snap"),
    "get snapshots": lambda cloud: cloud.get_snapshots([SnapshotId("s-1")]),
    "list snapshots": lambda cloud: cloud.list_snapshots(source_volume_id=None, limit=5, token=""),
    "check": lambda cloud: cloud.check(),
}
CHANGES: dict[str, Callable[[EcsCloud], Awaitable[object]]] = {
    "create disk": lambda cloud: cloud.create_disk(disk_spec()),
    "create snapshot": lambda cloud: cloud.create_snapshot(
        SnapshotSpec(
            name="snap", source_volume_id=VolumeId("d-1"), parameters=snapshot_parameters({})
        )
    ),
}


class _Canned(Calls):
    """Answers every call with the same body."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = body

    async def call(self, request: object) -> dict[str, Any]:
        return self._body


def _cloud(body: dict[str, Any]) -> EcsCloud:
    return EcsCloud(calls=_Canned(body), region=REGION, cluster_id="")


async def _outcome_of(asked: Awaitable[object]) -> object:
    try:
        return await asked
    except Exception as error:  # noqa: BLE001 - which one it is, is what the tests are about
        return error


@pytest.mark.parametrize("asked", READS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODIES)
async def test_an_answer_of_any_form_to_a_read_is_understood_or_refused(
    asked: str, body: dict[str, Any]
) -> None:
    """Whatever a server makes up, it becomes one of the driver's own errors, and never a bug."""
    outcome = await _outcome_of(READS[asked](_cloud(body)))

    assert isinstance(outcome, DiskError) or not isinstance(outcome, Exception)


@pytest.mark.parametrize("asked", CHANGES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODIES)
async def test_an_answer_of_any_form_to_a_change_is_understood_or_leaves_it_unknown(
    asked: str, body: dict[str, Any]
) -> None:
    """The change was accepted, so nothing final may be concluded."""
    outcome = await _outcome_of(CHANGES[asked](_cloud(body)))

    assert isinstance(outcome, UnknownOutcome) or outcome in {"d-1", "s-1"}


@pytest.mark.parametrize("asked", CHANGES)
@pytest.mark.parametrize("told", [None, "", 5, {}, ["d-1"], "None", "D-1", "i-1"])
async def test_a_change_that_is_answered_by_no_id_has_an_unknown_outcome(
    asked: str, told: object
) -> None:
    """Taken as it stands, it would name a disk that nobody ever finds again."""
    with pytest.raises(UnknownOutcome):
        await CHANGES[asked](_cloud({"DiskId": told, "SnapshotId": told}))


@pytest.mark.parametrize("size", [float("inf"), float("nan"), "inf", [], {}, None, "20 GB"])
async def test_a_size_that_is_none_makes_the_read_fail(size: object) -> None:
    """JSON as Python reads it knows numbers that are none."""
    body = {"Disks": {"Disk": [{"DiskId": "d-1", "Size": size}]}}
    with pytest.raises(Unreachable):
        await _cloud(body).get_disks([VolumeId("d-1")])


ODD_DISKS = [
    {"DiskId": "d-2"}, {"DiskId": "d-2", "Size": "big"},
    {"DiskId": "d-2", "Size": 20, "Attachments": {"Attachment": [{"InstanceId": ""}]}},
]  # fmt: skip
DISK_IDS = [VolumeId(f"d-{number}") for number in (1, 2, 3)]


@pytest.mark.parametrize("odd", ODD_DISKS)
async def test_a_disk_that_cannot_be_read_fails_for_itself_alone(odd: dict[str, Any]) -> None:
    """Its neighbours, absent ones too, can be read without it."""
    body = {"Disks": {"Disk": [odd, {"DiskId": "d-1", "Size": 20}]}}
    with pytest.raises(Unreachable, match=r"^d-2: DescribeDisks") as failed:
        await _cloud(body).get_disks(DISK_IDS)
    assert failed.value.ids == {"d-2"}


@pytest.mark.parametrize("odd", [{"Size": 20}, {"DiskId": ["d-2"]}, {"DiskId": "d-9"}, None, "d-2"])
async def test_an_entry_of_no_name_leaves_unknown_what_no_other_tells_of(odd: object) -> None:
    """It may be any of them, and none of them is absent for it."""
    body = {"Disks": {"Disk": [odd, {"DiskId": "d-1", "Size": 20}]}}
    with pytest.raises(Unreachable) as failed:
        await _cloud(body).get_disks(DISK_IDS)
    assert failed.value.ids == {"d-2", "d-3"}


async def test_a_snapshot_that_cannot_be_read_fails_for_itself_alone() -> None:
    """As with disks."""
    odd = {"SnapshotId": "s-2", "CreationTime": "yesterday"}
    body = {"Snapshots": {"Snapshot": [{"SnapshotId": "s-1"}, odd]}}
    with pytest.raises(Unreachable) as failed:
        await _cloud(body).get_snapshots([SnapshotId("s-1"), SnapshotId("s-2")])
    assert failed.value.ids == {"s-2"}


async def test_a_message_names_few_of_many() -> None:
    """A cloud that tells nonsense does so of all."""
    ids = [VolumeId(f"d-{number}") for number in range(100)]
    with pytest.raises(Unreachable, match=r"^d-0, d-1, d-10 and others: ") as failed:
        await _cloud({"Disks": {"Disk": [None]}}).get_disks(ids)
    assert failed.value.ids == set(ids)


@pytest.mark.parametrize("asked", ["find disks", "find snapshots", "list snapshots"])
async def test_a_search_leaves_out_nothing_that_cannot_be_read(asked: str) -> None:
    """It may be what is looked for, which would be made a second time."""
    body = {"Disks": {"Disk": [{"DiskId": "d-1"}]}, "Snapshots": {"Snapshot": [{}]}}
    with pytest.raises(Unreachable):
        await READS[asked](_cloud(body))
