"""Disks: identity by name and id, making, deleting, growing."""

from __future__ import annotations

import asyncio

import pytest

from diskcsi.model.capabilities import Capability
from diskcsi.model.errors import AlreadyExists, InUse, NotFound, OutOfRange, Pending
from diskcsi.model.ids import VolumeId
from diskcsi.ports.cloud import CloudProvider
from diskcsi.testing.contract.world import Account, Chapter, World, is_available


class DiskPromises(Chapter):
    """What `Disks` promises."""

    async def test_the_cloud_answers_a_check(self, cloud: CloudProvider) -> None:
        """Endpoint and credentials of the world are good."""
        await cloud.check()

    async def test_a_new_disk_becomes_available(self, account: Account) -> None:
        """Making a disk ends, and nobody holds it then."""
        disk = await account.make()
        assert disk.attached_to == frozenset()

    async def test_a_disk_is_as_it_was_ordered(self, account: Account, world: World) -> None:
        """Name, size and zone are told as they were asked for."""
        spec = account.spec()
        disk = await account.make(spec.name)
        assert (disk.name, disk.size_gib, disk.zone) == (spec.name, world.size_gib, world.zone)

    async def test_a_disk_fits_the_class_it_was_made_for(
        self, account: Account, world: World
    ) -> None:
        """A repeat of the request must not find a misfit."""
        assert world.parameters.mismatch(await account.make()) == ""

    async def test_a_disk_is_found_by_its_name(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """The name is what a repeated request knows."""
        disk = await account.make()
        found = await account.until(lambda: cloud.find_disks(disk.name), bool)
        assert [one.id for one in found] == [disk.id]

    async def test_a_name_without_a_disk_finds_nothing(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """Absence is an empty answer, not an error."""
        assert list(await cloud.find_disks(account.name())) == []

    async def test_a_name_is_no_prefix(self, cloud: CloudProvider, account: Account) -> None:
        """Names are compared whole."""
        disk = await account.make()
        assert list(await cloud.find_disks(disk.name[:-1])) == []

    async def test_long_names_and_odd_letters_are_kept(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """CSI allows 128 bytes of any text, and names differ up to the last of them."""
        name = f"{account.name()}-卷/_.:"
        name += "n" * (128 - len(name.encode()))
        account.adopt(name)
        disk = await account.make(name)
        found = await account.until(lambda: cloud.find_disks(name), bool)
        assert [one.id for one in found] == [disk.id]

    async def test_two_names_are_two_disks(self, account: Account) -> None:
        """Nothing is shared between names."""
        one, other = await asyncio.gather(account.make(), account.make())
        assert one.id != other.id

    async def test_a_repeated_order_gives_the_same_disk(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """The caller may have lost the first answer."""
        spec = account.spec()
        first = await account.done(lambda: cloud.create_disk(spec))
        assert await account.done(lambda: cloud.create_disk(spec)) == first

    async def test_equal_orders_at_once_make_one_disk(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """Two controllers may ask in the same moment."""
        spec = account.spec()
        made = await asyncio.gather(
            *(account.done(lambda: cloud.create_disk(spec)) for _ in range(5))
        )
        assert len(set(made)) == 1

    async def test_another_order_under_a_name_is_refused(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """One name never becomes two disks of different sizes."""
        disk = await account.make()
        with pytest.raises(AlreadyExists):
            await account.done(
                lambda: cloud.create_disk(account.spec(disk.name, size_gib=world.larger_gib))
            )

    async def test_a_cancelled_order_is_found_or_made_by_its_repeat(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """Whatever became of the first call, there is one disk in the end."""
        spec = account.spec()
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(cloud.create_disk(spec))
            await asyncio.sleep(0)
            call.cancel()
        volume_id = await account.done(lambda: cloud.create_disk(spec))
        await account.see(volume_id, is_available)
        assert [one.id for one in await cloud.find_disks(spec.name)] == [volume_id]

    async def test_a_cancelled_read_leaves_the_next_one_unharmed(self, account: Account) -> None:
        """A caller that goes away takes nothing with it."""
        disk = await account.make()
        async with asyncio.TaskGroup() as tasks:
            read = tasks.create_task(account.disk(disk.id))
            await asyncio.sleep(0)
            read.cancel()
        assert await account.disk(disk.id) == disk

    async def test_asking_for_nothing_tells_nothing(self, cloud: CloudProvider) -> None:
        """An empty list of ids does not mean all disks."""
        assert await cloud.get_disks([]) == {}

    async def test_an_absent_id_is_absent_beside_its_neighbour(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """One id that stands for nothing never fails the others."""
        disk = await account.make()
        assert set(await cloud.get_disks([world.absent_volume, disk.id])) == {disk.id}

    async def test_malformed_ids_never_fail_their_neighbours(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """Ids come from people's manifests."""
        disk = await account.make()
        ids = [disk.id, *map(VolumeId, world.malformed_ids)]
        assert set(await cloud.get_disks(ids)) == {disk.id}

    async def test_more_ids_than_one_call_carries_are_all_read(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """The provider cuts long lists by itself."""
        disk = await account.make()
        stems = (world.absent_volume, f"{disk.id[:-1]}0")  # ids that sort before and after it
        many = [VolumeId(f"{stem}{n:04d}") for stem in stems for n in range(cloud.read_batch + 1)]
        assert set(await cloud.get_disks([*many, disk.id])) == {disk.id}

    async def test_reads_at_once_answer_each_its_own(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """Answers never cross."""
        disks = await asyncio.gather(*(account.make() for _ in range(3)))
        reads = await asyncio.gather(*(cloud.get_disks([disk.id]) for disk in disks))
        assert [set(read) for read in reads] == [{disk.id} for disk in disks]

    async def test_a_deleted_disk_is_gone_by_id_and_name(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """Deleting ends, and no read shows it any more."""
        disk = await account.make()
        await account.done(lambda: cloud.delete_disk(disk.id))
        await account.until(lambda: account.disk(disk.id), lambda seen: seen is None)
        assert list(await cloud.find_disks(disk.name)) == []

    async def test_deleting_what_is_absent_says_so(
        self, cloud: CloudProvider, world: World
    ) -> None:
        """The rules make a success of it; the provider tells the truth."""
        with pytest.raises(NotFound):
            await cloud.delete_disk(world.absent_volume)

    async def test_deleting_malformed_ids_says_that_they_are_absent(
        self, cloud: CloudProvider, world: World
    ) -> None:
        """An id that can't exist stands for nothing."""
        for malformed in world.malformed_ids:
            with pytest.raises(NotFound):
                await cloud.delete_disk(VolumeId(malformed))

    async def test_an_attached_disk_is_not_deleted(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """Somebody's data is on it."""
        disk = await account.make()
        await account.attach(disk.id, world.node)
        with pytest.raises(InUse):
            await account.done(lambda: cloud.delete_disk(disk.id))
        assert await account.disk(disk.id) is not None

    @pytest.mark.needs(Capability.EXPAND)
    async def test_a_disk_grows(self, cloud: CloudProvider, account: Account, world: World) -> None:
        """A read tells when it has its new size."""
        disk = await account.make()
        await account.done(lambda: cloud.resize_disk(disk.id, world.larger_gib))
        grown = await account.see(disk.id, lambda seen: seen.size_gib > world.size_gib)
        assert grown.size_gib == world.larger_gib

    @pytest.mark.needs(Capability.EXPAND)
    async def test_a_held_disk_grows_where_it_is(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """Growing takes a disk off no node."""
        disk = await account.make()
        await account.attach(disk.id, world.node)
        await account.done(lambda: cloud.resize_disk(disk.id, world.larger_gib))
        grown = await account.see(disk.id, lambda seen: seen.size_gib == world.larger_gib)
        assert grown.attached_to == {world.node}

    @pytest.mark.needs(Capability.EXPAND)
    async def test_no_disk_shrinks(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """What lies beyond the new end would be lost."""
        disk = await account.make(size_gib=world.larger_gib)
        with pytest.raises((OutOfRange, Pending)):  # some clouds don't tell it from a repeat
            await cloud.resize_disk(disk.id, world.size_gib)
        assert await account.disk(disk.id) == disk

    @pytest.mark.needs(Capability.EXPAND)
    async def test_growing_what_is_absent_says_so(self, cloud: CloudProvider, world: World) -> None:
        """Nothing can grow."""
        with pytest.raises(NotFound):
            await cloud.resize_disk(world.absent_volume, world.larger_gib)
