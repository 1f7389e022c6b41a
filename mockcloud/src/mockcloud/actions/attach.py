"""AttachDisk and DetachDisk: answered at once, done a while later, one at a time on a machine."""

from __future__ import annotations

import string
from typing import Any, Final

from mockcloud.engine.engine import Engine
from mockcloud.engine.state import Attachment, Disk, Instance
from mockcloud.errors import ApiError
from mockcloud.hypervisor.base import Busy
from mockcloud.wire.params import Params

Answer = dict[str, Any]

SHARED_MOST: Final = 16
"""Machines that may hold one multi-attach disk."""

BUSY_RETRY_S: Final = 0.5
"""Until a device that is still in use is looked at again; the disk stays Detaching meanwhile."""


async def attach_disk(engine: Engine, params: Params) -> Answer:
    """Begin to attach."""
    check_region(engine, params)
    instance_id, disk_id = params.required("InstanceId"), params.required("DiskId")
    instance, disk = engine.instance(instance_id), engine.disk(disk_id)
    forced = params.boolean("Force") and _check_force(engine, disk, instance)
    waits = disk.operation == "detaching" and engine.knobs.attach_on_detaching == "accept"
    _check_attachable(
        engine, disk, instance, held_is_fine=forced or (waits and not disk.next_instance)
    )
    _check_machine(engine, disk, instance)
    _check_keeping(params, disk)
    if waits and not forced:
        disk.next_instance = instance.id
        return {}
    _check_slot(engine, instance, "attach")
    if forced:
        _cut_off(engine, disk)
    disk.delete_with_instance = params.boolean("DeleteWithInstance")
    _begin_attach(engine, disk, instance)
    return {}


def _check_force(engine: Engine, disk: Disk, instance: Instance) -> bool:
    """Whether the disk is to be taken from the machine that holds it."""
    if not disk.kind.regional:
        raise ApiError(
            400,
            "InvalidParameterForce.DiskCategoryNotSupported",
            "Only a regional disk can be attached by force.",
        )
    if disk.multi_attach:
        raise ApiError(
            400,
            "InvalidParameterForce.MultiAttachDiskNotSupported",
            "A multi-attach disk can't be attached by force.",
        )
    holders = [engine.instances.get(one.instance_id) for one in disk.attachments]
    if any(one is not None and one.zone == instance.zone for one in holders):
        raise ApiError(
            403,
            "InvalidInstance.ZoneConflict",
            "The disk is held by an instance of the same zone; force is for another zone.",
        )
    return bool(holders)


def _check_keeping(params: Params, disk: Disk) -> None:
    """Whether the disk may, or must, end with its machine."""
    ends = params.boolean("DeleteWithInstance")
    if disk.multi_attach and ends:
        raise _ends_for_all()
    if disk.kind.ephemeral and not ends:
        raise ApiError(
            403, "InvalidParameter.DeleteWithInstance", "An ephemeral disk ends with its instance."
        )


def _ends_for_all() -> ApiError:
    return ApiError(
        403, "DeleteWithInstance.Conflict", "A multi-attach disk can't end with one instance."
    )


def check_region(engine: Engine, params: Params) -> None:
    """Refuse an unknown region where a call needs none but may be given one."""
    if "RegionId" in params and params.text("RegionId") not in engine.config.zones:
        raise ApiError(400, "InvalidRegionId.MalFormed", "The specified RegionId is not valid.")


def _check_attachable(
    engine: Engine, disk: Disk, instance: Instance, *, held_is_fine: bool
) -> None:
    shared_again = disk.multi_attach and not disk.attached_to(instance.id) and not disk.operation
    held = disk.operation == "detaching" or (disk.attachments and not shared_again)
    if disk.operation in ("creating", "attaching") or (held and not held_is_fine):
        raise ApiError(
            403, "IncorrectDiskStatus", "The current disk status does not support this operation."
        )
    if disk.zone and disk.zone != instance.zone:
        raise ApiError(
            403, "ResourcesNotInSameZone", "The specified instance and disk are not in one zone."
        )
    settles_at = instance.running_since + engine.knobs.running_but_refused_s
    if not instance.accepts or engine.clock.time() < settles_at:
        raise ApiError(
            400, "IncorrectInstanceStatus", "The current status of the instance forbids this."
        )


