from __future__ import annotations

import asyncio

import pytest

from diskcsi.aio.progress import Work
from tests.controller.rig import MOUNT, Rig, gib

PATIENCE_S = 14


async def told(rig: Rig, call: object) -> str:
    """What a caller of this hears whose time is over, in the words of the flight that it joined."""
    what = Work("call")
    with what.current():
        task = rig.begin(call)
    await asyncio.sleep(PATIENCE_S)
    words = what.waits_for()
    task.cancel()
    return words


async def test_an_attach_behind_a_detach_that_hangs_names_that_detach(rig: Rig) -> None:
    """The pod's own disk is well; another one of the node has to be looked at."""
    hanging, wanted = rig.given_disk("hanging").id, rig.given_disk("wanted").id
    await rig.attach(hanging)
    rig.cloud.state.latency.detach_s = 60.0
    detach = rig.begin(rig.detach(hanging))
    await asyncio.sleep(1)
    words = await told(rig, rig.attach(wanted))
    assert words == (
        "attach of disk-wanted to node-1 isn't done after 14 s; it waits for its turn on node-1,"
        " after detach of disk-hanging from node-1 (15 s); it goes on, and the next call joins it"
    )
    await detach


async def test_a_detach_that_hangs_tells_what_the_cloud_says(rig: Rig) -> None:
    """The state, and who holds the disk: what an operator would look up."""
    disk = rig.given_disk().id
    await rig.attach(disk)
    rig.cloud.state.latency.detach_s = 60.0
    words = await told(rig, rig.detach(disk))
    assert "the cloud says disk disk-given is detaching, attached to node-1;" in words


async def test_an_operation_on_a_disk_that_is_busy_names_the_other_one(rig: Rig) -> None:
    """A claim that is grown while its disk is on its way to a node."""
    disk = rig.given_disk().id
    rig.cloud.state.latency.attach_s = 60.0
    attach = rig.begin(rig.attach(disk))
    await asyncio.sleep(1)
    words = await told(rig, rig.expander.expand(disk, gib(30), MOUNT))
    assert "it waits for attach of disk-given to node-1 (15 s);" in words
    await attach


@pytest.mark.parametrize("action", ["create_disk", "find_disks"])
async def test_a_creation_that_is_throttled_tells_the_cloud_s_refusal(
    rig: Rig, action: str
) -> None:
    """With its code and request, whether a change or a read was refused."""
    rig.cloud.faults.throttle(action, times=1000)
    words = await told(rig, rig.create())
    assert words.startswith(
        "creation of volume pvc-1 isn't done after 14 s; the last try was told:"
    )
    rig.cloud.faults.clear()


async def test_a_snapshot_that_is_being_cut_is_told_by_its_id(rig: Rig) -> None:
    """It can be looked up in the cloud's console."""
    disk = rig.given_disk().id
    rig.cloud.state.latency.cut_s = 60.0
    words = await told(rig, rig.snapshot(disk))
    assert "the cloud still cuts snapshot " in words
