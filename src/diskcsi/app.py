"""The composition root: opens every resource, wires the rules by hand, and drains on SIGTERM.

One stack owns the resources and one task group owns the tasks. They close in the opposite order:
the socket first, which lets running calls end; then the work that nobody listens to any more; then
the cloud's connections.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from contextlib import AsyncExitStack, closing
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Final

from diskcsi.aio.flights import Flights
from diskcsi.edge import server
from diskcsi.edge.built import Built
from diskcsi.edge.guard import Guard
from diskcsi.edge.identity import IdentityService, PluginFacts
from diskcsi.edge.services import Halves, services
from diskcsi.settings import NO_HTTP, Plan, Settings, SettingsError
from diskcsi.telemetry import logging
from diskcsi.telemetry.listener import listening
from diskcsi.telemetry.meter import Meter

WIRING: Final = "diskcsi.wiring"
"""Imports the rules, the adapters and their libraries, which takes longer than all before."""

IMPORT_SWITCH_S: Final = 0.0005
"""How long that import may keep the loop waiting; Python's own five milliseconds, which each step
of an answer may have to wait, add up to a fifth of a start."""

START_ERRORS: Final = (SettingsError, server.SocketInUse, ValueError, OSError)
"""What may keep a process from starting, and its operator can mend."""


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
        Exception: as `serve`.
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
    """Serve until `stop` is set, then drain; the resources are closed on return.

    Raises:
        SettingsError: a port or address can't be used.
        SocketInUse: another process serves on the socket.
        ValueError: the provider can't work with its settings.
        OSError: the socket can't be made.
    """
    settings = plan.settings
    logging.configure(level=settings.log_level, form=settings.logging_format)
    try:
        async with asyncio.TaskGroup() as tasks:
            await _serve(plan, stop, tasks)
            raise _Stopped
    except BaseExceptionGroup as ended:
        unexpected = ended.split(_Stopped)[1]
        if unexpected is not None:
            raise _alone(unexpected) from None
        logging.logger().info("stopped")


def _alone(error: BaseException) -> BaseException:
    """The one error that a group was made for, or the group of several."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def _serve(plan: Plan, stop: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
    settings, loop = plan.settings, asyncio.get_running_loop()
    meter = Meter()
    halves: Built[Halves] = Built()
    plugin: Built[PluginFacts] = Built()
    identity = IdentityService(name=plan.driver_name, version=driver_version(), plugin=plugin)
    flights = Flights(tasks=tasks)
    stopped_s = loop.time()
    async with AsyncExitStack() as resources:
        listener = _http_listener(settings, resources)
        async with server.serving(
            path=Path(settings.socket_path),
            services=services(identity=identity, halves=halves),
            guard=Guard(counter=meter, now=loop.time),
            drain_s=settings.drain_s,
        ):
            try:
                wiring = await _imported(WIRING)
                parts = await wiring.build(plan, flights, tasks, resources)
                meter.tell_to(parts.metrics)
                halves.make_known(parts.halves)
                plugin.make_known(parts.plugin)
                if listener is not None:
                    await wiring.serve_http(listener, settings, parts, resources)
                gc.freeze()  # what was imported stays; no collection needs to look at it again
                gc.enable()
                _tell_serving(plan)
                async with wiring.registered(parts):
                    await stop.wait()
            finally:
                halves.give_up()
                plugin.give_up()
                stopped_s = loop.time()
        left_s = max(settings.drain_s - (loop.time() - stopped_s), 0.0)
        if left := await flights.drain(grace_s=left_s):
            logging.logger().warning("changes still run at the end of the grace", running=left)


def _http_listener(settings: Settings, resources: AsyncExitStack) -> socket.socket | None:
    """Take the port of metrics and checks, unless the settings say none."""
    if settings.metrics_port == NO_HTTP:
        return None
    try:
        listener = listening(settings.http_host, settings.metrics_port)
    except OSError as error:
        raise SettingsError(
            f"metrics and checks can't be served on {settings.http_host}:{settings.metrics_port}:"
            f" {error.strerror or error}; set http_host and http_port (SERVICE_HOST,"
            f" SERVICE_PORT), or port {NO_HTTP} to serve none"
        ) from error
    return resources.enter_context(closing(listener))


async def _imported(name: str) -> ModuleType:
    """Import in a thread that lets the loop have its turns: the first answers leave meanwhile."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(IMPORT_SWITCH_S)
    try:
        return await asyncio.to_thread(import_module, name)
    finally:
        sys.setswitchinterval(usual_s)


def _tell_serving(plan: Plan) -> None:
    settings = plan.settings
    logging.logger().info(
        "serving", endpoint=settings.endpoint, driver=plan.driver_name,
        provider=plan.provider.name, controller=settings.run_controller_service,
        node=settings.run_node_service,
    )  # fmt: skip
    for warning in plan.warnings:
        logging.logger().warning(warning)
