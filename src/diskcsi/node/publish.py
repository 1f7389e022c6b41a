"""NodePublishVolume: show a staged volume at the path of one workload.

A volume whose staging was lost, as after a restart of the machine under a running kubelet, is
staged again first: the request carries all that is needed, and kubelet would not ask for it.
"""

from __future__ import annotations

from diskcsi.model.capabilities import MountAccess
from diskcsi.model.errors import AlreadyExists, WrongState
from diskcsi.model.ids import VolumeId
from diskcsi.node.deps import NodeDeps
from diskcsi.node.flags import made_for
from diskcsi.node.paths import raw_path, shows
from diskcsi.node.requests import Publish, Stage
from diskcsi.node.stage import Stager
from diskcsi.ports.host import Device, Mount


class Publisher:
    """Publishes and unpublishes volumes."""

    def __init__(self, *, deps: NodeDeps, stager: Stager) -> None:
        self._deps = deps
        self._stager = stager

    async def publish(self, request: Publish) -> None:
        """Show the volume at the target path.

        Read-only holds for filesystems. The kernel lets a raw device be written through a node
        that can't change itself; for those the container runtime keeps the promise.

        Raises:
            WrongState: no staging path is given, another disk is staged there, or another
                target holds a volume that only one may have.
            AlreadyExists: the target shows something else, or in another way.
        """
        if not request.staging_path:
            raise WrongState("staging_target_path is required: this driver stages volumes")
        if not await self._deps.is_alive_at(_source(request)):
            await self._stager.stage(
                Stage(
                    volume_id=request.volume_id,
                    staging_path=request.staging_path,
                    capability=request.capability,
                    publish_context=request.publish_context,
                    volume_context=request.volume_context,
                )
            )
        await self._deps.fly(
            ("publish at", request.target_path),
            request.volume_id,
            lambda: self._publish(request),
            arguments=request,
        )

    async def unpublish(self, volume_id: VolumeId, target_path: str) -> None:
        """Take the volume away from the target path, and remove the path.

        Raises:
            WrongState: a process still uses it, or the path holds files of its own.
        """
        await self._deps.fly(
            ("unpublish at", target_path), volume_id, lambda: self._unpublish(target_path)
        )

    async def _publish(self, request: Publish) -> None:
        staged, device = await self._staged(request)
        if (there := await self._deps.living_mount_at(request.target_path)) is not None:
            _refuse_other_target(request, staged, there)
            return
        if not request.capability.mode.many_targets:
            await self._refuse_second_target(request, staged)
        if request.capability.block:
            async with self._deps.devices.held(device):
                await self._device(request, staged)  # until then its number may have been passed on
                await self._deps.mounts.make_file(request.target_path)
                await self._show(request)
        else:
            await self._deps.mounts.make_directory(request.target_path)
            await self._show(request)

    async def _show(self, request: Publish) -> None:
        await self._deps.mounts.bind(
            _source(request), request.target_path, read_only=_read_only(request)
        )

    async def _staged(self, request: Publish) -> tuple[Mount, Device]:
        """What is staged, and its device, which has said that it is this volume."""
        staged = await self._deps.mount_at(_source(request))
        if staged is None:
            raise WrongState(f"volume {request.volume_id} is not staged at {request.staging_path}")
        return staged, await self._device(request, staged)

    async def _device(self, request: Publish, staged: Mount) -> Device:
        device = await self._deps.device_of(request.volume_id, staged, request.publish_context)
        if device is None:
            raise WrongState(
                f"{staged.path} shows device {staged.number}, which is not volume"
                f" {request.volume_id}",
                hint="nothing was published; unstage the volume and stage it again",
            )
        return device

    async def _refuse_second_target(self, request: Publish, staged: Mount) -> None:
        others = [
            mount.path
            for mount in await self._deps.mounts_of(staged.number)
            if not shows(mount.path, staged.path)
        ]
        if others:
            raise WrongState(
                f"volume {request.volume_id} is published at {others[0]}, and access mode"
                f" {request.capability.mode} allows one target only"
            )

    async def _unpublish(self, target_path: str) -> None:
        while await self._deps.mount_at(target_path) is not None:
            await self._deps.mounts.unmount(target_path)
        await self._deps.mounts.remove(target_path)


def _source(request: Publish) -> str:
    if request.capability.block:
        return raw_path(request.staging_path, request.volume_id)
    return request.staging_path


def _read_only(request: Publish) -> bool:
    return request.read_only or request.capability.mode.read_only


def _refuse_other_target(request: Publish, staged: Mount, there: Mount) -> None:
    if there.number != staged.number or there.raw != staged.raw:
        raise AlreadyExists(
            f"{there.path} shows device {there.number}, not volume {request.volume_id}"
        )
    if there.read_only != (_read_only(request) or staged.read_only):
        raise AlreadyExists(
            f"{there.path} shows volume {request.volume_id}"
            f" {'read-only' if there.read_only else 'writable'}, which is not what is asked for"
        )
    access = request.capability.access
    if isinstance(access, MountAccess) and not made_for(access, there, read_only=there.read_only):
        raise AlreadyExists(
            f"{there.path} shows volume {request.volume_id} with another filesystem or other"
            " mount flags than asked for"
        )
