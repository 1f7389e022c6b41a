"""CreateSnapshot, DeleteSnapshot and DescribeSnapshots, by rows 57 and 58 of the acceptance table."""

from __future__ import annotations

from typing import Any

import pytest
from account import I1, Account, G, H, account
from mockcloud.hypervisor.base import NoHypervisor
from typing_extensions import override


async def used(lab: Account, **told: object) -> str:
    """A disk that was attached once and is free again."""
    disk_id = await lab.creates(told)
    await lab.holds(disk_id, I1)
    await lab.call("DetachDisk", DiskId=disk_id, InstanceId=I1)
    await lab.passes()
    return disk_id


async def begun(lab: Account, disk_id: str, **told: object) -> str:
    """A snapshot that is being made."""
    return str((await lab.call("CreateSnapshot", {"DiskId": disk_id, **told}))["SnapshotId"])


async def snapshotted(lab: Account, **told: object) -> str:
    """A finished snapshot of a used disk."""
    snapshot_id = await begun(lab, await used(lab, **told))
    await lab.passes()
    return snapshot_id


async def shown(lab: Account, snapshot_id: str) -> Any:  # noqa: ANN401 - JSON
    """The snapshot as a search shows it; None when it shows none."""
    answer = await lab.call("DescribeSnapshots", SnapshotIds=f'["{snapshot_id}"]')
    return next(iter(answer["Snapshots"]["Snapshot"]), None)


