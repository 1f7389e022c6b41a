from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from diskcsi.controller.deps import Timing
from diskcsi.controller.requests import CreateSnapshot, ListSnapshots
from diskcsi.model.capabilities import Capability
from diskcsi.model.errors import (
    MAYBE_RUNNING,
    AlreadyExists,
    Denied,
    Exhausted,
    InvalidArgument,
    InvalidToken,
    NotFound,
    Pending,
    Unsupported,
    WrongState,
)
from diskcsi.model.ids import SnapshotId, VolumeId
from diskcsi.model.volume import DiskState, Snapshot
from diskcsi.testing.memory import MemoryCloud
from tests.controller.rig import ABSENT, Rig, build


@pytest.fixture
def volume_id(rig: Rig) -> VolumeId:
    """A disk whose snapshots take their time."""
    latency = rig.cloud.state.latency
    latency.call_s, latency.cut_s, latency.upload_s, latency.show_s = 0.05, 1.0, 30.0, 0.5
    return rig.given_disk().id


def snapshots(rig: Rig) -> list[Snapshot]:
    """What is there, looked at from behind."""
    rig.cloud.state.pass_time()
    return list(rig.cloud.state.snapshots.values())


async def test_a_snapshot_is_answered_once_it_is_cut(rig: Rig, volume_id: VolumeId) -> None:
    """The workload may go on writing; the upload is waited for by the caller."""
    snapshot = await rig.snapshot(volume_id)
    assert (snapshot.created_at is not None, snapshot.ready) == (True, False)


@pytest.mark.parametrize("upload_s", [pytest.param(30.0, id="snapshot-unfinished")])
async def test_a_repeat_tells_when_it_is_ready(
    rig: Rig, volume_id: VolumeId, upload_s: float
) -> None:
    """The snapshotter asks until it is."""
    first = await rig.snapshot(volume_id)
    await asyncio.sleep(upload_s)
    assert await rig.snapshot(volume_id) == replace(first, ready=True)


async def test_a_snapshot_tells_its_source_and_size(rig: Rig, volume_id: VolumeId) -> None:
    """What a restore has to hold."""
    snapshot = await rig.snapshot(volume_id)
    assert (snapshot.source_volume_id, snapshot.size_gib) == (volume_id, 20)


async def test_fifty_snapshots_at_once_share_their_reads(rig: Rig) -> None:
    """A cloud's rate is spent on changes."""
    rig.cloud.state.latency.cut_s = 5.0
    disks = [rig.given_disk(f"d-{place}").id for place in range(50)]
    await asyncio.gather(*(rig.snapshot(disk, f"s-{disk}") for disk in disks))
    assert rig.cloud.count("get_snapshots") <= 25


async def test_a_name_of_another_disk_is_refused(rig: Rig, volume_id: VolumeId) -> None:
    """Somebody would restore the wrong data."""
    other = rig.given_disk("other")
    await rig.snapshot(volume_id)
    with pytest.raises(AlreadyExists, match=volume_id):
        await rig.snapshot(other.id)


@pytest.mark.parametrize(
    "parameters", [{"keep": "7"}, {"keepDays": "1", "x": ""}], ids=["near", "far"]
)
async def test_unknown_keys_are_refused_before_the_cloud_is_asked(
    rig: Rig, volume_id: VolumeId, parameters: dict[str, str]
) -> None:
    """A misspelled wish is no wish."""
    with pytest.raises(InvalidArgument, match="keepDays"):
        await rig.snapshotter.create(
            CreateSnapshot(name="s", source_volume_id=volume_id, parameters=parameters)
        )
    assert rig.cloud.calls == []


async def test_an_absent_disk_is_not_found(rig: Rig) -> None:
    """There is nothing to take."""
    with pytest.raises(NotFound):
        await rig.snapshot(ABSENT)


