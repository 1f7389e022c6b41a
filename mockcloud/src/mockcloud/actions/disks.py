"""CreateDisk, DeleteDisk, ResizeDisk."""

from __future__ import annotations

from typing import Any, Final

from mockcloud.actions.attach import check_region
from mockcloud.actions.orders import check_quota, check_room, ordered
from mockcloud.engine.engine import Engine
from mockcloud.engine.state import Disk
from mockcloud.errors import ApiError
from mockcloud.wire.params import Params

Answer = dict[str, Any]


async def create_disk(engine: Engine, params: Params) -> Answer:
    """Make a disk; it is Creating at first."""
    replay = engine.tokens.replay("CreateDisk", params)
    if replay is not None:
        return dict(replay)
    try:
        disk = ordered(engine, params)
    except ApiError:
        if engine.knobs.token_recorded_on_failure:
            engine.tokens.spend("CreateDisk", params, None)
        raise
    if not disk.snapshot_id:
        await engine.hypervisor.create(disk.serial, disk.size_gib)  # if it fails there is no disk
    engine.disks[disk.id] = disk
    answer = _answer(disk)
    engine.tokens.spend("CreateDisk", params, answer)
    if disk.snapshot_id:
        engine.later(0, disk_filled, disk.id, copies=True)
    else:
        engine.later(engine.latencies.draw("create"), disk_made, disk.id)
    return dict(answer)


def _answer(disk: Disk) -> dict[str, str]:
    return {"DiskId": disk.id}


async def disk_filled(engine: Engine, disk_id: str) -> None:
    """A new disk gets its snapshot's content; one that can't is no more, and was never ordered."""
    disk = engine.disks[disk_id]
    try:
        await engine.hypervisor.restore(disk.serial, disk.snapshot_id, disk.size_gib)
    except Exception:
        del engine.disks[disk_id]
        engine.tokens.forget(_answer(disk))
        await engine.hypervisor.delete(disk.serial)
        raise
    engine.later(engine.latencies.draw("restore"), disk_made, disk.id)


async def disk_made(engine: Engine, disk_id: str) -> None:
    """A new disk is ready."""
    disk = engine.disks[disk_id]
    disk.status, disk.operation = "Available", ""


async def delete_disk(engine: Engine, params: Params) -> Answer:
    """Destroy a disk that nothing holds; it vanishes at once."""
    check_region(engine, params)
    disk_id = params.required("DiskId")
    if disk_id not in engine.disks and engine.knobs.delete_unknown == 200:  # noqa: PLR2004 - HTTP
        return {}
    disk = engine.disk(disk_id)
    if engine.clock.time() < disk.initialized_at or disk.operation == "creating":
        raise ApiError(
            403, "IncorrectDiskStatus.Initializing", "The specified disk is being initialized."
        )
    if disk.attachments or disk.operation:
        raise ApiError(
            403, engine.knobs.in_use_delete_code, "The current status of the disk is not Available."
        )
    if engine.snapshot_running(disk.id):
        raise ApiError(403, "DiskCreatingSnapshot", "A snapshot of the disk is being created.")
    del engine.disks[disk.id]
    await engine.hypervisor.delete(disk.serial)
    return {}


async def resize_disk(engine: Engine, params: Params) -> Answer:
    """Grow a disk; the machine sees the new size soon."""
    check_region(engine, params)
    disk_id = params.required("DiskId")
    params.required("NewSize")
    replay = engine.tokens.replay("ResizeDisk", params)
    if replay is not None:
        return dict(replay)
    disk = engine.disk(disk_id)
    size_gib = params.integer("NewSize")
    _check_resizable(engine, params, disk)
    _check_new_size(disk, size_gib)
    check_quota(engine, disk.category, disk.zone, size_gib - disk.size_gib)
    check_room(engine, size_gib)
    disk.size_gib = size_gib
    answer = {"OrderId": ""}
    engine.tokens.spend("ResizeDisk", params, answer)
    engine.later(engine.latencies.draw("resize_device"), size_shown, disk.id)
    return dict(answer)


async def size_shown(engine: Engine, disk_id: str) -> None:
    """The machine sees a disk's new size."""
    disk = engine.disks.get(disk_id)
    if disk is not None:
        await engine.hypervisor.resize(disk.serial, disk.size_gib)


def _check_resizable(engine: Engine, params: Params, disk: Disk) -> None:
    how = params.text("Type", "offline")
    if how not in ("online", "offline"):
        raise ApiError(400, "InvalidParam.Type", "The specified Type is not valid.")
    if engine.clock.time() < disk.initialized_at:
        raise ApiError(400, "LastOrderProcessing", "The previous order is still processing.")
    if disk.operation:
        raise ApiError(403, "IncorrectDiskStatus", "The current status of the disk forbids this.")
    if engine.snapshot_running(disk.id):
        raise ApiError(403, "DiskCreatingSnapshot", "A snapshot of the disk is being created.")
    holders = [engine.instance(one.instance_id) for one in disk.attachments]
    if how == "online" and any(one.status != "Running" for one in holders):
        raise ApiError(403, "InvalidInstanceStatus.NotRunning", "The instance is not running.")
    if how == "online" and disk.category == "cloud":
        raise ApiError(
            403, "InvalidDiskCategory.NotSupported", "The category can't be resized online."
        )
    if any(not one.accepts for one in holders):
        raise ApiError(
            403, "IncorrectInstanceStatus", "The current status of the instance forbids this."
        )


def _check_new_size(disk: Disk, size_gib: int) -> None:
    if size_gib < disk.size_gib:
        raise ApiError(
            403, "InvalidDiskSize.TooSmall", "The new size is less than the current one."
        )
    if size_gib == disk.size_gib:
        raise ApiError(403, "InvalidDiskSize", "The new size equals the current one.")
    if size_gib > disk.kind.max_gib:
        raise ApiError(
            403, "InvalidDiskSize.TooLarge", "The new size is above the category's most."
        )


EFFECTS: Final = (disk_filled, disk_made, size_shown)
