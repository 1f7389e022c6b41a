"""NodeStageVolume: recognize the disk, format it only if proved blank, check, mount, grow.

Every step can be repeated: a call that finds the volume staged as asked is done. A volume that is
staged otherwise is refused, never remounted under a workload's feet.
"""

from __future__ import annotations

from diskcsi.aio.locks import KeyedLock
from diskcsi.model.blank import (
    MOUNTABLE,
    identity_doubts,
)
from diskcsi.model.capabilities import MountAccess
from diskcsi.model.errors import AlreadyExists, DiskError, InvalidArgument, Pending, WrongState
from diskcsi.model.ids import VolumeId
from diskcsi.node.deps import NodeDeps
from diskcsi.node.flags import made_for, mount_options
from diskcsi.node.foreign import ForeignDisks
from diskcsi.node.paths import is_published, raw_path, shows
from diskcsi.node.prepare import Preparer, expected
from diskcsi.node.requests import Stage
from diskcsi.ports.host import Device, Mount


class Stager:
    """Stages and unstages volumes.

    Args:
        foreign: is told which disks are none.
    """

    def __init__(self, *, deps: NodeDeps, foreign: ForeignDisks) -> None:
        self._deps = deps
        self._foreign = foreign
        self._preparer = Preparer(deps=deps)
        self._serials: KeyedLock[str] = KeyedLock()

    async def stage(self, request: Stage) -> None:
        """Make the volume ready at its staging path.

        Raises:
            InvalidArgument: the disk has no serial by which to recognize it.
            Pending: the device did not appear yet, or the volume is mounted and can't grow.
            WrongState: the device is not proved to be the disk, not proved blank, or carries
                another filesystem than asked for; nothing on it was changed. Or it can't be
                mounted or grown; then nothing is mounted.
            AlreadyExists: the volume is staged there in another way.
        """
        await self._deps.fly(
            ("stage",), request.volume_id, lambda: self._stage(request), arguments=request
        )

    async def unstage(self, volume_id: VolumeId, staging_path: str) -> None:
        """Undo the staging; nothing staged is fine.

        Raises:
            WrongState: the volume is still mounted elsewhere, or in use.
        """
        await self._deps.fly(
            ("unstage",),
            volume_id,
            lambda: self._unstage(volume_id, staging_path),
            arguments=staging_path,
        )

    async def _stage(self, request: Stage) -> None:
        access = request.capability.access
        if isinstance(access, MountAccess) and access.fs_type not in ("", *MOUNTABLE):
            raise InvalidArgument(
                f"filesystem {access.fs_type!r} is not served; allowed are {', '.join(MOUNTABLE)}"
            )
        serial = self._serial(request)
        self._foreign.is_volume(serial)
        async with self._serials.hold(serial):  # two volumes of one device come one by one
            device = await self._device(serial)
            await self._refuse_used_elsewhere(request, device)
            if isinstance(access, MountAccess):
                await self._stage_filesystem(request, device, access)
            else:
                await self._stage_raw(request, device)

    def _serial(self, request: Stage) -> str:
        serial = self._deps.rules.serial(request.volume_id, request.publish_context)
        if not serial:
            raise InvalidArgument(
                f"disk {request.volume_id} tells no serial, so its device can't be recognized",
                hint="disks made long ago have none: copy the data to a new one",
            )
        return serial

    async def _device(self, serial: str) -> Device:
        links = [pattern.format(serial=serial) for pattern in self._deps.rules.by_id_patterns]
        return await self._deps.devices.find(serial, links)

    async def _refuse_used_elsewhere(self, request: Stage, device: Device) -> None:
        """Two volumes must never share a device, whatever the serials say.

        A volume that lost its staging alone, its pods still running, may be staged again; and one
        that is staged is staged, wherever it was published.
        """
        own = await self._deps.mounts.resolve(request.staging_path)
        places = (own, raw_path(own, request.volume_id))
        mounts = await self._deps.mounts_of(device.number)
        if any(shows(mount.path, place) for mount in mounts for place in places):
            return
        for mount in mounts:
            if not is_published(mount.path):
                raise WrongState(
                    f"device {device.path} of disk {request.volume_id} is mounted at"
                    f" {mount.path}, which is not its staging path {request.staging_path}",
                    hint="another volume, or a person, uses this device: find out which one",
                )

    async def _stage_raw(self, request: Stage, device: Device) -> None:
        place = raw_path(request.staging_path, request.volume_id)
        there = await self._deps.living_mount_at(place)
        if there is not None:
            if there.raw and there.number == device.number:
                return
            raise _staged_otherwise(request, there)
        if (occupied := await self._deps.living_mount_at(request.staging_path)) is not None:
            raise _staged_otherwise(request, occupied)
        async with self._deps.devices.held(device):
            await self._hand_over(request, device, place)

    async def _hand_over(self, request: Stage, device: Device, place: str) -> None:
        """A raw device, whatever is on it, but only if it is the disk."""
        facts = await self._deps.devices.facts(device)
        if doubts := identity_doubts(facts, expected(request, self._deps.rules)):
            raise WrongState(
                f"device {device.path} is not disk {request.volume_id}: {'; '.join(doubts)}"
            )
        await self._deps.marks.forget(request.volume_id)  # it is the workload's from here
        await self._deps.mounts.make_file(place)
        await self._deps.mounts.bind(device.path, place, read_only=False)

    async def _stage_filesystem(self, request: Stage, device: Device, access: MountAccess) -> None:
        there = await self._deps.living_mount_at(request.staging_path)
        if there is not None:
            _refuse_other_staging(request, access, there, device)
            await self._grow_staged(request, device, there)
            return
        raw = await self._deps.living_mount_at(raw_path(request.staging_path, request.volume_id))
        if raw is not None:
            raise _staged_otherwise(request, raw)
        async with self._deps.devices.held(device):
            await self._prepare_and_mount(request, device, access)

    async def _prepare_and_mount(self, request: Stage, device: Device, access: MountAccess) -> None:
        fs_type = await self._preparer.prepare(request, device, access.fs_type)
        options = mount_options(
            access.mount_flags, fs_type=fs_type, read_only=request.capability.mode.read_only
        )
        await self._deps.marks.forget(request.volume_id)
        await self._deps.mounts.make_directory(request.staging_path)
        await self._deps.mounts.mount(device, request.staging_path, fs_type, options)
        if "ro" not in options:
            await self._grow_or_undo(device, fs_type, request.staging_path)

    async def _grow_staged(self, request: Stage, device: Device, there: Mount) -> None:
        """An earlier call may have ended between mounting and growing."""
        if there.read_only:
            return
        try:
            await self._grow_mounted(device, there.fs_type, there.path)
        except DiskError as failure:  # a final one would say that nothing is mounted
            raise Pending(
                f"volume {request.volume_id} is staged, and its filesystem can't grow: {failure}"
            ) from failure

    async def _grow_or_undo(self, device: Device, fs_type: str, path: str) -> None:
        try:
            await self._grow_mounted(device, fs_type, path)
        except DiskError as failure:
            try:
                await self._deps.mounts.unmount(path)
            except DiskError as stuck:
                raise Pending(f"{failure}; and {path} stays mounted: {stuck}") from failure
            raise

    async def _grow_mounted(self, device: Device, fs_type: str, path: str) -> None:
        filesystems = self._deps.filesystems
        if filesystems.can_grow_mounted(fs_type) and await filesystems.needs_growth(
            device, fs_type
        ):
            await filesystems.grow(device, fs_type, path)

    async def _unstage(self, volume_id: VolumeId, staging_path: str) -> None:
        await self._deps.marks.forget(volume_id)
        raw = raw_path(staging_path, volume_id)
        for place in (raw, staging_path):
            while (there := await self._deps.mount_at(place)) is not None:
                await self._refuse_unstage_in_use(volume_id, there)
                await self._deps.mounts.unmount(place)
        await self._deps.mounts.remove(raw)

    async def _refuse_unstage_in_use(self, volume_id: VolumeId, staged: Mount) -> None:
        """The disk is detached next, and whoever still writes would lose it."""
        for mount in await self._deps.mounts_of(staged.number):
            if not shows(mount.path, staged.path):
                raise WrongState(
                    f"volume {volume_id} is still mounted at {mount.path}",
                    hint="unpublish it there first",
                )


def _refuse_other_staging(
    request: Stage, access: MountAccess, there: Mount, device: Device
) -> None:
    if there.number != device.number or there.raw:
        raise _staged_otherwise(request, there)
    if not made_for(access, there, read_only=request.capability.mode.read_only):
        raise _staged_otherwise(request, there)


def _staged_otherwise(request: Stage, there: Mount) -> AlreadyExists:
    what = "a raw device" if there.raw else f"{there.fs_type} of device {there.number}"
    return AlreadyExists(
        f"{there.path} holds {what} with {','.join(sorted(there.options))}, which is not what"
        f" is asked for volume {request.volume_id}",
        hint="unstage it first",
    )
