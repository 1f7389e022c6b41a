"""The composition root: opens every resource, wires the rules by hand, and drains on SIGTERM.

One stack owns the resources and one task group owns the tasks. They close in the opposite order:
the socket first, which lets running calls end; then the work that nobody listens to any more; then
the cloud's connections.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import Random
from typing import Any, Final

from diskcsi.aio.flights import Flights
from diskcsi.aio.limiter import Priority, Slots
from diskcsi.aio.locks import KeyedLock
from diskcsi.controller.attach import Attacher
from diskcsi.controller.create import VolumeCreator
from diskcsi.controller.delete import VolumeDeleter
from diskcsi.controller.deps import Deps, Timing
from diskcsi.controller.disks import DiskReader
from diskcsi.controller.expand import VolumeExpander
from diskcsi.controller.snapshots import Snapshotter
from diskcsi.controller.validate import VolumeValidator
from diskcsi.edge import server
from diskcsi.edge.controller import ControllerRules, ControllerService
from diskcsi.edge.guard import Guard
from diskcsi.edge.identity import IdentityService
from diskcsi.edge.node import NodeRules, NodeService
from diskcsi.edge.services import services
from diskcsi.host.linux.devices import LinuxDevices
from diskcsi.host.linux.filesystems import LinuxFilesystems, may_grow_mounted_ext
from diskcsi.host.linux.identity import Identity
from diskcsi.host.linux.mounts import LinuxMounts
from diskcsi.model.capabilities import Capability
from diskcsi.model.ids import NodeId
from diskcsi.node.deps import NodeDeps
from diskcsi.node.expand import NodeExpander
from diskcsi.node.info import NodeInformer
from diskcsi.node.publish import Publisher
from diskcsi.node.stage import Stager
from diskcsi.node.stats import StatsReader
from diskcsi.ports.cloud import CallObserver, CloudCall, CloudProvider
from diskcsi.ports.provider import AnyProvider, NodeSlots, Rules
from diskcsi.settings import Settings, SettingsError
from diskcsi.telemetry import logging
from diskcsi.telemetry.calls import note_call
from diskcsi.telemetry.metrics import Metrics

NO_HTTP: Final = -1
"""The port that stands for "serve no HTTP"."""

START_ERRORS: Final = (SettingsError, server.SocketInUse, ValueError, OSError)
"""What may keep a process from starting, and its operator can mend."""

Check = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one process serves: the driver's settings, the provider, and the provider's own."""

    settings: Settings
    provider: AnyProvider
    provider_settings: Any

    @property
    def driver_name(self) -> str:
        """The CSI driver name: the operator's, else the provider's."""
        return self.settings.driver or self.provider.driver_name


class _Stopped(Exception):  # noqa: N818 - the way out of the task group, not an error
    """Everything has drained: what still runs is cut off."""


def driver_version() -> str:
    """The installed version; `unknown` when run from a source tree that was never installed."""
    try:
        return version("diskcsi")
    except PackageNotFoundError:
        return "unknown"


def run(plan: Plan) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        SocketInUse: another process serves on the socket.
        ValueError: the provider can't work with its settings.
    """
    import uvloop  # late: only server processes need it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_signal(plan))


async def _until_signal(plan: Plan) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(plan, stop)


async def serve(plan: Plan, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain; the resources are closed on return."""
    settings = plan.settings
    logging.configure(level=settings.log_level, form=settings.logging_format)
    try:
        async with asyncio.TaskGroup() as tasks:
            await _serve(plan, stop, tasks)
            raise _Stopped  # noqa: TRY301 - it ends the group
    except* _Stopped:
        logging.logger().info("stopped")


