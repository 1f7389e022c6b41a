"""Wires the rules to the adapters by hand: the second half of the start.

`app` imports it when the socket answers already, since most of a start's time goes into importing
what this module names.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from diskcsi.aio.flights import Flights
from diskcsi.aio.limiter import Priority, Slots
from diskcsi.aio.locks import KeyedLock
from diskcsi.aio.looks import LastLook, SharedLook
from diskcsi.controller.attach import Attacher
from diskcsi.controller.create import VolumeCreator
from diskcsi.controller.delete import VolumeDeleter
from diskcsi.controller.deps import Deps, Timing
from diskcsi.controller.disks import DiskReader
from diskcsi.controller.expand import VolumeExpander
from diskcsi.controller.snapshots import Snapshotter
from diskcsi.controller.validate import VolumeValidator
from diskcsi.edge.controller import ControllerRules, ControllerService
from diskcsi.edge.identity import PluginFacts
from diskcsi.edge.node import NodeRules, NodeService
from diskcsi.edge.registration import Registrar, Registration, RegistrationService, registering
from diskcsi.edge.server import answers
from diskcsi.edge.services import Halves
from diskcsi.host.linux.devices import LinuxDevices
from diskcsi.host.linux.filesystems import LinuxFilesystems, may_grow_mounted_ext
from diskcsi.host.linux.foreign import LinuxForeignNotes
from diskcsi.host.linux.identity import Identity
from diskcsi.host.linux.kubelet import LinuxKubeletRecords
from diskcsi.host.linux.marks import LinuxMarks
from diskcsi.host.linux.mounts import LinuxMounts
from diskcsi.model.capabilities import Capability
from diskcsi.model.ids import NodeId
from diskcsi.node.deps import NodeDeps
from diskcsi.node.expand import NodeExpander
from diskcsi.node.foreign import ForeignDisks
from diskcsi.node.info import NodeInformer
from diskcsi.node.publish import Publisher
from diskcsi.node.stage import Stager
from diskcsi.node.stats import StatsReader
from diskcsi.ports.cloud import CallObserver, CloudCall, CloudProvider
from diskcsi.ports.node_facts import NodeFactsSource
from diskcsi.ports.provider import NodeSlots, Rules
from diskcsi.settings import Plan, Settings, SettingsError
from diskcsi.telemetry import http, logging
from diskcsi.telemetry.calls import note_call
from diskcsi.telemetry.metrics import Metrics

Check = Callable[[], Awaitable[object]]

TOOL_SHARE: Final = 0.9
"""Of a flight's budget, for the longest tool in it: mkfs, fsck, growth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the start had to wait for."""

    halves: Halves
    plugin: PluginFacts
    metrics: Metrics
    registrar: Registrar | None
    ready: LastLook


async def build(
    plan: Plan, flights: Flights, tasks: asyncio.TaskGroup, resources: AsyncExitStack
) -> Parts:
    """Open what `plan` needs and wire it; `resources` closes it.

    Raises:
        ValueError: the provider can't work with its settings.
    """
    settings = plan.settings
    metrics = Metrics()
    metrics.gauge("diskcsi_flights_running", "Changes that run now.", lambda: flights.running)
    rules = plan.provider.rules(plan.provider_settings)
    slots = _slots(rules.slots)
    metrics.gauge(
        "diskcsi_node_changes_waiting", "Attaches and detaches that wait for their node.",
        lambda: slots.statistics().waiting,
    )  # fmt: skip
    checks: list[Check] = []
    cloud: CloudProvider | None = None
    if settings.run_controller_service:
        cloud = await resources.enter_async_context(
            plan.provider.open_cloud(plan.provider_settings, _observer(metrics))
        )
        checks.append(SharedLook(look=cloud.check, tasks=tasks))
    node: NodeRules | None = None
    if settings.run_node_service:
        node = await _node(plan, rules, flights, resources)
        # with kubelet's own registrar nobody else would take notice of disks that come and stay
        look = node.informer.look if settings.registration_dir else node.informer.watch
        checks.append(SharedLook(look=look, tasks=tasks))
    registrar = (
        _registrar(plan, node, metrics, tasks) if node and settings.registration_dir else None
    )
    return Parts(
        halves=Halves(
            controller=ControllerService(
                rules=_controller(plan, cloud, rules, flights, slots, tasks)
            )
            if cloud
            else None,
            node=NodeService(rules=node) if node else None,
        ),
        plugin=PluginFacts(
            expand=cloud is None or Capability.EXPAND in cloud.capabilities, check=_all_of(checks)
        ),
        metrics=metrics,
        registrar=registrar,
        ready=_ready(checks, registrar, metrics),
    )


def _ready(checks: list[Check], registrar: Registrar | None, metrics: Metrics) -> LastLook:
    """What `/readyz` asks; the number tells its last answer, so that reading it costs no call."""
    ready = LastLook(_all_of([*checks, *([registrar.registration.check] if registrar else [])]))
    metrics.gauge(
        "diskcsi_ready", "1 while the last answer of /readyz was well.", lambda: float(ready.well)
    )
    return ready