class Copies(NoHypervisor):
    """Notes which copies are there, of disks and of snapshots; copying may fail."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.broken = False

    @override
    async def snapshot(self, serial: str, snapshot_id: str) -> None:
        if self.broken:
            raise OSError
        self.there.add(snapshot_id)

    @override
    async def delete_snapshot(self, snapshot_id: str) -> None:
        self.there.discard(snapshot_id)

    @override
    async def restore(self, serial: str, snapshot_id: str, size_gib: int) -> None:
        self.there.add(serial)
        if self.broken:
            raise OSError

    @override
    async def delete(self, serial: str) -> None:
        self.there.discard(serial)


async def test_row_57_a_disk_that_was_never_attached_is_refused() -> None:
    """There is nothing on it yet."""
    lab = account()
    answer = await lab.refused("CreateSnapshot", DiskId=await lab.creates())
    assert answer == "403 IncorrectDiskStatus.NeverAttached"


async def test_row_57_a_knob_lets_a_disk_be_that_was_never_attached() -> None:
    """For suites that snapshot at once."""
    lab = account(snapshot_needs_attach=False)
    assert await shown(lab, await begun(lab, await lab.creates()))


@pytest.mark.parametrize(("category", "early"), [("cloud_essd", True), ("cloud_efficiency", False)])
async def test_row_57_a_snapshot_is_cut_then_usable_then_done(
    category: str, *, early: bool
) -> None:
    """The ESSD family is usable from the cut on, the others at the end."""
    lab = account(steps={"snapshot_cut": "1", "snapshot_done": "10"})
    snapshot_id = await begun(lab, await used(lab, DiskCategory=category))
    seen = []
    for step_s in (0, 2, 10):
        await lab.passes(step_s)
        one = await shown(lab, snapshot_id)
        seen.append((one["Status"], bool(one["CreationTime"]), one["Available"]))
    assert seen == [
        ("progressing", False, False),
        ("progressing", True, early),
        ("accomplished", True, True),
    ]


async def test_row_57_a_finished_snapshot_tells_progress_and_size_as_text() -> None:
    """As the cloud does, the size too."""
    lab = account()
    one = await shown(lab, await snapshotted(lab))
    assert (one["Progress"], one["SourceDiskSize"]) == ("100%", "20")


async def test_a_snapshot_that_can_not_be_copied_fails(caplog: pytest.LogCaptureFixture) -> None:
    """And is never usable."""
    copies = Copies()
    lab = account(hypervisor=copies)
    copies.broken = True
    one = await shown(lab, await snapshotted(lab))
    assert (one["Status"], one["Available"]) == ("failed", False)
    assert "OSError" in caplog.text


async def test_a_disk_that_can_not_be_copied_is_no_more(caplog: pytest.LogCaptureFixture) -> None:
    """What it has of its content goes with it, and the same request makes another disk."""
    copies = Copies()
    lab = account(hypervisor=copies)
    told = {"SnapshotId": await snapshotted(lab), "ClientToken": "T"}
    before = set(copies.there)
    copies.broken = True
    first = await lab.creates(told)
    assert (await lab.disk(first), copies.there) == (None, before)
    copies.broken = False
    second = await lab.creates(told)
    assert (second != first, await lab.status(second)) == (True, "Available")
    assert "OSError" in caplog.text


async def test_a_snapshot_of_a_disk_that_ended_with_its_machine_fails() -> None:
    """It was to be cut later."""
    lab = account(steps={"snapshot_cut": "30"})
    disk_id = await lab.creates()
    await lab.call("AttachDisk", DiskId=disk_id, InstanceId=I1, DeleteWithInstance="true")
    await lab.passes()
    snapshot_id = await begun(lab, disk_id)
    await lab.call("DeleteInstance", InstanceId=I1, Force="true")
    await lab.passes()
    assert (await shown(lab, snapshot_id))["Status"] == "failed"


async def test_an_older_category_takes_one_snapshot_at_a_time() -> None:
    """The second is refused while the first is made."""
    lab = account()
    disk_id = await used(lab, DiskCategory="cloud_efficiency")
    await begun(lab, disk_id)
    answer = await lab.refused("CreateSnapshot", DiskId=disk_id)
    assert answer == "403 IncorrectDiskStatus.CreatingSnapshot"


@pytest.mark.parametrize("status", ["Starting", "Stopping"])
async def test_a_machine_on_its_way_lets_no_snapshot_be_made(status: str) -> None:
    """It must run or stand still, as for an attach."""
    lab = account()
    disk_id = await lab.creates()
    await lab.holds(disk_id, I1)
    lab.engine.instances[I1].status = status
    answer = await lab.refused("CreateSnapshot", DiskId=disk_id)
    assert (answer, lab.engine.snapshots) == ("400 IncorrectInstanceStatus", {})


async def test_an_ephemeral_disk_has_no_snapshots() -> None:
    """Neither of it, nor as its content."""
    lab = account()
    ephemeral = {"DiskCategory": "elastic_ephemeral_disk_standard", "Size": 64, "ZoneId": G}
    disk_id = await lab.creates(ephemeral)
    content = {**ephemeral, "SnapshotId": await snapshotted(lab)}
    assert (
        await lab.refused("CreateSnapshot", DiskId=disk_id),
        await lab.refused("CreateDisk", content),
    ) == (
        "400 DiskCategory.OperationNotSupported",
        "403 InvalidOperation.CreateFromSnapshotUnsupported",
    )


async def test_a_disk_on_its_way_has_no_snapshot_made() -> None:
    """It must be at rest or in use."""
    lab = account()
    disk_id = await used(lab)
    await lab.call("AttachDisk", DiskId=disk_id, InstanceId=I1)
    assert await lab.refused("CreateSnapshot", DiskId=disk_id) == "403 IncorrectDiskStatus"


async def test_the_same_token_gives_the_same_snapshot() -> None:
    """And another request with it is refused."""
    lab = account()
    disk_id = await used(lab)
    first = await begun(lab, disk_id, ClientToken="T")
    assert await begun(lab, disk_id, ClientToken="T") == first
    answer = await lab.refused("CreateSnapshot", DiskId=disk_id, ClientToken="T", SnapshotName="n1")
    assert answer == "400 IdempotentParameterMismatch"


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        ({"SnapshotName": "automatic"}, "400 InvalidSnapshotName.Malformed"),
        ({"SnapshotName": "1st"}, "400 InvalidSnapshotName.Malformed"),
        ({"Description": "http://x"}, "404 InvalidDescription.Malformed"),
        ({"RetentionDays": "0"}, "400 InvalidRetentionDays.Malformed"),
        ({"Tag.1.Key": "acs:x"}, "400 InvalidTagKey.Malformed"),
        ({"DiskId": "d-none"}, "404 InvalidDiskId.NotFound"),
    ],
)
async def test_a_bad_request_for_a_snapshot_is_refused(told: dict[str, str], answer: str) -> None:
    """Each flaw has its code."""
    lab = account()
    assert await lab.refused("CreateSnapshot", {"DiskId": await used(lab), **told}) == answer


async def test_row_58_a_snapshot_with_disks_is_deleted_by_force_only() -> None:
    """The disk stays."""
    lab = account()
    snapshot_id = await snapshotted(lab)
    disk_id = await lab.creates(SnapshotId=snapshot_id)
    refused = await lab.refused("DeleteSnapshot", SnapshotId=snapshot_id)
    forced = await lab.refused("DeleteSnapshot", SnapshotId=snapshot_id, Force="true")
    assert (refused, forced) == ("403 SnapshotCreatedDisk", "200 {}")
    assert await lab.status(disk_id) == "Available"


async def test_row_58_a_smaller_disk_gets_the_size_of_its_snapshot() -> None:
    """Without a word."""
    lab = account()
    disk_id = await lab.creates(SnapshotId=await snapshotted(lab), Size=10)
    assert (await lab.disk(disk_id))["Size"] == 20


async def test_row_58_a_smaller_disk_may_be_refused() -> None:
    """With the knob."""
    lab = account(restore_smaller="refuse")
    snapshot_id = await snapshotted(lab)
    told = {"ZoneId": G, "DiskCategory": "cloud_essd", "Size": 10, "SnapshotId": snapshot_id}
    assert await lab.refused("CreateDisk", told) == "403 InvalidDiskSize.TooSmall"


async def test_row_58_a_snapshot_serves_in_every_zone() -> None:
    """It belongs to its region."""
    lab = account()
    disk_id = await lab.creates(SnapshotId=await snapshotted(lab), ZoneId=H)
    shown_disk = await lab.disk(disk_id)
    assert (shown_disk["ZoneId"], bool(shown_disk["SourceSnapshotId"])) == (H, True)


async def test_a_snapshot_that_is_not_usable_yet_is_refused() -> None:
    """A disk can't be made from it."""
    lab = account(steps={"snapshot_cut": "10"})
    snapshot_id = await begun(lab, await used(lab))
    told = {"ZoneId": G, "DiskCategory": "cloud_essd", "SnapshotId": snapshot_id}
    assert await lab.refused("CreateDisk", told) == "403 InvalidSnapshotId.NotReady"


