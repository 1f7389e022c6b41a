"""Attachments: who holds a disk is told by `Disk.attached_to`, and by nothing else."""

from __future__ import annotations

import asyncio

import pytest

from diskcsi.model.capabilities import Capability
from diskcsi.model.errors import InUse, NotFound, WrongState
from diskcsi.model.ids import NodeId, VolumeId
from diskcsi.ports.cloud import CloudProvider
from diskcsi.testing.contract.world import Account, Chapter, World, is_available


class AttachmentPromises(Chapter):
    """What `Attachments` promises."""

    async def test_an_attached_disk_tells_its_holder(self, account: Account, world: World) -> None:
        """A read tells when the attach is over."""
        disk = await account.make()
        held = await account.attach(disk.id, world.node)
        assert held.attached_to == {world.node}

    async def test_a_detached_disk_has_no_holder(self, account: Account, world: World) -> None:
        """A read tells when the detach is over."""
        disk = await account.make()
        await account.attach(disk.id, world.node)
        free = await account.detach(disk.id, world.node)
        assert free.attached_to == frozenset()

    async def test_a_disk_moves_to_another_node(self, account: Account, world: World) -> None:
        """What has left one node may go to the next."""
        disk = await account.make()
        await account.attach(disk.id, world.node)
        await account.detach(disk.id, world.node)
        await account.see(disk.id, is_available)
        moved = await account.attach(disk.id, world.other_node)
        assert moved.attached_to == {world.other_node}

    async def test_a_detached_disk_can_be_deleted(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """An attachment leaves nothing behind."""
        disk = await account.make()
        await account.attach(disk.id, world.node)
        await account.detach(disk.id, world.node)
        await account.see(disk.id, is_available)
        await account.done(lambda: cloud.delete_disk(disk.id))
        assert await account.until(lambda: account.disk(disk.id), lambda seen: seen is None) is None

    async def test_the_serial_stays_when_a_disk_is_attached(
        self, account: Account, world: World
    ) -> None:
        """Nodes recognize the device by it."""
        disk = await account.make()
        held = await account.attach(disk.id, world.node)
        assert held.serial == disk.serial

    async def test_a_held_disk_is_refused_to_another_node(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """Two writers destroy a filesystem."""
        disk = await account.make()
        await account.attach(disk.id, world.node)
        with pytest.raises(InUse):
            await account.done(lambda: cloud.attach_disk(disk.id, world.other_node))

    async def test_a_refused_attach_leaves_the_holder(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """A refusal changes nothing."""
        disk = await account.make()
        await account.attach(disk.id, world.node)
        with pytest.raises(InUse):
            await account.done(lambda: cloud.attach_disk(disk.id, world.other_node))
        held = await account.disk(disk.id)
        assert held is not None
        assert held.attached_to == {world.node}

    async def test_attaching_twice_tells_that_it_is_held(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """The rules make a success of it; the provider tells the truth."""
        disk = await account.make()
        await account.attach(disk.id, world.node)
        with pytest.raises(InUse) as told:
            await account.done(lambda: cloud.attach_disk(disk.id, world.node))
        assert told.value.by in ("", world.node)

    async def test_detaching_what_is_not_attached_says_so(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """The rules make a success of it; the provider tells the truth."""
        disk = await account.make()
        with pytest.raises(WrongState):
            await account.done(lambda: cloud.detach_disk(disk.id, world.node))

    async def test_a_detach_from_the_wrong_node_takes_nothing_away(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """A late detach of a former node must not hurt the present one."""
        disk = await account.make()
        await account.attach(disk.id, world.node)
        with pytest.raises(WrongState):
            await account.done(lambda: cloud.detach_disk(disk.id, world.other_node))
        held = await account.disk(disk.id)
        assert held is not None
        assert held.attached_to == {world.node}

    async def test_attaching_an_absent_disk_says_so(
        self, cloud: CloudProvider, world: World
    ) -> None:
        """The disk is looked up by the cloud."""
        with pytest.raises(NotFound):
            await cloud.attach_disk(world.absent_volume, world.node)

    async def test_attaching_to_an_absent_node_says_so(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """The node is looked up by the cloud."""
        disk = await account.make()
        with pytest.raises(NotFound):
            await cloud.attach_disk(disk.id, world.absent_node)

    async def test_detaching_an_absent_disk_says_so(
        self, cloud: CloudProvider, world: World
    ) -> None:
        """It may have been deleted by another hand."""
        with pytest.raises(NotFound):
            await cloud.detach_disk(world.absent_volume, world.node)

    async def test_malformed_ids_are_absent_to_attach_and_detach(
        self, cloud: CloudProvider, world: World
    ) -> None:
        """An id that can't exist stands for nothing."""
        for malformed in world.malformed_ids:
            for change in (cloud.attach_disk, cloud.detach_disk):
                with pytest.raises(NotFound):
                    await change(VolumeId(malformed), world.node)

    async def test_a_node_of_another_zone_is_refused(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """A disk lives in one zone."""
        if world.far_node is None:
            pytest.skip("this world has no node in another zone")
        disk = await account.make()
        with pytest.raises(WrongState):
            await account.done(lambda: cloud.attach_disk(disk.id, world.far_node or world.node))

    async def test_two_disks_reach_one_node_at_once(self, account: Account, world: World) -> None:
        """A node that is busy with one loses neither."""
        disks = await asyncio.gather(account.make(), account.make())
        held = await asyncio.gather(*(account.attach(disk.id, world.node) for disk in disks))
        assert [disk.attached_to for disk in held] == [{world.node}, {world.node}]

    async def test_a_node_is_told_with_its_zone(self, cloud: CloudProvider, world: World) -> None:
        """The rules check that a node exists."""
        node = await cloud.get_node(world.node)
        assert node is not None
        assert (node.id, node.zone) == (world.node, world.zone)

    async def test_absent_and_malformed_nodes_are_none(
        self, cloud: CloudProvider, world: World
    ) -> None:
        """Absence is an answer, not an error."""
        ids = [world.absent_node, *map(NodeId, world.malformed_ids)]
        assert [await cloud.get_node(one) for one in ids] == [None] * len(ids)

    @pytest.mark.needs(Capability.MULTI_ATTACH)
    async def test_a_shared_disk_is_held_by_two_nodes(self, account: Account, world: World) -> None:
        """That is what it is sold for."""
        if world.shared_parameters is None:
            pytest.skip("this world has no class whose disks are shared")
        shared = world.shared_parameters
        disk = await account.make(parameters=shared, kind=shared.kinds[0])
        await account.attach(disk.id, world.node)
        held = await account.attach(disk.id, world.other_node)
        assert held.attached_to == {world.node, world.other_node}

    @pytest.mark.needs(Capability.MULTI_ATTACH)
    async def test_a_shared_disk_that_leaves_one_node_stays_on_the_other(
        self, account: Account, world: World
    ) -> None:
        """The other one's workload goes on."""
        if world.shared_parameters is None:
            pytest.skip("this world has no class whose disks are shared")
        shared = world.shared_parameters
        disk = await account.make(parameters=shared, kind=shared.kinds[0])
        for node in (world.node, world.other_node):
            await account.attach(disk.id, node)
        held = await account.detach(disk.id, world.node)
        assert held.attached_to == {world.other_node}
