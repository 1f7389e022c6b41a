"""A device that was proved to be a disk stays that disk until it is mounted or handed over."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from diskcsi.host.linux import devices
from diskcsi.host.linux.devices import LinuxDevices
from diskcsi.host.linux.filesystems import LinuxFilesystems
from diskcsi.host.linux.mounts import LinuxMounts
from diskcsi.model.blank import DeviceFacts
from diskcsi.model.errors import DiskError, Pending, Unreachable, WrongState
from diskcsi.node.deps import NodeDeps
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


class Judging(LinuxDevices):
    """Waits for no detach after it has judged."""

    replug: Replug

    async def facts(self, device: Device) -> DeviceFacts:
        found = await super().facts(device)
        self.replug()
        return found


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


@pytest.mark.parametrize("step", ["judge", "format", "mount", "bind"])
async def test_another_disk_never_gets_the_number_of_one_that_is_being_staged(
    node: Machine, step: str
) -> None:
    """It would be formatted, mounted or handed over under the name of the one that was judged."""
    disk, other = node.plug("judged"), node.plug("other")
    if step in ("mount", "bind"):
        await node.filesystems.make(disk.device, "ext4", None)
    await node.filesystems.make(other.device, "ext4", None)
    before = other.digest()
    replug = Replug(disk, other.image)
    detach(other.image)
    stager = Stager(deps=_with(node, step, replug), foreign=node.stager._foreign)
    await stager.stage(disk.stage(node.staging, block=step == "bind"))
    assert (replug.passed_on, digest_of(other.image)) == (False, before)
    assert len(node.mounts()) == 1


def _with(node: Machine, step: str, replug: Replug) -> NodeDeps:
    """What the rules are given, with the step at which the disk goes."""
    if step == "judge":
        devices = Judging(identity=node.identity(), own_paths=("/",), wait_s=1.0, random=Random(1))
        devices.replug = replug
        return replace(node.deps, devices=devices)
    if step == "format":
        filesystems = Formatting(may_grow_ext=False, tool_s=50.0)
        filesystems.replug = replug
        return replace(node.deps, filesystems=filesystems)
    return replace(node.deps, mounts=Mounting(replug))


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


@pytest.mark.parametrize(
    ("code", "what"),
    [
        (errno.ENXIO, Pending),
        (errno.EIO, Pending),
        (errno.EMFILE, Unreachable),
        (errno.EPERM, WrongState),
    ],
)
async def test_what_keeps_a_device_from_being_held_decides_whether_it_is_waited_for(
    node: Machine, monkeypatch: pytest.MonkeyPatch, code: int, what: type[DiskError]
) -> None:
    """A disk that goes comes again; a right that is missing does not."""

    def refuse(_: Device) -> None:
        raise OSError(code, os.strerror(code))

    device = node.plug("held", 64).device
    monkeypatch.setattr(devices, "_opened", refuse)
    with pytest.raises(DiskError, match="can't be held") as refused:
        async with node.devices.held(device):
            pass
    assert refused.type is what
