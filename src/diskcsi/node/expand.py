"""NodeExpandVolume: let the filesystem fill a device that the controller has grown."""

from __future__ import annotations

from diskcsi.model.errors import NotFound, Pending, WrongState
from diskcsi.node.deps import NodeDeps
from diskcsi.node.paths import raw_path
from diskcsi.node.requests import Expand
from diskcsi.ports.host import Device, Mount


class NodeExpander:
    """Grows filesystems."""

    def __init__(self, *, deps: NodeDeps) -> None:
        self._deps = deps

    async def expand(self, request: Expand) -> int:
        """Grow what is on the device; the device's size in bytes.

        Raises:
            NotFound: the volume is not at this path.
            Pending: the kernel still sees the former size.
            WrongState: this filesystem can't be grown while it is mounted here.
        """
        return await self._deps.fly(
            ("expand",), request.volume_id, lambda: self._expand(request), arguments=request
        )

    async def _expand(self, request: Expand) -> int:
        mount = await self._mount(request)
        device = await self._deps.device_of(request.volume_id, mount)
        if device is None:
            raise NotFound(f"what is at {mount.path} is not volume {request.volume_id}")
        if device.size_bytes < request.capacity.required_bytes:
            raise Pending(
                f"device {device.path} has {device.size_bytes} bytes, and"
                f" {request.capacity.required_bytes} are wanted: the kernel sees no growth yet"
            )
        if not mount.raw:
            await self._grow(request, device)
        return device.size_bytes

    async def _mount(self, request: Expand) -> Mount:
        places = [request.volume_path]
        if request.staging_path:
            places += [request.staging_path, raw_path(request.staging_path, request.volume_id)]
        for place in places:
            if (mount := await self._deps.mount_at(place)) is not None:
                return mount
        raise NotFound(f"volume {request.volume_id} is not at {request.volume_path}")

    async def _grow(self, request: Expand, device: Device) -> None:
        """Through a mount that may write; where there is none, nobody can use more room."""
        filesystems = self._deps.filesystems
        mounts = await self._deps.mounts_of(device.number)
        writable = next((mount for mount in mounts if not mount.read_only), None)
        if writable is None or not await filesystems.needs_growth(device, writable.fs_type):
            return
        if not filesystems.can_grow_mounted(writable.fs_type):
            raise WrongState(
                f"volume {request.volume_id} holds {writable.fs_type}, which only a process with"
                " CAP_SYS_RESOURCE may grow while it is mounted, and this one lacks it",
                hint="it grows when the volume is staged the next time, as after its pod moved",
            )
        await filesystems.grow(device, writable.fs_type, writable.path)