def _check_machine(engine: Engine, disk: Disk, instance: Instance) -> None:
    kind = instance.type
    if disk.multi_attach:
        if not kind.nvme:
            raise ApiError(
                403,
                "InvalidInstanceType.NotSupportMultiAttachDisk",
                "The instance type does not support multi-attach disks.",
            )
        if len(disk.attachments) >= SHARED_MOST:
            raise ApiError(
                403, "DiskAttachedNumberExceeded", "The disk is attached to too many instances."
            )
    if disk.category not in kind.categories:
        raise ApiError(
            403,
            "InvalidInstanceType.NotSupportDiskCategory",
            "The instance type does not support the disk category.",
        )
    system_disk = 1
    if len(list(engine.disks_on(instance.id))) + system_disk >= kind.disks:
        raise ApiError(
            403, "InstanceDiskLimitExceeded", "The instance already holds all disks it can."
        )


def _check_slot(engine: Engine, instance: Instance, what: str) -> None:
    """One change at a time, unless the machine is tagged for parallel work."""
    going_on = [engine.disks[one] for one in engine.busy[instance.id] if one in engine.disks]
    if instance.tags.get(f"supportConcurrency{what.capitalize()}") == "true":
        same = sum(one.operation == f"{what}ing" for one in going_on)
        if what == "attach" and same >= engine.knobs.parallel_attach:
            raise ApiError(400, "OperationConflict.DisksAttachingParallellyExceed")
        if what == "detach" and same >= engine.knobs.parallel_detach:
            raise ApiError(400, "DisksDetachingOnEcsExceeded")
        return
    if what == "detach" and going_on and all(one.operation == "detaching" for one in going_on):
        code = engine.knobs.detach_conflict_code
        raise ApiError(400 if code == "DisksDetachingOnEcsExceeded" else 403, code, "null")
    if going_on:
        code = engine.knobs.conflict_code
        raise ApiError(409 if code == "OperationConflict" else 403, code, "null")


def _cut_off(engine: Engine, disk: Disk) -> None:
    """Take a disk from its machines at once, whatever they do with it.

    Their device stays for as long as they use it: the files behind two loop devices are one, so
    the I/O errors that a real guest sees are the one thing that is missing here.
    """
    for one in disk.attachments:
        engine.busy[one.instance_id].discard(disk.id)
        _let_go(engine, disk, one.instance_id)
    disk.attachments, disk.operation, disk.operation_on = [], "", ""
    disk.detached_at = engine.clock.time()
    disk.turn += 1


def _let_go(engine: Engine, disk: Disk, instance_id: str) -> None:
    engine.later(0, cut_off, disk.id, instance_id)


async def cut_off(engine: Engine, disk_id: str, instance_id: str) -> None:
    """Take the device of a disk that was taken by force, once its machine lets go."""
    disk = engine.disks.get(disk_id)
    if disk is None or disk.attached_to(instance_id):
        return
    try:
        await engine.hypervisor.detach(disk.serial, instance_id)
    except Busy:
        engine.later(BUSY_RETRY_S, cut_off, disk_id, instance_id)


def _begin_attach(engine: Engine, disk: Disk, instance: Instance) -> None:
    draw = engine.latencies.draw
    takes_s = disk.took_s["attach"] = draw("attach")
    lag_s = min(draw("status_lag"), takes_s)
    disk.operation, disk.operation_on = "attaching", instance.id
    engine.busy[instance.id].add(disk.id)
    engine.later(lag_s, attach_shown, disk.id)
    engine.later(takes_s, attached, disk.id, instance.id, lag_s)


async def attach_shown(engine: Engine, disk_id: str) -> None:
    """The status tells of an attach that began."""
    disk = engine.disks[disk_id]
    if disk.operation == "attaching":
        disk.status = "Attaching"


async def attached(engine: Engine, disk_id: str, instance_id: str, lag_s: float) -> None:
    """The cloud calls the disk attached, if the machine can be reached; else it waits."""
    disk, instance = engine.disks[disk_id], engine.instances.get(instance_id)
    if instance is None:  # it was deleted meanwhile
        disk.operation, disk.operation_on, disk.status = "", "", "Available"
        return
    if not engine.hypervisor.reachable(instance_id):
        engine.later(BUSY_RETRY_S, attached, disk_id, instance_id, lag_s)
        return
    now = engine.clock.time()
    device_name = _free_device(engine, instance)
    disk.attachments.append(Attachment(instance_id=instance_id, device=device_name, at=now))
    disk.operation, disk.operation_on = "", ""
    disk.ever_attached, disk.attached_at = True, now
    engine.busy[instance_id].discard(disk_id)
    engine.later(engine.latencies.draw("device_lag"), device_appears, disk_id, instance_id)
    engine.later(lag_s, attach_settled, disk_id)