@pytest.mark.parametrize(
    "refusal",
    [WrongState("never attached"), Exhausted("quota"), Denied("no right")],
    ids=lambda refusal: type(refusal).__name__,
)
async def test_a_refusal_is_told_at_once(rig: Rig, volume_id: VolumeId, refusal: Exception) -> None:
    """Surely nothing was made."""
    rig.cloud.faults.refuse("create_snapshot", refusal)
    with pytest.raises(type(refusal)):
        await rig.snapshot(volume_id)
    assert rig.cloud.count("create_snapshot") == 1


async def test_a_disk_that_was_never_attached_is_told(rig: Rig, volume_id: VolumeId) -> None:
    """Some clouds have nothing to snapshot before."""
    rig.cloud.state.needs_attach = True
    with pytest.raises(WrongState, match="never attached"):
        await rig.snapshot(volume_id)


@pytest.mark.parametrize(
    ("fault", "action"),
    [
        pytest.param("lose_reply", "create_snapshot", id="lost-reply-snapshot"),
        pytest.param("lose_request", "create_snapshot", id="lost-request-snapshot"),
        pytest.param("throttle", "create_snapshot", id="api-throttled"),
        pytest.param("throttle", "*", id="api-throttled-everything"),
    ],
)
async def test_a_snapshot_is_made_once_whatever_is_lost(
    rig: Rig, volume_id: VolumeId, fault: str, action: str
) -> None:
    """No error leaves, and there is one."""
    getattr(rig.cloud.faults, fault)(action, times=3)
    snapshot = await rig.snapshot(volume_id)
    assert [one.id for one in snapshots(rig)] == [snapshot.id]


@pytest.mark.parametrize("action", ["find_snapshots", "get_snapshots"])
async def test_a_refused_look_while_it_may_exist_is_not_final(
    rig: Rig, volume_id: VolumeId, action: str
) -> None:
    """Whoever may not look can't say that there is none."""
    rig.cloud.faults.lose_reply("create_snapshot")
    rig.cloud.faults.hold(action).set()
    rig.cloud.faults.refuse(action, Denied("no right to look"))
    with pytest.raises(MAYBE_RUNNING):
        await rig.snapshot(volume_id)


async def test_another_process_adopts_the_snapshot(rig: Rig, volume_id: VolumeId) -> None:
    """No fact is kept only in memory."""
    first = await rig.snapshot(volume_id)
    assert (await rig.restarted().snapshot(volume_id)).id == first.id


async def test_a_failed_snapshot_is_deleted_and_the_next_call_makes_another(
    rig: Rig, volume_id: VolumeId
) -> None:
    """It holds nothing, and it would keep the name."""
    failed = await rig.snapshot(volume_id)
    rig.cloud.state.snapshots[failed.id] = replace(failed, failed=True, created_at=None)
    with pytest.raises(Pending, match="deleted"):
        await rig.snapshot(volume_id)
    made = await rig.snapshot(volume_id)
    assert (made.id != failed.id, [one.id for one in snapshots(rig)]) == (True, [made.id])


async def test_a_failed_snapshot_that_cannot_be_deleted_is_not_final(
    rig: Rig, volume_id: VolumeId
) -> None:
    """It exists, and has the name."""
    failed = await rig.snapshot(volume_id)
    rig.cloud.state.snapshots[failed.id] = replace(failed, failed=True)
    rig.cloud.faults.refuse("delete_snapshot", Denied("no right"))
    with pytest.raises(Pending, match="no right"):
        await rig.snapshot(volume_id)


async def test_a_snapshot_that_vanishes_before_it_is_cut_is_not_final(
    rig: Rig, volume_id: VolumeId
) -> None:
    """Another hand deleted it; the next call makes another."""
    making = rig.begin(rig.snapshot(volume_id))
    await asyncio.sleep(0.8)
    rig.cloud.state.snapshots.clear()
    with pytest.raises(Pending):
        await making


