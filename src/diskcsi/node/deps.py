"""What every node rule works with, and the questions that all of them ask of the mount table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from diskcsi.aio.flights import FlightConflict, Flights, Key, name_of
from diskcsi.aio.locks import KeyedLock
from diskcsi.model.errors import Broken, DiskError, Pending
from diskcsi.model.ids import VolumeId
from diskcsi.ports.host import BlockDevices, Device, Filesystems, FormatMarks, Mount, Mounts
from diskcsi.ports.provider import DeviceRules
from diskcsi.telemetry.logging import logger

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDeps:
    """The machine, its provider's device rules, and the shared machinery around them.

    Attributes:
        default_fs_type: made where a volume names none.
        check_filesystems: whether a filesystem is checked before it is mounted.
        flight_s: the budget of one operation in seconds, however many calls join it.
    """

    devices: BlockDevices
    filesystems: Filesystems
    mounts: Mounts
    marks: FormatMarks
    rules: DeviceRules
    flights: Flights
    volumes: KeyedLock[VolumeId]
    default_fs_type: str
    check_filesystems: bool
    flight_s: float

    async def fly(
        self,
        operation: Key,
        volume_id: VolumeId,
        work: Callable[[], Awaitable[Result]],
        *,
        arguments: object = None,
    ) -> Result:
        """Run `work` alone on its volume, as one flight that repeats join.

        Raises:
            Pending: the same operation runs with other arguments.
            Broken: a bug ended the work; a format, a mount or a bind may have begun.
        """
        key = (*operation, "of volume", volume_id)

        async def alone() -> Result:
            async with self.volumes.hold(volume_id):
                try:
                    return await work()
                except (DiskError, TimeoutError):
                    raise
                except Exception as bug:
                    raise Broken(f"internal error in the middle of {name_of(key)}") from bug

        try:
            return await self.flights.do(key, alone, arguments=arguments, budget_s=self.flight_s)
        except FlightConflict as conflict:
            raise Pending(str(conflict)) from conflict

    async def mount_at(self, path: str) -> Mount | None:
        """What is mounted at `path`, the topmost where there are several."""
        return topmost(await self.mounts.table(), await self.mounts.resolve(path))

    async def is_alive_at(self, path: str) -> bool:
        """Whether what is seen at `path` is a mount whose device is there; a look that changes nothing."""
        mount = await self.mount_at(path)
        return mount is not None and not await self._is_orphan(mount)

    async def living_mount_at(self, path: str) -> Mount | None:
        """What is mounted at `path`, once the mounts whose device is gone are taken away: for flights.

        Raises:
            WrongState: such a mount is still in use.
        """
        while (mount := await self.mount_at(path)) is not None and await self._is_orphan(mount):
            logger().warning("unmounting what lost its device", path=path, number=mount.number)
            await self.mounts.unmount(path)
        return mount

    async def mounts_of(self, number: str) -> Sequence[Mount]:
        """Every place where the device of this number, or the filesystem on it, is mounted."""
        return [mount for mount in await self.mounts.table() if mount.number == number]

    async def device_of(
        self, volume_id: VolumeId, mount: Mount, context: Mapping[str, str] | None = None
    ) -> Device | None:
        """The device behind a mount, None when it is gone or says that it is another disk.

        Without a publish context the serial follows from the id where the provider can tell it.
        """
        device = await self.devices.numbered(mount.number)
        if device is None:
            return None
        expected = self.rules.serial(volume_id, context or {})
        if expected and await self.devices.serial_of(device) != expected:
            return None
        return device

    async def _is_orphan(self, mount: Mount) -> bool:
        """Whether the device is gone; of a filesystem with a made-up number that can't be told."""
        made_up = mount.number.startswith("0:")
        return not made_up and not await self.devices.is_there(mount.number)


def topmost(table: Sequence[Mount], path: str) -> Mount | None:
    """The last mount of `table` at `path`, which is the one that is seen."""
    return next((mount for mount in reversed(table) if mount.path == path), None)