async def device_appears(engine: Engine, disk_id: str, instance_id: str) -> None:
    """The machine sees the device, once it can be brought there."""
    disk, instance = engine.disks.get(disk_id), engine.instances.get(instance_id)
    if disk is None or instance is None or not disk.attached_to(instance_id):
        return
    try:
        await engine.hypervisor.attach(disk.serial, instance_id, nvme=instance.type.nvme)
    except Busy:
        if disk.operation != "detaching":
            engine.later(BUSY_RETRY_S, device_appears, disk_id, instance_id)


async def attach_settled(engine: Engine, disk_id: str) -> None:
    """The status tells that the disk is attached."""
    disk = engine.disks.get(disk_id)
    if disk is not None and disk.attachments and not disk.operation:
        disk.status = "In_use"


def _free_device(engine: Engine, instance: Instance) -> str:
    system_disk = "/dev/xvda"
    taken = {system_disk} | {
        one.device
        for disk in engine.disks.values()
        if (one := disk.attached_to(instance.id)) is not None
    }
    letters = string.ascii_lowercase
    names = (f"/dev/xvd{first}{last}" for first in ("", *letters) for last in letters)
    return next(name for name in names if name not in taken)


async def detach_disk(engine: Engine, params: Params) -> Answer:
    """Begin to detach."""
    check_region(engine, params)
    instance_id, disk_id = params.required("InstanceId"), params.required("DiskId")
    instance, disk = engine.instance(instance_id), engine.disk(disk_id)
    _check_detachable(disk, instance)
    if disk.multi_attach and params.boolean("DeleteWithInstance"):
        raise _ends_for_all()
    _check_slot(engine, instance, "detach")
    _begin_detach(engine, disk, instance)
    return {}


def _check_detachable(disk: Disk, instance: Instance) -> None:
    if disk.kind.ephemeral:
        raise ApiError(403, "InvalidOperation.DiskCategoryUnsupported")
    if disk.operation == "detaching" and disk.operation_on == instance.id:
        raise ApiError(403, "InvalidOperation.DiskDetachingFromThisEcs")
    if disk.operation in ("attaching", "detaching"):
        raise ApiError(
            403, "IncorrectDiskStatus", "The current disk status does not support this operation."
        )
    if not disk.attachments:
        raise ApiError(404, "InvalidDisk.AlreadyDetached", "The disk has already been detached.")
    if not disk.attached_to(instance.id):
        raise ApiError(
            403, "DependencyViolation", "The disk is not attached to the specified instance."
        )
    if not instance.accepts:
        raise ApiError(
            403, "IncorrectInstanceStatus", "The current status of the instance forbids this."
        )


def _begin_detach(engine: Engine, disk: Disk, instance: Instance) -> None:
    takes_s = disk.took_s["detach"] = engine.latencies.draw("detach")
    takes_s += engine.latencies.draw("detach_stuck")
    begin_to_let_go(engine, disk, instance.id, takes_s)


def begin_to_let_go(engine: Engine, disk: Disk, instance_id: str, takes_s: float) -> None:
    """Detach a disk from a machine, which may be no more, in `takes_s` seconds."""
    disk.status, disk.operation, disk.operation_on = "Detaching", "detaching", instance_id
    engine.busy[instance_id].add(disk.id)
    engine.later(takes_s, detached, disk.id, instance_id, disk.turn)


async def detached(engine: Engine, disk_id: str, instance_id: str, turn: int) -> None:
    """The cloud calls the disk detached, if the machine has let go of it; else it waits.

    A disk that ends with its machine ends here, if the machine was deleted.
    """
    disk = engine.disks.get(disk_id)
    if disk is None or disk.turn != turn:
        return
    try:
        await engine.hypervisor.detach(disk.serial, instance_id)
    except Busy:
        engine.later(BUSY_RETRY_S, detached, disk_id, instance_id, turn)
        return
    ends = disk.delete_with_instance and instance_id not in engine.instances
    disk.attachments = [one for one in disk.attachments if one.instance_id != instance_id]
    disk.operation, disk.operation_on = "", ""
    disk.status = "In_use" if disk.attachments else "Available"
    disk.detached_at = engine.clock.time()
    disk.delete_with_instance = False
    engine.busy[instance_id].discard(disk_id)
    if ends:
        del engine.disks[disk_id]
        await engine.hypervisor.delete(disk.serial)
        return
    following = engine.instances.get(disk.next_instance)
    disk.next_instance = ""
    if following is not None:
        _begin_attach(engine, disk, following)


EFFECTS: Final = (attach_shown, attached, device_appears, attach_settled, cut_off, detached)
