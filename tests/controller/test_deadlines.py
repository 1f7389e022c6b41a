from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from diskcsi.controller.requests import ListSnapshots, Validate
from tests.controller.rig import MOUNT, NODE, SHARED_BLOCK, Rig, gib


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda rig, _: rig.create(), id="create"),
        pytest.param(lambda rig, disk: rig.deleter.delete(disk), id="delete"),
        pytest.param(lambda rig, disk: rig.attach(disk), id="attach"),
        pytest.param(lambda rig, disk: rig.attach(disk, NODE, SHARED_BLOCK), id="attach-shared"),
        pytest.param(lambda rig, disk: rig.detach(disk), id="detach"),
        pytest.param(lambda rig, disk: rig.detach(disk, None), id="detach-everywhere"),
        pytest.param(lambda rig, disk: rig.expander.expand(disk, gib(30), MOUNT), id="expand"),
        pytest.param(lambda rig, disk: rig.snapshot(disk), id="snapshot"),
        pytest.param(lambda rig, _: rig.snapshotter.delete("snap-1"), id="delete-snapshot"),
        pytest.param(lambda rig, _: rig.snapshotter.list(ListSnapshots()), id="list"),
        pytest.param(
            lambda rig, disk: rig.validator.why_not(
                Validate(volume_id=disk, capabilities=(MOUNT,))
            ),
            id="validate",
        ),
    ],
)  # fmt: skip
async def test_every_call_ends_although_the_cloud_throttles_for_ever(
    rig: Rig, call: Callable[[Rig, object], Awaitable[object]]
) -> None:
    """A caller may set no deadline; what has one of ours is not final."""
    disk = rig.given_disk()
    rig.cloud.faults.throttle("*", times=100_000)
    with pytest.raises(TimeoutError):
        await call(rig, disk.id)
    assert asyncio.get_running_loop().time() == pytest.approx(rig.deps.timing.flight_s)
