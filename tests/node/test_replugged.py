"""A disk goes and another comes while the first is being staged."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from diskcsi.model.errors import WrongState
from diskcsi.node.requests import Stage
from tests.node.machine import OTHER_SERIAL, RAW, RAW_PUBLISH, RAW_STAGE, SERIAL, STAGE, Machine


async def begun(
    node: Machine, work: Coroutine[None, None, None], *, until: str
) -> tuple[asyncio.Task[None], asyncio.Event]:
    """Work that waits where it calls the machine by this name, and what lets it go on."""
    go_on = node.host.hold(until)
    task = asyncio.create_task(work)
    await asyncio.sleep(1)  # until it waits
    assert node.host.calls[-1] == until
    return task, go_on


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
    staging, go_on = await begun(node, node.stager.stage(request_), until=step)
    node.host.unplug(goes)
    comes = node.host.plug(OTHER_SERIAL, filesystem=filesystem)
    go_on.set()
    with pytest.raises(WrongState):
        await staging
    assert (comes.done, node.host.mounted) == ([], [])


async def test_a_raw_device_whose_number_was_passed_on_since_it_was_staged_is_not_shown(
    node: Machine,
) -> None:
    """What is bound at the staging path is a number, and nobody held the device since."""
    goes = node.host.plug(SERIAL)
    await node.stager.stage(RAW_STAGE)
    publishing, go_on = await begun(node, node.publisher.publish(RAW_PUBLISH), until="held")
    node.host.unplug(goes)
    assert node.host.plug(OTHER_SERIAL).number == goes.number
    go_on.set()
    with pytest.raises(WrongState, match="which is not volume"):
        await publishing
    assert [mount.path for mount in node.host.mounted] == [RAW]


async def test_a_raw_device_that_comes_while_another_is_shown_gets_another_number(
    node: Machine,
) -> None:
    """From its serial to its bind it is held."""
    goes = node.host.plug(SERIAL)
    await node.stager.stage(RAW_STAGE)
    publishing, go_on = await begun(node, node.publisher.publish(RAW_PUBLISH), until="bind")
    node.host.unplug(goes)
    comes = node.host.plug(OTHER_SERIAL)
    go_on.set()
    await publishing
    assert comes.number != goes.number