async def test_a_name_can_be_used_again_after_its_snapshot_was_deleted(
    rig: Rig, volume_id: VolumeId
) -> None:
    """Its token answers the id of the deleted one for as long as it lasts."""
    first = await rig.snapshot(volume_id)
    await rig.snapshotter.delete(first.id)
    second = await rig.snapshot(volume_id)
    assert [one.id for one in snapshots(rig)] == [second.id]


@pytest.mark.parametrize("name", [pytest.param("snapshot-1", id="duplicate-calls-differ")])
async def test_a_call_with_another_source_waits_its_turn(
    rig: Rig, volume_id: VolumeId, name: str
) -> None:
    """Not over, so not final."""
    other = rig.given_disk("other")
    making = rig.begin(rig.snapshot(volume_id, name))
    await asyncio.sleep(0.5)
    with pytest.raises(Pending):
        await rig.snapshot(other.id, name)
    await making


async def test_a_deleted_snapshot_is_gone(rig: Rig, volume_id: VolumeId) -> None:
    """Nothing is left to be paid for."""
    await rig.snapshotter.delete((await rig.snapshot(volume_id)).id)
    assert snapshots(rig) == []


@pytest.mark.parametrize("snapshot_id", ["snap-9999", "", "no such id"])
async def test_what_does_not_exist_is_deleted_already(rig: Rig, snapshot_id: str) -> None:
    """The wish is fulfilled."""
    await rig.snapshotter.delete(SnapshotId(snapshot_id))
    assert snapshots(rig) == []


@pytest.mark.parametrize("fault", ["lose_reply", "lose_request", "throttle"])
async def test_a_delete_comes_out_right_whatever_is_lost(
    rig: Rig, volume_id: VolumeId, fault: str
) -> None:
    """No error leaves, and it is gone."""
    snapshot = await rig.snapshot(volume_id)
    getattr(rig.cloud.faults, fault)("delete_snapshot", times=3)
    await rig.snapshotter.delete(snapshot.id)
    assert snapshots(rig) == []


async def test_what_depends_on_a_snapshot_is_told(rig: Rig, volume_id: VolumeId) -> None:
    """Somebody has to delete that first."""
    snapshot = await rig.snapshot(volume_id)
    rig.cloud.faults.refuse("delete_snapshot", WrongState("a disk needs it"))
    with pytest.raises(WrongState):
        await rig.snapshotter.delete(snapshot.id)


async def test_pages_tell_everything_once(rig: Rig) -> None:
    """The caller's limit holds, and the token goes on."""
    disk = rig.given_disk()
    made = [(await rig.snapshot(disk.id, f"s-{place}")).id for place in range(5)]
    listed: list[SnapshotId] = []
    token = ""
    while len(listed) < 5:
        page = await rig.snapshotter.list(ListSnapshots(limit=2, token=token))
        assert len(page.snapshots) <= 2
        listed += [one.id for one in page.snapshots]
        token = page.next_token
    assert (listed, token) == (made, "")


async def test_no_limit_is_a_page_of_a_hundred(rig: Rig) -> None:
    """A message must not grow without end."""
    disk = rig.given_disk()
    for place in range(101):
        await rig.snapshot(disk.id, f"s-{place}")
    page = await rig.snapshotter.list(ListSnapshots())
    assert (len(page.snapshots), bool(page.next_token)) == (100, True)


@pytest.mark.parametrize("token", [pytest.param("not ours", id="18-bad-token")])
async def test_a_foreign_token_is_refused(rig: Rig, token: str) -> None:
    """The caller has to begin anew."""
    with pytest.raises(InvalidToken):
        await rig.snapshotter.list(ListSnapshots(token=token))


