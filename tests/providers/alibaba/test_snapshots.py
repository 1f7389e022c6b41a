from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest
from mockcloud.app import Cloud
from mockcloud.faults import Fault

from diskcsi.model.errors import (
    AlreadyExists,
    InvalidArgument,
    InvalidToken,
    NotFound,
    UnknownOutcome,
    Unreachable,
    WrongState,
)
from diskcsi.model.ids import SnapshotId, VolumeId
from diskcsi.model.parameters import SnapshotParameters
from diskcsi.model.volume import Snapshot, SnapshotSpec
from diskcsi.providers.alibaba.calls import Calls
from diskcsi.providers.alibaba.cloud import EcsCloud
from diskcsi.providers.alibaba.parameters import snapshot_parameters
from diskcsi.providers.alibaba.snapshots import NAME_TAG
from tests.providers.alibaba.support import (
    ABSENT,
    NODE,
    REGION,
    Answer,
    disk_spec,
    refusal,
    scripted,
    sent,
)

CallsTo = Callable[..., Calls]


def cut(name: str, disk: VolumeId, given: Mapping[str, str] | None = None) -> SnapshotSpec:
    return SnapshotSpec(
        name=name,
        source_volume_id=disk,
        parameters=snapshot_parameters(given or {}),
    )


@pytest.fixture
async def disk(ecs: EcsCloud) -> VolumeId:
    """A disk that was attached once, as the cloud wants it for a snapshot."""
    volume_id = await ecs.create_disk(disk_spec())
    await ecs.attach_disk(volume_id, NODE)
    return volume_id


async def several(ecs: EcsCloud, disk: VolumeId, count: int) -> list[SnapshotId]:
    """Newest first, as the cloud lists them."""
    made = [await ecs.create_snapshot(cut(f"snap-{number}", disk)) for number in range(count)]
    return made[::-1]


async def told(calls_to: CallsTo, **members: object) -> Snapshot:
    """What is read of one snapshot with these members."""
    page = {"Snapshots": {"Snapshot": [{"SnapshotId": "s-1", **members}]}}
    async with scripted([Answer(body=page)]) as api:
        cloud = EcsCloud(calls=calls_to(api.url), region=REGION, cluster_id="")
        return (await cloud.get_snapshots([SnapshotId("s-1")]))[SnapshotId("s-1")]


async def test_a_snapshot_is_found_by_its_csi_name(ecs: EcsCloud, disk: VolumeId) -> None:
    """The tag carries the name."""
    snapshot_id = await ecs.create_snapshot(cut("快照 1", disk))

    assert [one.id for one in await ecs.find_snapshots("快照 1")] == [snapshot_id]


async def test_more_snapshots_of_one_name_than_a_page_holds_are_all_found(
    ecs: EcsCloud, world: Cloud, disk: VolumeId
) -> None:
    """One that stays unseen would be made a second time."""
    ids = await several(ecs, disk, 105)
    for one in world.engine.snapshots.values():
        one.tags[NAME_TAG] = "shared"

    assert {one.id for one in await ecs.find_snapshots("shared")} == set(ids)


async def test_snapshots_are_read_by_id(ecs: EcsCloud, disk: VolumeId) -> None:
    """Absent and malformed ids are left out, and fail nobody."""
    snapshot_id = await ecs.create_snapshot(cut("snap", disk))
    asked = [snapshot_id, SnapshotId("s-absent"), SnapshotId("snap"), SnapshotId('s-1","s-2')]

    assert set(await ecs.get_snapshots(asked)) == {snapshot_id}


async def test_ids_of_snapshots_are_read_in_calls_of_a_hundred(ecs: EcsCloud, world: Cloud) -> None:
    """The API takes no more at once."""
    await ecs.get_snapshots([SnapshotId(f"s-{number}") for number in range(150)])

    asked = [len(json.loads(call["SnapshotIds"])) for call in sent(world, "DescribeSnapshots")]
    assert asked == [100, 50]


