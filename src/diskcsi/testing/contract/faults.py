"""Faults: a lost reply is an unknown outcome, and a throttled call changed nothing."""

from __future__ import annotations

import pytest

from diskcsi.model.capabilities import Capability
from diskcsi.model.errors import Throttled
from diskcsi.ports.cloud import CloudProvider
from diskcsi.testing.contract.world import (
    Account,
    Chapter,
    FaultMaker,
    World,
    all_of_its_tests,
    is_available,
)


@all_of_its_tests(pytest.mark.needs_faults)
class FaultPromises(Chapter):
    """What every method promises when something goes wrong."""

    @pytest.fixture
    def faults(self, world: World) -> FaultMaker:
        """Causes them; without one the test was skipped."""
        assert world.faults is not None
        return world.faults

    async def test_a_lost_reply_to_an_order_is_told_as_unknown(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """There may be a disk now, and its name finds it."""
        spec = account.spec()
        assert await account.loses_reply("create_disk", lambda: cloud.create_disk(spec))
        found = await account.until(lambda: cloud.find_disks(spec.name), bool)
        assert len(found) == 1

    async def test_an_order_after_a_lost_reply_gives_that_disk(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """The repeat doesn't make a second one."""
        spec = account.spec()
        assert await account.loses_reply("create_disk", lambda: cloud.create_disk(spec))
        volume_id = await account.done(lambda: cloud.create_disk(spec))
        await account.see(volume_id, is_available)
        assert [one.id for one in await cloud.find_disks(spec.name)] == [volume_id]

    async def test_a_lost_reply_to_an_attach_is_told_as_unknown(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """A read tells that the node holds the disk."""
        disk = await account.make()
        assert await account.loses_reply(
            "attach_disk", lambda: cloud.attach_disk(disk.id, world.node)
        )
        held = await account.see(disk.id, lambda seen: bool(seen.attached_to))
        assert held.attached_to == {world.node}

    async def test_a_lost_reply_to_a_detach_is_told_as_unknown(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """A read tells that the disk is free."""
        disk = await account.make()
        await account.attach(disk.id, world.node)
        assert await account.loses_reply(
            "detach_disk", lambda: cloud.detach_disk(disk.id, world.node)
        )
        free = await account.see(disk.id, lambda seen: not seen.attached_to)
        assert free.attached_to == frozenset()

    async def test_a_lost_reply_to_a_delete_is_told_as_unknown(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """A read tells that the disk is gone."""
        disk = await account.make()
        assert await account.loses_reply("delete_disk", lambda: cloud.delete_disk(disk.id))
        gone = await account.until(lambda: account.disk(disk.id), lambda seen: seen is None)
        assert gone is None

    @pytest.mark.needs(Capability.EXPAND)
    async def test_a_lost_reply_to_a_resize_is_told_as_unknown(
        self, cloud: CloudProvider, account: Account, world: World
    ) -> None:
        """A read tells that the disk has grown."""
        disk = await account.make()
        assert await account.loses_reply(
            "resize_disk", lambda: cloud.resize_disk(disk.id, world.larger_gib)
        )
        grown = await account.see(disk.id, lambda seen: seen.size_gib != world.size_gib)
        assert grown.size_gib == world.larger_gib

    @pytest.mark.needs(Capability.SNAPSHOTS)
    async def test_a_lost_reply_to_a_snapshot_is_told_as_unknown(
        self, cloud: CloudProvider, account: Account
    ) -> None:
        """There may be a snapshot now, and its name finds it."""
        disk = await account.source()
        spec = account.snapshot_spec(disk.id)
        assert await account.loses_reply("create_snapshot", lambda: cloud.create_snapshot(spec))
        found = await account.until(lambda: cloud.find_snapshots(spec.name), bool)
        assert len(found) == 1

    @pytest.mark.needs(Capability.THROTTLES)
    async def test_a_throttled_read_says_so(
        self, cloud: CloudProvider, account: Account, faults: FaultMaker
    ) -> None:
        """It is not an absence."""
        disk = await account.make()
        faults.throttle("get_disks")
        with pytest.raises(Throttled):
            await cloud.get_disks([disk.id])

    @pytest.mark.needs(Capability.THROTTLES)
    async def test_a_throttled_order_makes_nothing(
        self, cloud: CloudProvider, account: Account, faults: FaultMaker
    ) -> None:
        """It was not executed, and says so."""
        spec = account.spec()
        faults.throttle("create_disk")
        with pytest.raises(Throttled):
            await cloud.create_disk(spec)
        assert list(await cloud.find_disks(spec.name)) == []
