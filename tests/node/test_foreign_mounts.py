"""What is mounted at a path of ours and is not ours."""

from __future__ import annotations

import pytest

from diskcsi.model.errors import AlreadyExists
from diskcsi.ports.host import Mount
from tests.node.machine import STAGE, STAGING, Machine


async def test_a_living_mount_of_a_foreign_device_is_not_taken_away(node: Machine) -> None:
    """A device that this machine may not use, such as a partition, is not a lost one."""
    node.host.plug("one")
    node.host.foreign.add("8:1")
    foreign = Mount(path=STAGING, number="8:1", fs_type="ext4")
    node.host.mounted.append(foreign)
    with pytest.raises(AlreadyExists):
        await node.stager.stage(STAGE)
    assert foreign in node.host.mounted
