"""A device that was proved to be a disk stays that disk until it is mounted or handed over."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from diskcsi.host.linux.filesystems import LinuxFilesystems
from diskcsi.host.linux.mounts import LinuxMounts
from diskcsi.model.errors import Pending, WrongState
from diskcsi.node.stage import Stager
from diskcsi.ports.host import Device
from tests.host.loops import Disk, Machine, detach, digest_of

pytestmark = pytest.mark.host


class Replug:
    """Takes a disk away when a step is reached, and offers its number to another one."""

    def __init__(self, leaves: Disk, comes: Path) -> None:
        self.leaves = leaves
        self.comes = comes
        self.passed_on: bool | None = None

    def __call__(self) -> None:
        """As a detach by hand and the next attach do."""
        detach(self.leaves.image)
        command = ["losetup", self.leaves.path, str(self.comes)]
        done = subprocess.run(command, check=False, capture_output=True)
        self.passed_on = done.returncode == 0


class Formatting(LinuxFilesystems):
    """Waits for no detach before it formats."""

    replug: Replug

    async def make(self, device: Device, fs_type: str, options: Sequence[str] | None) -> None:
        self.replug()
        await super().make(device, fs_type, options)


class Mounting(LinuxMounts):
    """Waits for no detach before it mounts or binds."""

    def __init__(self, replug: Replug) -> None:
        super().__init__()
        self._replug = replug

    async def mount(self, device: Device, path: str, fs_type: str, options: Sequence[str]) -> None:
        self._replug()
        await super().mount(device, path, fs_type, options)

    async def bind(self, source: str, path: str, *, read_only: bool) -> None:
        self._replug()
        await super().bind(source, path, read_only=read_only)


@pytest.mark.parametrize("step", ["format", "mount", "bind"])
async def test_another_disk_never_gets_the_number_of_one_that_is_being_staged(
    node: Machine, step: str
) -> None:
    """It would be formatted, mounted or handed over under the name of the one that was judged."""
    disk, other = node.plug("judged"), node.plug("other")
    if step != "format":
        await node.filesystems.make(disk.device, "ext4", None)
    await node.filesystems.make(other.device, "ext4", None)
    before = other.digest()
    replug = Replug(disk, other.image)
    if step == "format":
        filesystems = Formatting(may_grow_ext=False, tool_s=50.0)
        filesystems.replug = replug
        deps = replace(node.deps, filesystems=filesystems)
    else:
        deps = replace(node.deps, mounts=Mounting(replug))
    detach(other.image)
    stager = Stager(deps=deps, foreign=node.stager._foreign)
    with suppress(Pending, WrongState):
        await stager.stage(disk.stage(node.staging, block=step == "bind"))
    assert replug.passed_on is False
    assert digest_of(other.image) == before


async def test_a_device_whose_number_went_to_another_before_it_was_judged_is_refused(
    node: Machine,
) -> None:
    """What was found a moment ago may be gone by now."""
    disk = node.plug("found", 64)
    gone = replace(disk.device, number="7:1048575")
    with pytest.raises(Pending, match="can't be held: it is not the one that was found"):
        async with node.devices.held(gone):
            pass


async def test_a_device_that_went_since_it_was_found_is_waited_for(node: Machine) -> None:
    """The next call looks for it anew."""
    gone = replace(node.plug("went", 64).device, path=str(node.directory / "dev" / "nothing"))
    with pytest.raises(Pending, match="nothing can't be held: No such file"):
        async with node.devices.held(gone):
            pass
