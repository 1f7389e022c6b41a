"""A server with agents gives away no disk that a machine does not let go, and goes on so."""

from __future__ import annotations

import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from account import I1, Account, account
from mockcloud.actions import EFFECTS
from mockcloud.engine.memory import Memory
from mockcloud.hypervisor.agent import AgentHypervisor
from mockcloud.hypervisor.base import Busy, Known
from mockcloud.hypervisor.loopdev import LoopDevices

pytestmark = pytest.mark.host

FROZEN, OTHER = "i-frozen", "i-other"
SERIAL = "bp1restart"


@contextmanager
def opened(hypervisor: AgentHypervisor, nodes: Path, flags: int = os.O_RDONLY) -> Iterator[None]:
    """The disk's device, open as a frozen agent has it."""
    (shown,) = hypervisor.shown()["devices"]
    number = int(shown["device"].removeprefix("loop"))
    descriptor = LoopDevices(nodes=nodes).open(number, flags)
    try:
        yield
    finally:
        os.close(descriptor)


def mounted(hypervisor: AgentHypervisor, nodes: Path) -> AbstractContextManager[None]:
    """The disk's device as a mount has it: for itself."""
    return opened(hypervisor, nodes, os.O_RDWR | os.O_EXCL)


@contextmanager
def no_image(root: Path, serial: str = SERIAL) -> Iterator[None]:
    """While the block runs the disk's file is elsewhere, as on a filesystem that isn't there yet."""
    image, elsewhere = root / "disks" / f"{serial}.img", root / "elsewhere"
    image.rename(elsewhere)
    try:
        yield
    finally:
        elsewhere.rename(image)


@contextmanager
def no_file_to_open() -> Iterator[None]:
    """While the block runs this process may open nothing more."""
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (usual, most))


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


async def test_a_mounted_disk_that_cannot_be_looked_at_is_not_free(
    attached: AgentHypervisor, tmp_path: Path
) -> None:
    """To see nothing is not to see that nobody has it."""
    with mounted(attached, tmp_path), no_file_to_open(), pytest.raises(Busy):
        await attached.detach(SERIAL, FROZEN)


async def test_a_disk_that_was_let_go_of_and_cannot_be_looked_at_is_not_free(
    attached: AgentHypervisor, tmp_path: Path
) -> None:
    """A later look is no other than the first one."""
    with opened(attached, tmp_path):
        with pytest.raises(Busy):
            await attached.detach(SERIAL, FROZEN)
        with no_file_to_open(), pytest.raises(Busy):
            await attached.detach(SERIAL, FROZEN)
    await attached.detach(SERIAL, FROZEN)


async def test_a_disk_that_was_let_go_of_is_looked_at_once(
    attached: AgentHypervisor, tmp_path: Path
) -> None:
    """The cloud tries again and again, and stands still for as long as a try takes."""
    with opened(attached, tmp_path):
        with pytest.raises(Busy):
            await attached.detach(SERIAL, FROZEN)
        with pytest.raises(Busy):
            attached.detach(SERIAL, FROZEN).send(None)  # it ends without a wait


async def test_a_device_that_was_missed_at_the_start_is_not_free(
    attached: AgentHypervisor, tmp_path: Path
) -> None:
    """The detach that goes on finds it."""
    with mounted(attached, tmp_path):
        with pytest.raises(Busy):
            await attached.detach(SERIAL, FROZEN)
        told = attached.told()
        await attached.close()
        restarted = AgentHypervisor(root=tmp_path)
        with no_image(tmp_path):
            await restarted.adopt(told, Known(held={SERIAL: [FROZEN]}, snapshots=[], off=[FROZEN]))
        with pytest.raises(Busy):
            await restarted.detach(SERIAL, FROZEN)
    await restarted.detach(SERIAL, FROZEN)
    await restarted.close()


async def test_a_mount_is_seen_where_no_node_can_be_made(
    attached: AgentHypervisor, tmp_path: Path
) -> None:
    """What `/dev` says of a device counts, and not what became of another way to open it."""
    with mounted(attached, tmp_path):
        (shown,) = attached.shown()["devices"]
        number = int(shown["device"].removeprefix("loop"))
        with pytest.raises(OSError, match="Device or resource busy"):
            LoopDevices(nodes=tmp_path / "none").open(number, os.O_RDONLY | os.O_EXCL)


async def cloud_of(root: Path) -> Account:
    """The cloud of a directory, as a new process finds it."""
    here = account(hypervisor=AgentHypervisor(root=root))
    await Memory(root=root, seed=1).take_up(here.engine, EFFECTS)
    return here


def devices(here: Account) -> list[tuple[str, list[str]]]:
    """Disks that have a device, and the machines that shall have it."""
    shown = here.engine.hypervisor.shown()["devices"]
    return [(f"d-{one['serial']}", one["wanted_on"]) for one in shown]


async def test_a_device_that_cannot_be_made_at_the_start_is_made_later(tmp_path: Path) -> None:
    """The cloud calls its disk attached, and nobody would ask for it again."""
    here = await cloud_of(tmp_path)
    await here.call("StopInstance", InstanceId=I1)
    await here.passes()
    disk = await here.creates()
    await here.holds(disk, I1)
    await here.engine.keep()
    await here.engine.close()
    with no_image(tmp_path, disk.removeprefix("d-")):
        again = await cloud_of(tmp_path)
        before = devices(again)
    await again.passes(1)
    after = devices(again)
    await again.engine.close()
    assert (before, after) == ([], [(disk, [I1])])