async def _serve(plan: Plan, stop: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
    settings, loop = plan.settings, asyncio.get_running_loop()
    metrics = Metrics()
    flights = Flights(tasks=tasks)
    metrics.gauge("diskcsi_flights_running", "Changes that run now.", lambda: flights.running)
    guard = Guard(metrics=metrics, now=loop.time)
    rules = plan.provider.rules(plan.provider_settings)
    checks: list[Check] = []
    stopped_s = loop.time()
    async with AsyncExitStack() as stack:
        cloud: CloudProvider | None = None
        if settings.run_controller_service:
            cloud = await stack.enter_async_context(
                plan.provider.open_cloud(plan.provider_settings, _observer(metrics))
            )
            checks.append(cloud.check)
        node: NodeRules | None = None
        if settings.run_node_service:
            node = await _node(plan, rules, flights, stack)
            checks.append(node.informer.info)
        ready = _all_of(checks)
        served = services(
            identity=IdentityService(
                name=plan.driver_name,
                version=driver_version(),
                expand=cloud is None or Capability.EXPAND in cloud.capabilities,
                check=ready,
            ),
            controller=ControllerService(rules=_controller(plan, cloud, rules, flights, tasks))
            if cloud
            else None,
            node=NodeService(rules=node) if node else None,
        )
        path = Path(settings.socket_path)
        async with server.serving(
            path=path, services=served, guard=guard, drain_s=settings.drain_s
        ):
            await _serve_http(settings, metrics, ready, path, stack)
            logging.logger().info(
                "serving", endpoint=settings.endpoint, driver=plan.driver_name,
                provider=plan.provider.name, controller=cloud is not None, node=node is not None,
            )  # fmt: skip
            await stop.wait()
            stopped_s = loop.time()
        left_s = max(settings.drain_s - (loop.time() - stopped_s), 0.0)
        if left := await flights.drain(grace_s=left_s):
            logging.logger().warning("changes still run at the end of the grace", running=left)


async def _serve_http(
    settings: Settings,
    metrics: Metrics,
    ready: Callable[[], Awaitable[None]],
    path: Path,
    stack: AsyncExitStack,
) -> None:
    if settings.http_port == NO_HTTP:
        return
    from diskcsi.telemetry import http  # late: it imports an HTTP server, Identity need not wait

    port = await stack.enter_async_context(
        http.serving(
            host=settings.http_host,
            port=settings.http_port,
            metrics=metrics,
            healthy=lambda: server.answers(path),
            ready=ready,
        )
    )
    logging.logger().info("serving metrics and checks", address=f"{settings.http_host}:{port}")


def _controller(
    plan: Plan, cloud: CloudProvider, rules: Rules, flights: Flights, tasks: asyncio.TaskGroup
) -> ControllerRules:
    random = Random()
    deps = Deps(
        cloud=cloud,
        rules=rules,
        disks=DiskReader(cloud=cloud, tasks=tasks, random=random),
        flights=flights,
        slots=_slots(rules.slots),
        volumes=KeyedLock(),
        random=random,
        timing=Timing(flight_s=plan.settings.flight_s),
    )
    return ControllerRules(
        creator=VolumeCreator(deps=deps),
        deleter=VolumeDeleter(deps=deps),
        attacher=Attacher(deps=deps),
        expander=VolumeExpander(deps=deps),
        validator=VolumeValidator(deps=deps),
        snapshotter=Snapshotter(deps=deps),
        capabilities=cloud.capabilities,
    )


async def _node(plan: Plan, rules: Rules, flights: Flights, stack: AsyncExitStack) -> NodeRules:
    settings = plan.settings
    source = await stack.enter_async_context(plan.provider.node_facts(plan.provider_settings))
    devices = LinuxDevices(
        identity=Identity(
            device_root=Path(settings.device_root),
            sysfs_root=Path(settings.sysfs_root),
            sources=settings.identity_sources,
        ),
        own_paths=("/", settings.kubelet_root_dir),
        wait_s=settings.device_wait_s,
        random=Random(),
    )
    deps = NodeDeps(
        devices=devices,
        filesystems=LinuxFilesystems(may_grow_ext=may_grow_mounted_ext()),
        mounts=LinuxMounts(),
        rules=rules.devices,
        flights=flights,
        volumes=KeyedLock(),
        default_fs_type=settings.default_fs_type,
        check_filesystems=not settings.disable_fs_check,
        flight_s=settings.flight_s,
    )
    stager = Stager(deps=deps)
    return NodeRules(
        stager=stager,
        publisher=Publisher(deps=deps, stager=stager),
        expander=NodeExpander(deps=deps),
        stats=StatsReader(deps=deps),
        informer=NodeInformer(
            source=source,
            devices=devices,
            mounts=deps.mounts,
            segments=rules.segments,
            volume_limit=rules.volume_limit,
            max_volumes=settings.max_volumes_per_node,
        ),
    )


def _slots(told: NodeSlots) -> Slots[NodeId]:
    if told.shared:
        return Slots.shared(told.attach)
    return Slots.separate({Priority.ATTACH: told.attach, Priority.DETACH: told.detach})


def _observer(metrics: Metrics) -> CallObserver:
    def observe(call: CloudCall) -> None:
        metrics.cloud_called(call.action, code=call.code, duration_s=call.duration_s)
        note_call(mutating=call.mutating, request_id=call.request_id)
        logging.logger().debug(
            "cloud call", action=call.action, code=call.code,
            cloud_request_id=call.request_id, duration_s=round(call.duration_s, 3),
        )  # fmt: skip

    return observe


def _all_of(checks: list[Check]) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        for one in checks:
            await one()

    return check
