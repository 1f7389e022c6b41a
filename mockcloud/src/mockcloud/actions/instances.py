"""StartInstance, StopInstance, DeleteInstance."""

from __future__ import annotations

from typing import Any, Final

from mockcloud.actions.attach import begin_to_let_go, check_region
from mockcloud.engine.engine import Engine
from mockcloud.engine.state import Instance
from mockcloud.errors import ApiError
from mockcloud.wire.params import Params

Answer = dict[str, Any]


async def start_instance(engine: Engine, params: Params) -> Answer:
    """Begin to start a machine that is Stopped; its disks appear again."""
    instance = _in_status(engine, params, "Stopped")
    _check_dry_run(params)
    instance.status = "Starting"
    engine.later(engine.latencies.draw("start"), instance_started, instance.id)
    return {}


async def instance_started(engine: Engine, instance_id: str) -> None:
    """A machine runs."""
    if (instance := engine.instances.get(instance_id)) is not None:
        instance.status, instance.running_since = "Running", engine.clock.time()
        await engine.hypervisor.power(instance_id, on=True)


async def stop_instance(engine: Engine, params: Params) -> Answer:
    """Begin to stop a machine that is Running; its disks stay attached, and have no device."""
    instance = _in_status(engine, params, "Running")
    _check_dry_run(params)
    instance.status = "Stopping"
    engine.later(engine.latencies.draw("stop"), instance_stopped, instance.id)
    return {}


async def instance_stopped(engine: Engine, instance_id: str) -> None:
    """A machine is off."""
    if (instance := engine.instances.get(instance_id)) is not None:
        instance.status = "Stopped"
        await engine.hypervisor.power(instance_id, on=False)


async def delete_instance(engine: Engine, params: Params) -> Answer:
    """Destroy a machine; each of its disks ends with it or becomes Available, as it was attached.

    Whoever still has a device open keeps its disk Detaching.
    """
    check_region(engine, params)
    instance = engine.instance(params.required("InstanceId"))
    if instance.status != "Stopped" and not params.boolean("Force"):
        raise _wrong_status()
    _check_dry_run(params)
    del engine.instances[instance.id]
    engine.ended.add(instance.id)
    await engine.hypervisor.forget(instance.id)
    for disk in engine.disks.values():
        if disk.attached_to(instance.id) and disk.operation != "detaching":
            begin_to_let_go(engine, disk, instance.id, 0)
    return {}


def _in_status(engine: Engine, params: Params, status: str) -> Instance:
    check_region(engine, params)
    instance = engine.instance(params.required("InstanceId"))
    if instance.status != status:
        raise _wrong_status()
    return instance


def _wrong_status() -> ApiError:
    return ApiError(
        403, "IncorrectInstanceStatus", "The current status of the instance forbids this."
    )


def _check_dry_run(params: Params) -> None:
    """A trial ends before anything is done; that all is well is an error, on the real cloud too."""
    if params.boolean("DryRun"):
        raise ApiError(
            400, "DryRunOperation", "Request validation has been passed with DryRun flag set."
        )


EFFECTS: Final = (instance_started, instance_stopped)