async def test_an_encrypted_snapshot_gives_encrypted_disks_only() -> None:
    """A plain one would tell what was hidden."""
    lab = account()
    snapshot_id = await snapshotted(lab, Encrypted="true")
    told = {"ZoneId": G, "DiskCategory": "cloud_essd", "SnapshotId": snapshot_id}
    assert await lab.refused("CreateDisk", told) == "403 InvalidEncrypted.NotMatchSnapshot"


async def test_deleting_a_snapshot_that_is_being_made_cancels_it() -> None:
    """No copy stays behind."""
    copies = Copies()
    lab = account(hypervisor=copies)
    snapshot_id = await begun(lab, await used(lab))
    await lab.call("DeleteSnapshot", SnapshotId=snapshot_id)
    await lab.passes()
    assert (await shown(lab, snapshot_id), copies.there) == (None, set())


@pytest.mark.parametrize(
    ("knob", "answer"), [(404, "404 InvalidSnapshotId.NotFound"), (200, "200 {}")]
)
async def test_an_unknown_snapshot_is_told_so_or_not(knob: int, answer: str) -> None:
    """The cloud's pages say both."""
    lab = account(delete_unknown=knob)
    assert await lab.refused("DeleteSnapshot", SnapshotId="s-none") == answer


async def test_snapshots_are_found_by_what_they_are() -> None:
    """By disk, name, status and tag, each alone."""
    lab = account()
    await snapshotted(lab)
    disk_id = await used(lab)
    wanted = await begun(lab, disk_id, SnapshotName="wanted", **{"Tag.1.Key": "a"})
    for filter_ in (
        {"DiskId": disk_id}, {"SnapshotName": "wanted"}, {"Status": "progressing"}, {"Tag.1.Key": "a"},
    ):  # fmt: skip
        answer = await lab.call("DescribeSnapshots", filter_)
        assert [one["SnapshotId"] for one in answer["Snapshots"]["Snapshot"]] == [wanted]


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        ({"RegionId": "mars"}, "404 InvalidRegionId.NotFound"),
        ({"Status": "odd"}, "404 InvalidStatus.NotFound"),
        ({"SnapshotIds": "s-1,s-2"}, "400 InvalidParameter.SnapshotIds"),
        ({"SnapshotIds": str(["s"] * 101).replace("'", '"')}, "403 InvalidSnapshotIds.Malformed"),
    ],
)
async def test_a_bad_search_for_snapshots_is_refused(told: dict[str, str], answer: str) -> None:
    """Each flaw has its code."""
    assert await account().refused("DescribeSnapshots", told) == answer


async def test_a_snapshot_tells_whether_disks_were_made_from_it() -> None:
    """And is found by it."""
    lab = account()
    snapshot_id = await snapshotted(lab)
    before = (await shown(lab, snapshot_id))["Usage"]
    await lab.creates(SnapshotId=snapshot_id)
    answer = await lab.call("DescribeSnapshots", Usage="disk")
    assert (before, len(answer["Snapshots"]["Snapshot"])) == ("none", 1)