def _registrar(
    plan: Plan, node: NodeRules, metrics: Metrics, tasks: asyncio.TaskGroup
) -> Registrar:
    settings = plan.settings
    registration = Registration(
        path=Path(settings.registration_dir) / f"{plan.driver_name}-reg.sock",
        answered=lambda: node.informer.answered,
        refusal=metrics.counter(
            "diskcsi_registration_refusals", "Registrations that kubelet refused."
        ),
    )
    metrics.gauge(
        "diskcsi_registered", "1 while kubelet knows the driver.",
        lambda: float(registration.registered),
    )  # fmt: skip
    return Registrar(
        service=RegistrationService(
            driver=plan.driver_name,
            endpoint=Path(settings.socket_path),
            registration=registration,
        ),
        registration=registration,
        tasks=tasks,
        look=node.informer.watch,
        staged=node.informer.staged,
    )


@asynccontextmanager
async def registered(parts: Parts) -> AsyncIterator[None]:
    """Keep the node registered with kubelet while the block runs, if that is ours to do."""
    if parts.registrar is None:
        yield
        return
    async with registering(parts.registrar):
        yield


async def serve_http(
    listener: socket.socket, settings: Settings, parts: Parts, resources: AsyncExitStack
) -> None:
    """Serve metrics and checks to who comes to `listener`, until `resources` closes."""
    serving = http.serving(
        listener=listener,
        metrics=parts.metrics,
        healthy=lambda: answers(Path(settings.socket_path)),
        ready=parts.ready,
    )
    await resources.enter_async_context(serving)
    host, port, *_ = listener.getsockname()
    logging.logger().info("serving metrics and checks", address=f"{host}:{port}")


def _controller(  # noqa: PLR0917 - one caller, right above
    plan: Plan,
    cloud: CloudProvider,
    rules: Rules,
    flights: Flights,
    slots: Slots[NodeId],
    tasks: asyncio.TaskGroup,
) -> ControllerRules:
    random = Random()
    deps = Deps(
        cloud=cloud,
        rules=rules,
        disks=DiskReader(cloud=cloud, tasks=tasks, random=random),
        flights=flights,
        slots=slots,
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
    source = await stack.enter_async_context(await _facts_source(plan, stack))
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
    # beside the socket: kubelet keeps that directory when the plug-in's pod is replaced
    kept = Path(settings.socket_path).parent
    deps = NodeDeps(
        devices=devices,
        filesystems=LinuxFilesystems(
            may_grow_ext=may_grow_mounted_ext(), tool_s=TOOL_SHARE * settings.flight_s
        ),
        mounts=LinuxMounts(),
        marks=LinuxMarks(directory=kept / "formatting"),
        rules=rules.devices,
        flights=flights,
        volumes=KeyedLock(),
        default_fs_type=settings.default_fs_type,
        check_filesystems=not settings.disable_fs_check,
        flight_s=settings.flight_s,
    )
    foreign = ForeignDisks(notes=LinuxForeignNotes(path=kept / "foreign-disks.json"))
    stager = Stager(deps=deps, foreign=foreign)
    return NodeRules(
        stager=stager,
        publisher=Publisher(deps=deps, stager=stager),
        expander=NodeExpander(deps=deps),
        stats=StatsReader(deps=deps),
        informer=NodeInformer(
            source=source,
            devices=devices,
            mounts=deps.mounts,
            records=LinuxKubeletRecords(
                root=Path(settings.kubelet_root_dir), driver=plan.driver_name
            ),
            foreign=foreign,
            serial=rules.devices.serial,
            segments=rules.segments,
            volume_limit=rules.volume_limit,
            volume_limit_hint=rules.volume_limit_hint,
            max_volumes=settings.max_volumes_per_node,
        ),
    )


async def _facts_source(
    plan: Plan, stack: AsyncExitStack
) -> AbstractAsyncContextManager[NodeFactsSource]:
    settings, provider = plan.settings, plan.provider
    if not settings.node_labels:
        return provider.node_facts(plan.provider_settings)
    if provider.node_facts_in_cluster is None:
        logging.logger().warning(
            "node_labels has no effect: this provider knows no node by its Node object",
            provider=provider.name,
        )
        return provider.node_facts(plan.provider_settings)
    if not settings.kube_api_host:
        raise SettingsError(
            "node_labels needs the address of Kubernetes: set KUBERNETES_SERVICE_HOST and"
            " KUBERNETES_SERVICE_PORT, which every pod has"
        )
    from diskcsi.cluster.client import open_cluster  # late: few nodes need it

    cluster = await stack.enter_async_context(
        open_cluster(
            host=settings.kube_api_host,
            port=settings.kube_api_port,
            account=Path(settings.service_account_dir),
            node_name=settings.kube_node_name,
        )
    )
    return provider.node_facts_in_cluster(plan.provider_settings, cluster)


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