async def test_a_listing_waits_out_throttling(rig: Rig) -> None:
    """A refused read is asked again."""
    rig.cloud.faults.throttle("list_snapshots", times=3)
    assert (await rig.snapshotter.list(ListSnapshots())).snapshots == ()


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        pytest.param(ListSnapshots(snapshot_id=SnapshotId("snap-1")), False, id="19-unknown-id"),
        pytest.param(ListSnapshots(source_volume_id=ABSENT), False, id="19-unknown-source"),
        pytest.param(ListSnapshots(source_volume_id=VolumeId("disk-given")), True, id="source"),
    ],
)
async def test_a_filter_tells_what_it_fits(
    rig: Rig, request_: ListSnapshots, *, found: bool
) -> None:
    """What is unknown gives an empty list."""
    await rig.snapshot(rig.given_disk().id)
    assert bool((await rig.snapshotter.list(request_)).snapshots) is found


@pytest.mark.parametrize(
    ("source", "found"),
    [(None, True), ("disk-given", True), ("disk-other", False)],
    ids=["id", "id-and-source", "id-of-another-source"],
)
async def test_one_snapshot_is_listed_by_its_id(
    rig: Rig, source: str | None, *, found: bool
) -> None:
    """Both filters have to fit."""
    snapshot = await rig.snapshot(rig.given_disk().id)
    page = await rig.snapshotter.list(
        ListSnapshots(
            snapshot_id=snapshot.id, source_volume_id=VolumeId(source) if source else None
        )
    )
    assert page.snapshots == ((snapshot,) if found else ())


@pytest.mark.parametrize("asked", ["create", "delete", "list"])
async def test_snapshots_need_a_provider_that_has_them(rig: Rig, asked: str) -> None:
    """What is missing is said, not attempted."""
    poor = build(MemoryCloud(capabilities=frozenset({Capability.EXPAND})), rig.tasks).snapshotter
    requests = {
        "create": CreateSnapshot(name="s", source_volume_id=ABSENT),
        "delete": SnapshotId("snap-1"),
        "list": ListSnapshots(),
    }
    with pytest.raises(Unsupported):
        await getattr(poor, asked)(requests[asked])


async def test_a_source_that_is_still_being_made_is_refused(rig: Rig) -> None:
    """Its content is not there yet."""
    disk = rig.given_disk(state=DiskState.CREATING)
    with pytest.raises(WrongState):
        await rig.snapshot(disk.id)


async def test_a_snapshot_that_the_cloud_accepted_is_waited_for_and_not_made_again(
    rig: Rig, volume_id: VolumeId
) -> None:
    """Reads that lag prove no absence, so its token stays the only one."""
    rig.cloud.state.latency.show_s = 20.0
    snapshot = await rig.snapshot(volume_id)
    assert [one.id for one in snapshots(rig)] == [snapshot.id]


async def test_a_cloud_whose_reads_show_nothing_is_asked_for_one_more_snapshot_at_most(
    rig: Rig, volume_id: VolumeId
) -> None:
    """What is broken is told with the id, and the caller goes on asking."""
    rig.cloud.state.latency.show_s = 10_000.0
    with pytest.raises(Pending, match="snap-0002"):
        await rig.snapshot(volume_id)
    assert len(snapshots(rig)) == 2


async def test_a_snapshots_doubt_is_kept_when_the_flight_ends_in_the_middle_of_the_order(
    rig: Rig, volume_id: VolumeId
) -> None:
    """The next call looks before it passes a refusal on, and finds what was made."""
    latency = rig.cloud.state.latency
    await rig.snapshot(volume_id, "before")
    await asyncio.sleep(60)
    latency.call_s, latency.show_s = 6.0, 4.0
    hasty = replace(rig, deps=replace(rig.deps, timing=Timing(flight_s=10.0)))
    with pytest.raises(TimeoutError):
        await hasty.snapshot(volume_id)
    latency.call_s = 0.0
    rig.cloud.faults.refuse("create_snapshot", Exhausted("quota"))
    snapshot = await rig.snapshot(volume_id)
    assert [one.id for one in snapshots(rig) if one.name == "snapshot-1"] == [snapshot.id]