async def test_a_snapshot_is_told_with_all_that_the_rules_compare(calls_to: CallsTo) -> None:
    """Sizes come as text, times in UTC."""
    snapshot = await told(
        calls_to, SourceDiskId="d-1", SourceDiskSize="40", CreationTime="2026-03-01T10:20:30Z",
        Available=True, Status="accomplished",
        Tags={"Tag": [{"TagKey": NAME_TAG, "TagValue": "snap"}]},
    )  # fmt: skip

    assert snapshot == Snapshot(
        id=SnapshotId("s-1"), source_volume_id=VolumeId("d-1"), size_gib=40, name="snap",
        created_at=datetime(2026, 3, 1, 10, 20, 30, tzinfo=UTC), ready=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "available", "ready", "failed"),
    [
        ("progressing", False, False, False), ("progressing", True, True, False),
        ("accomplished", True, True, False), ("accomplished", None, True, False),
        ("failed", False, False, True),
    ],
)  # fmt: skip
async def test_a_snapshot_is_ready_when_the_cloud_can_restore_it(
    calls_to: CallsTo, status: str, available: bool | None, ready: bool, failed: bool
) -> None:
    """Some categories restore while the copy is still running; all do when it is over."""
    snapshot = await told(calls_to, Status=status, Available=available)

    assert (snapshot.ready, snapshot.failed) == (ready, failed)


@pytest.mark.parametrize("moment", ["", None])
async def test_a_snapshot_that_is_not_cut_yet_has_no_time(
    calls_to: CallsTo, moment: str | None
) -> None:
    """Until then writes still get into it."""
    assert (await told(calls_to, CreationTime=moment)).created_at is None


@pytest.mark.parametrize(
    "members", [{"CreationTime": "yesterday"}, {"SourceDiskSize": "big"}, {"Tags": "a=b"}]
)
async def test_an_odd_snapshot_makes_the_read_fail(
    calls_to: CallsTo, members: dict[str, object]
) -> None:
    """It is not taken for absent, nor for one of another name."""
    with pytest.raises(Unreachable, match="can't be read"):
        await told(calls_to, **members)


async def test_a_creation_without_an_id_in_the_answer_has_an_unknown_outcome(
    calls_to: CallsTo,
) -> None:
    """A look for its name will tell."""
    async with scripted([Answer(body={"RequestId": "R-1"})]) as api:
        cloud = EcsCloud(calls=calls_to(api.url), region=REGION, cluster_id="")
        with pytest.raises(UnknownOutcome):
            await cloud.create_snapshot(cut("snap", VolumeId("d-1")))


async def test_the_same_request_gives_the_same_snapshot(ecs: EcsCloud, disk: VolumeId) -> None:
    """The token is made of the name."""
    one = await ecs.create_snapshot(cut("snap", disk))

    assert await ecs.create_snapshot(cut("snap", disk)) == one


async def test_another_request_for_the_name_is_told(ecs: EcsCloud, disk: VolumeId) -> None:
    """The rules then compare what is there."""
    other = await ecs.create_disk(disk_spec("pvc-2"))
    await ecs.create_snapshot(cut("snap", disk))
    with pytest.raises(AlreadyExists):
        await ecs.create_snapshot(cut("snap", other))


