"""A server with agents goes on where it ended, as to the disks that a machine does not let go."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mockcloud.hypervisor.agent import AgentHypervisor
from mockcloud.hypervisor.base import Busy, Known
from mockcloud.hypervisor.loopdev import LoopDevices

pytestmark = pytest.mark.host

FROZEN, OTHER = "i-frozen", "i-other"
SERIAL = "bp1restart"


@contextmanager
def mounted(hypervisor: AgentHypervisor, nodes: Path) -> Iterator[None]:
    """The disk's device as a mount has it: for itself."""
    (shown,) = hypervisor.shown()["devices"]
    number = int(shown["device"].removeprefix("loop"))
    descriptor = LoopDevices(nodes=nodes).open(number, os.O_RDWR | os.O_EXCL)
    try:
        yield
    finally:
        os.close(descriptor)


@pytest.fixture
async def attached(tmp_path: Path) -> AsyncIterator[AgentHypervisor]:
    """A server with one disk at a machine whose agent does not answer."""
    hypervisor = AgentHypervisor(root=tmp_path)
    await hypervisor.power(FROZEN, on=False)
    await hypervisor.create(SERIAL, 1)
    await hypervisor.attach(SERIAL, FROZEN, nvme=False)
    yield hypervisor
    await hypervisor.close()


async def test_a_disk_that_is_not_let_go_stays_so_after_a_restart(
    attached: AgentHypervisor, tmp_path: Path
) -> None:
    """It was on its way off its machine, which had it open: no other machine may have it yet."""
    known = Known(held={SERIAL: [FROZEN]}, snapshots=[], off=[FROZEN, OTHER])
    with mounted(attached, tmp_path):
        with pytest.raises(Busy):
            await attached.detach(SERIAL, FROZEN)
        told = attached.told()
        await attached.close()
        restarted = AgentHypervisor(root=tmp_path)
        await restarted.adopt(told, known)
        with pytest.raises(Busy, match="is mounted somewhere"):
            await restarted.detach(SERIAL, FROZEN)
    await restarted.detach(SERIAL, FROZEN)
    await restarted.attach(SERIAL, OTHER, nvme=False)
    assert [one["wanted_on"] for one in restarted.shown()["devices"]] == [[OTHER]]
    await restarted.close()
