"""Disks on their way to machines and back, in tests."""

from __future__ import annotations

from account import Account, G
from mockcloud.engine.world import Machine
from mockcloud.hypervisor.base import Busy, NoHypervisor
from typing_extensions import override

REGIONAL = {"DiskCategory": "cloud_regional_disk_auto", "ZoneId": None}
SHARED = {"MultiAttach": "Enabled"}


class Noted(NoHypervisor):
    """Notes what appears on machines and goes; a machine may hold on to its devices."""

    def __init__(self) -> None:
        self.there: set[tuple[str, str]] = set()
        self.held = False

    @override
    async def attach(self, serial: str, instance_id: str, *, nvme: bool) -> None:
        self.there.add((serial, instance_id))

    @override
    async def detach(self, serial: str, instance_id: str) -> None:
        if self.held and (serial, instance_id) in self.there:
            raise Busy
        self.there.discard((serial, instance_id))


async def attach(here: Account, disk_id: str, instance_id: str, **more: object) -> None:
    """Begin to attach."""
    await here.call("AttachDisk", DiskId=disk_id, InstanceId=instance_id, **more)


async def no_attach(here: Account, disk_id: str, instance_id: str, **more: object) -> str:
    """Status and code of an attach that must be refused."""
    return await here.refused("AttachDisk", DiskId=disk_id, InstanceId=instance_id, **more)


async def detach(here: Account, disk_id: str, instance_id: str) -> None:
    """Begin to detach."""
    await here.call("DetachDisk", DiskId=disk_id, InstanceId=instance_id)


async def no_detach(here: Account, disk_id: str, instance_id: str) -> str:
    """Status and code of a detach that must be refused."""
    return await here.refused("DetachDisk", DiskId=disk_id, InstanceId=instance_id)


async def held(here: Account, disk_id: str) -> list[str]:
    """The machines that hold a disk, as a search shows them."""
    shown = (await here.disk(disk_id)).get("Attachments", {"Attachment": []})
    return [one["InstanceId"] for one in shown["Attachment"]]


def parallel(what: str) -> Machine:
    """A machine that is tagged for parallel work."""
    return Machine(id="i-many", zone=G, tags={f"supportConcurrency{what}": "true"})