async def test_a_snapshot_class_is_carried_out(ecs: EcsCloud, world: Cloud, disk: VolumeId) -> None:
    """Days, group and tags; the order of the class doesn't count."""
    given = {
        "retentionDays": "7", "resourceGroupId": "rg-1", "snapshotTags/b": "2", "snapshotTags/a": "1",
    }  # fmt: skip
    await ecs.create_snapshot(cut("snap", disk, given))

    call = sent(world, "CreateSnapshot")[0]
    told = [call[name] for name in ("RetentionDays", "ResourceGroupId", "Tag.1.Key", "Tag.2.Key")]
    assert told == ["7", "rg-1", "a", "b"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("snap-1", "snap-1"),
        ("auto-1", ""),
        ("Auto-1", ""),
        ("https", ""),
        ("1st", ""),
        ("快照", ""),
    ],
)
async def test_a_snapshot_is_named_where_the_name_is_allowed(
    ecs: EcsCloud, world: Cloud, disk: VolumeId, name: str, shown: str
) -> None:
    """Names of the cloud's own snapshots are left to it."""
    snapshot_id = await ecs.create_snapshot(cut(name, disk))

    assert world.engine.snapshots[snapshot_id].name == shown


async def test_a_disk_that_was_never_attached_is_refused_with_a_way_out(ecs: EcsCloud) -> None:
    """The cloud has nothing to copy yet."""
    volume_id = await ecs.create_disk(disk_spec())
    with pytest.raises(WrongState) as caught:
        await ecs.create_snapshot(cut("snap", volume_id))

    assert "use the volume in a pod once" in caught.value.hint


@pytest.mark.parametrize("volume_id", [ABSENT, VolumeId("pvc-1"), VolumeId("")])
async def test_a_snapshot_of_nothing_is_not_found(ecs: EcsCloud, volume_id: VolumeId) -> None:
    """Absent and malformed ids stand for nothing."""
    with pytest.raises(NotFound):
        await ecs.create_snapshot(cut("snap", volume_id))


async def test_a_class_of_another_provider_is_refused(ecs: EcsCloud, disk: VolumeId) -> None:
    """Its keys mean nothing here."""
    foreign = SnapshotSpec(name="snap", source_volume_id=disk, parameters=SnapshotParameters())
    with pytest.raises(InvalidArgument, match="another provider"):
        await ecs.create_snapshot(foreign)


async def test_a_deleted_snapshot_is_absent(ecs: EcsCloud, disk: VolumeId) -> None:
    """It is gone at once."""
    snapshot_id = await ecs.create_snapshot(cut("snap", disk))
    await ecs.delete_snapshot(snapshot_id)

    assert await ecs.get_snapshots([snapshot_id]) == {}


async def test_a_snapshot_is_deleted_though_a_disk_was_made_of_it(
    ecs: EcsCloud, disk: VolumeId
) -> None:
    """The disk keeps its data."""
    snapshot_id = await ecs.create_snapshot(cut("snap", disk))
    await ecs.create_disk(disk_spec("pvc-restored", snapshot_id=snapshot_id))
    await ecs.delete_snapshot(snapshot_id)

    assert await ecs.get_snapshots([snapshot_id]) == {}


@pytest.mark.parametrize("snapshot_id", ["s-bp1000000000000000zz", "snap-1", ""])
async def test_deleting_what_is_not_there_is_not_found(ecs: EcsCloud, snapshot_id: str) -> None:
    """The rules make a success of it."""
    with pytest.raises(NotFound):
        await ecs.delete_snapshot(SnapshotId(snapshot_id))


async def test_a_lost_reply_to_a_deletion_is_an_unknown_outcome(
    ecs: EcsCloud, world: Cloud, disk: VolumeId
) -> None:
    """It is gone, and nobody was told."""
    snapshot_id = await ecs.create_snapshot(cut("snap", disk))
    world.faults.add(Fault(action="DeleteSnapshot", kind="lose_reply"))
    with pytest.raises(UnknownOutcome):
        await ecs.delete_snapshot(snapshot_id)


@pytest.mark.parametrize("limit", [1, 3, 7, 10, 11, 25, 100, 1000])
async def test_pages_of_any_size_give_each_snapshot_once(
    ecs: EcsCloud, disk: VolumeId, limit: int
) -> None:
    """The API gives no fewer than ten at once; smaller pages are cut from its own."""
    ids = await several(ecs, disk, 25)
    found: list[SnapshotId] = []
    sizes: list[int] = []
    token = ""
    while token or not sizes:
        page = await ecs.list_snapshots(source_volume_id=None, limit=limit, token=token)
        found += [one.id for one in page.snapshots]
        sizes.append(len(page.snapshots))
        token = page.next_token

    assert (found, max(sizes)) == (ids, min(limit, 25))


