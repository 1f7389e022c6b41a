"""A disk goes and another comes while the first is being staged."""

from __future__ import annotations

import asyncio

import pytest

from diskcsi.model.errors import WrongState
from diskcsi.node.requests import Stage
from tests.node.machine import OTHER_SERIAL, RAW_STAGE, SERIAL, STAGE, Machine


@pytest.mark.parametrize(
    ("request_", "step", "filesystem"),
    [
        pytest.param(STAGE, "make", "", id="format"),
        pytest.param(STAGE, "mount", "ext4", id="mount"),
        pytest.param(RAW_STAGE, "bind", "", id="raw"),
    ],
)
async def test_a_disk_that_comes_while_another_goes_is_not_taken_for_it(
    node: Machine, request_: Stage, step: str, filesystem: str
) -> None:
    """The kernel gives a number again as soon as nobody has it open."""
    goes = node.host.plug(SERIAL, filesystem=filesystem)
    go_on = node.host.hold(step)
    staging = asyncio.create_task(node.stager.stage(request_))
    await asyncio.sleep(1)  # until it waits
    node.host.unplug(goes)
    comes = node.host.plug(OTHER_SERIAL, filesystem=filesystem)
    go_on.set()
    with pytest.raises(WrongState):
        await staging
    assert (comes.done, node.host.mounted) == ([], [])
