"""A look that hangs belongs to one attachment; its late answer tells nothing of the next one."""

from __future__ import annotations

import asyncio
import threading
from random import Random

import pytest

from diskcsi.host.linux import facts
from diskcsi.host.linux.devices import LinuxDevices
from diskcsi.ports.host import Device
from tests.host.loops import Machine
from tests.rows import row

pytestmark = pytest.mark.host


class Reattached(LinuxDevices):
    """Devices whose disk went and came back, once a test says so."""

    times = 1

    async def attachment(self, device: Device) -> str | None:
        return f"start/{self.times}"


@row("disk-vanishes-mounted")
async def test_a_look_that_hangs_is_not_shared_with_the_next_attachment(
    node: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another disk may have the path by now, and a stale "all zero" would format it."""
    device = node.plug("path", 64).device
    devices = Reattached(identity=node.identity(), own_paths=("/",), wait_s=1.0, random=Random(1))
    hung, dead, flush = threading.Event(), threading.Event(), facts._flush

    def hang(_: Device) -> bool:
        hung.set()
        return dead.wait(30)

    monkeypatch.setattr(facts, "_flush", hang)
    former = asyncio.create_task(devices.facts(device))
    await asyncio.to_thread(hung.wait)
    monkeypatch.setattr(facts, "_flush", flush)
    devices.times = 2
    async with asyncio.timeout(15):
        told = await devices.facts(device)
    answered = former.done()
    dead.set()
    await former
    assert (told.filesystem, answered) == ("", False)