async def test_pages_may_change_their_size(ecs: EcsCloud, disk: VolumeId) -> None:
    """A token tells where to go on, whatever the next caller's limit is."""
    ids = await several(ecs, disk, 25)
    first = await ecs.list_snapshots(source_volume_id=None, limit=4, token="")
    rest = await ecs.list_snapshots(source_volume_id=None, limit=100, token=first.next_token)

    assert [one.id for one in (*first.snapshots, *rest.snapshots)] == ids


async def test_a_listing_of_one_disk_shows_its_own(ecs: EcsCloud, disk: VolumeId) -> None:
    """Snapshots of others stay out."""
    other = await ecs.create_disk(disk_spec("pvc-2"))
    await ecs.attach_disk(other, NODE)
    await ecs.create_snapshot(cut("snap-1", disk))
    wanted = await ecs.create_snapshot(cut("snap-2", other))
    page = await ecs.list_snapshots(source_volume_id=other, limit=100, token="")

    assert [one.id for one in page.snapshots] == [wanted]


@pytest.mark.parametrize("source", [ABSENT, VolumeId("pvc-1"), VolumeId("")])
async def test_a_listing_of_no_disk_is_empty(
    ecs: EcsCloud, disk: VolumeId, source: VolumeId
) -> None:
    """An id that stands for nothing has no snapshots; it is no error, and not left out either."""
    await ecs.create_snapshot(cut("snap", disk))
    page = await ecs.list_snapshots(source_volume_id=source, limit=100, token="")

    assert (page.snapshots, page.next_token) == ((), "")


def _encoded(told: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


@pytest.mark.parametrize(
    "token",
    ["x", "invalid-token", "ü", "====", _encoded("text"), _encoded(7), _encoded(["a"]),
     _encoded(["a", 1, 2]), _encoded({"a": 1, "b": 2}), _encoded(["a", -1]), _encoded(["a", 1.5]),
     _encoded([["a"], 1]), _encoded(["a", 10**9]), _encoded([None, 0]),
     base64.urlsafe_b64encode(b'["", 1e999]').decode(),
     base64.urlsafe_b64encode(b"[" * 200_000).decode(), _encoded(["not-of-the-cloud", 0])],
)  # fmt: skip
async def test_a_token_of_another_hand_is_refused(
    ecs: EcsCloud, disk: VolumeId, token: str
) -> None:
    """It is told as such, so that the caller begins anew."""
    await ecs.create_snapshot(cut("snap", disk))
    with pytest.raises(InvalidToken):
        await ecs.list_snapshots(source_volume_id=None, limit=5, token=token)


async def test_any_refusal_of_a_page_counts_against_its_token(calls_to: CallsTo) -> None:
    """The API documents no code for it, and everything else in the request is ours."""
    async with scripted([refusal("InvalidParameter.NextToken")]) as api:
        cloud = EcsCloud(calls=calls_to(api.url), region=REGION, cluster_id="")
        with pytest.raises(InvalidToken):
            await cloud.list_snapshots(
                source_volume_id=None, limit=5, token=_encoded(["expired", 0])
            )


async def test_a_refusal_of_a_first_page_is_not_the_tokens_fault(calls_to: CallsTo) -> None:
    """There is none yet."""
    async with scripted([refusal("InvalidRegionId.NotFound", 404)]) as api:
        cloud = EcsCloud(calls=calls_to(api.url), region=REGION, cluster_id="")
        with pytest.raises(InvalidArgument):
            await cloud.list_snapshots(source_volume_id=None, limit=5, token="")
