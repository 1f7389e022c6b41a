"""Snapshots: made, read, listed, restored, deleted."""

from __future__ import annotations

import pytest

from diskcsi.model.capabilities import Capability
from diskcsi.model.errors import InvalidToken, NotFound
from diskcsi.model.ids import SnapshotId
from diskcsi.model.volume import Snapshot
from diskcsi.ports.cloud import CloudProvider
from diskcsi.testing.contract.world import Account, Chapter, World, all_of_its_tests


@all_of_its_tests(pytest.mark.needs(Capability.SNAPSHOTS))
class SnapshotPromises(Chapter):
    """What `Snapshots` promises."""

    async def test_a_snapshot_becomes_ready(self, account: Account) -> None:
        """It has a time with a zone by then."""
        disk = await account.source()
        snapshot = await account.snapshot(disk.id)
        assert snapshot.created_at is not None
        assert snapshot.created_at.tzinfo is not None

    async def test_a_snapshot_tells_what_it_is_of(self, account: Account) -> None:
        """Source and size are the disk's."""
        disk = await account.source()
        snapshot = await account.snapshot(disk.id)
        assert (snapshot.source_volume_id, snapshot.size_gib) == (disk.id, disk.size_gib)

    async def test_a_snapshot_is_found_by_its_name(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """The name is what a repeated request knows."""
        disk = await account.source()
        snapshot = await account.snapshot(disk.id)
        found = await account.until(lambda: cloud.find_snapshots(snapshot.name), bool)
        assert [one.id for one in found] == [snapshot.id]

    async def test_a_name_without_a_snapshot_finds_nothing(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """Absence is an empty answer, not an error."""
        assert list(await cloud.find_snapshots(account.name())) == []

    async def test_a_repeated_snapshot_is_the_same(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """The caller may have lost the first answer."""
        disk = await account.source()
        spec = account.snapshot_spec(disk.id)
        first = await account.done(lambda: cloud.create_snapshot(spec))
        assert await account.done(lambda: cloud.create_snapshot(spec)) == first

    async def test_a_snapshot_of_an_absent_disk_is_refused(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """There is nothing to take."""
        with pytest.raises(NotFound):
            await cloud.create_snapshot(account.snapshot_spec(world.absent_volume))

    async def test_malformed_snapshot_ids_never_fail_their_neighbours(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """Ids come from people's manifests."""
        disk = await account.source()
        snapshot = await account.snapshot(disk.id)
        ids = [snapshot.id, *map(SnapshotId, world.malformed_ids)]
        if world.absent_snapshot is not None:
            ids.append(world.absent_snapshot)
        assert set(await cloud.get_snapshots(ids)) == {snapshot.id}

    async def test_a_deleted_snapshot_is_gone(self, cloud: CloudProvider, account: Account) -> None:
        """No read shows it any more."""
        disk = await account.source()
        snapshot = await account.snapshot(disk.id)
        await account.done(lambda: cloud.delete_snapshot(snapshot.id))
        gone = await account.until(
            lambda: cloud.get_snapshots([snapshot.id]), lambda seen: not seen
        )
        assert gone == {}

    async def test_deleting_absent_and_malformed_snapshots_says_that_they_are_absent(
        self, cloud: CloudProvider, world: World
    ) -> None:
        """The rules make a success of it; the provider tells the truth."""
        ids = [*map(SnapshotId, world.malformed_ids)]
        if world.absent_snapshot is not None:
            ids.append(world.absent_snapshot)
        for one in ids:
            with pytest.raises(NotFound):
                await cloud.delete_snapshot(one)

    async def test_pages_tell_every_snapshot_once(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """A listing in pages of one is complete and repeats nothing."""
        disk = await account.source()
        made = {(await account.snapshot(disk.id)).id for _ in range(3)}
        listed: list[Snapshot] = []
        token = ""
        while True:
            page = await cloud.list_snapshots(source_volume_id=disk.id, limit=1, token=token)
            listed += page.snapshots
            token = page.next_token
            if not token:
                break
        assert sorted(one.id for one in listed) == sorted(made)

    async def test_a_page_is_no_longer_than_asked(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """The caller's limit holds."""
        disk = await account.source()
        for _ in range(2):
            await account.snapshot(disk.id)
        page = await cloud.list_snapshots(source_volume_id=disk.id, limit=1, token="")
        assert len(page.snapshots) == 1

    async def test_a_listing_by_source_tells_no_other(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """The filter is the cloud's or the provider's, but it holds."""
        one, other = await account.source(), await account.source()
        wanted = await account.snapshot(one.id)
        await account.snapshot(other.id)
        page = await cloud.list_snapshots(source_volume_id=one.id, limit=10, token="")
        assert [snapshot.id for snapshot in page.snapshots] == [wanted.id]

    async def test_a_listing_without_filter_tells_it_too(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """Everything of the account is there."""
        disk = await account.source()
        snapshot = await account.snapshot(disk.id)
        token, seen = "", False
        while not seen:
            page = await cloud.list_snapshots(source_volume_id=None, limit=50, token=token)
            seen = snapshot.id in {one.id for one in page.snapshots}
            token = page.next_token
            if not token:
                break
        assert seen

    async def test_an_absent_source_lists_nothing(self, cloud: CloudProvider, world: World) -> None:
        """Absence is an empty answer, not an error."""
        page = await cloud.list_snapshots(source_volume_id=world.absent_volume, limit=10, token="")
        assert (page.snapshots, page.next_token) == ((), "")

    @pytest.mark.parametrize("token", ["no token of ours", "盘", "AAAA", "W10="])
    async def test_a_foreign_token_is_refused(self, cloud: CloudProvider, token: str) -> None:
        """The caller has to begin anew."""
        with pytest.raises(InvalidToken):
            await cloud.list_snapshots(source_volume_id=None, limit=10, token=token)

    @pytest.mark.needs(Capability.RESTORE)
    async def test_a_restored_disk_tells_its_source(self, account: Account) -> None:
        """A repeat of the request compares it."""
        disk = await account.source()
        snapshot = await account.snapshot(disk.id)
        restored = await account.make(snapshot_id=snapshot.id)
        assert restored.source_snapshot_id == snapshot.id

    @pytest.mark.needs(Capability.RESTORE)
    async def test_a_restored_disk_may_be_larger(self, account: Account, world: World) -> None:
        """The node grows what is on it."""
        disk = await account.source()
        snapshot = await account.snapshot(disk.id)
        restored = await account.make(snapshot_id=snapshot.id, size_gib=world.larger_gib)
        assert restored.size_gib == world.larger_gib

    @pytest.mark.needs(Capability.RESTORE)
    async def test_restoring_an_absent_snapshot_is_refused(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """No empty disk is made in its place."""
        if world.absent_snapshot is None:
            pytest.skip("this world names no absent snapshot")
        spec = account.spec(snapshot_id=world.absent_snapshot)
        with pytest.raises(NotFound):
            await account.done(lambda: cloud.create_disk(spec))
        assert list(await cloud.find_disks(spec.name)) == []
