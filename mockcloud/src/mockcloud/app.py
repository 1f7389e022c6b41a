"""Puts a cloud together and serves it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from math import isfinite
from random import Random
from typing import Any, Final

from aiohttp import web

from mockcloud.actions import ACTIONS, EFFECTS, Actor
from mockcloud.agents import Channel, this_boot
from mockcloud.engine.clock import Clock, RealClock, Schedule, utc
from mockcloud.engine.engine import Engine
from mockcloud.engine.latency import Latencies, Range
from mockcloud.engine.memory import Memory
from mockcloud.engine.world import WorldConfig
from mockcloud.faults import Fault, Faults
from mockcloud.hypervisor.agent import AgentHypervisor
from mockcloud.hypervisor.base import Hypervisor, NoHypervisor
from mockcloud.metadata import Metadata
from mockcloud.wire.auth import Authenticator
from mockcloud.wire.calls import CallLog
from mockcloud.wire.gateway import Gateway

MAX_LINE_BYTES: Final = 128 * 1024
"""Of a request's first line: an old SDK puts every parameter there, and 20 long tags make 35 KB."""

MAX_BODY_BYTES: Final = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """A cloud in this process, for its server and for tests.

    Attributes:
        port: where it answers, on the host that was asked for.
    """

    engine: Engine
    faults: Faults
    calls: CallLog
    auth: Authenticator
    port: int


@contextlib.asynccontextmanager
async def serving(
    *,
    config: WorldConfig,
    latencies: dict[str, Range],
    hypervisor: Hypervisor | None = None,
    clock: Clock | None = None,
    seed: int = 1,
    host: str = "127.0.0.1",
    port: int = 0,
    memory: Memory | None = None,
    agent_token: Callable[[], str] | None = None,
) -> AsyncIterator[Cloud]:
    """Serve a cloud while the block runs; afterwards nothing of it is left on the machine.

    With a clock that is given, nothing happens by itself: the caller moves time. With a memory, the
    cloud goes on where it ended, and its disks stay.

    Args:
        agent_token: reads what agents show, which an `AgentHypervisor` needs.
    """
    engine = _engine(config, latencies, hypervisor or NoHypervisor(), clock, seed)
    if memory is not None:
        await memory.take_up(engine, EFFECTS)
    faults, calls = Faults(), CallLog(first=memory.first_call if memory else 1)
    auth = Authenticator(
        keys={key.id: key for key in config.keys}, now=lambda: utc(engine.clock.time())
    )
    app = _application(engine, auth, faults, calls, _channel(engine, agent_token))
    runner = web.AppRunner(
        app,
        access_log=None,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
        shutdown_timeout=1.0,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        async with asyncio.TaskGroup() as tasks:
            schedules = () if clock else (engine.schedule, engine.copies)
            running = [tasks.create_task(one.run_forever()) for one in schedules]
            if memory is not None:
                running.append(tasks.create_task(memory.keep_forever(engine)))
            try:
                port = runner.addresses[0][1]
                yield Cloud(engine=engine, faults=faults, calls=calls, auth=auth, port=port)
            finally:
                await runner.cleanup()
                async with engine.schedule.at_rest():  # not amid the making of a device
                    for task in running:  # a copy is cut short, and begins anew at the next start
                        task.cancel()
    finally:
        await runner.cleanup()
        await engine.keep()
        await engine.close()


def _engine(
    config: WorldConfig,
    latencies: dict[str, Range],
    hypervisor: Hypervisor,
    clock: Clock | None,
    seed: int,
) -> Engine:
    return Engine(
        config=config,
        clock=clock or RealClock(),
        latencies=Latencies(ranges=latencies, random=Random(seed)),
        hypervisor=hypervisor,
        random=Random(seed + 1),
        copies=None if clock else Schedule(clock=RealClock()),
    )


def _channel(engine: Engine, token: Callable[[], str] | None) -> Channel | None:
    """Where agents come, if they have a part in it."""
    hypervisor = engine.hypervisor
    if not isinstance(hypervisor, AgentHypervisor) or token is None:
        return None
    return Channel(engine=engine, hypervisor=hypervisor, token=token, boot_id=this_boot())


def _application(
    engine: Engine, auth: Authenticator, faults: Faults, calls: CallLog, channel: Channel | None
) -> web.Application:
    gateway = Gateway(
        auth=auth,
        actions=frozenset(ACTIONS),
        act=Actor(engine=engine).act,
        faults=faults,
        log=calls,
    )
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    if channel is not None:
        app.add_routes(channel.routes())
        app.on_shutdown.append(channel.close)
    metadata = Metadata(engine=engine, tokens_required=engine.knobs.metadata_tokens_required)
    app.add_routes(metadata.routes())
    app.add_routes(_control_routes(engine, faults, calls))
    app.router.add_route("*", "/{path:.*}", gateway.handle)
    return app


def _control_routes(engine: Engine, faults: Faults, calls: CallLog) -> list[web.RouteDef]:
    """What tests and people ask of the mock itself; a real cloud has none of it."""

    async def show_calls(request: web.Request) -> web.Response:
        since = request.query.get("since", "0")
        if not since.isdigit():
            return _refusal("since: allowed is the number of a call")
        return web.json_response([call.told() for call in calls.since(int(since))])

    async def add_fault(request: web.Request) -> web.Response:
        try:
            fault = Fault.parse(await request.json())
            fault.check_action(ACTIONS)
            faults.add(fault)
        except (ValueError, TypeError) as error:
            return _refusal(str(error))
        return web.json_response({})

    async def clear_faults(request: web.Request) -> web.Response:  # noqa: ARG001
        faults.clear()
        return web.json_response({})

    async def show_state(request: web.Request) -> web.Response:  # noqa: ARG001
        await engine.schedule.run_due()
        return web.json_response({**_state(engine), "last_call": calls.last})

    return [
        web.get("/_mock/calls", show_calls),
        web.post("/_mock/faults", add_fault),
        web.delete("/_mock/faults", clear_faults),
        web.get("/_mock/state", show_state),
    ]


def _state(engine: Engine) -> dict[str, Any]:
    return {
        "disks": [
            {
                "id": disk.id,
                "size_gib": disk.size_gib,
                "zone": disk.zone,
                "category": disk.category,
                "status": disk.status,
                "attached_to": [one.instance_id for one in disk.attachments],
                "tags": disk.tags,
                "took_s": disk.took_s,
            }
            for disk in engine.disks.values()
        ],
        "snapshots": [
            {"id": one.id, "disk_id": one.disk_id, "status": one.status}
            for one in engine.snapshots.values()
        ],
        "instances": [
            {
                "id": one.id,
                "name": one.name,
                "zone": one.zone,
                "type": one.type_name,
                "status": one.status,
            }
            for one in engine.instances.values()
        ],
        "orders": [
            {
                "effect": one.effect,
                "about": one.about,
                "due_at": one.due_at if isfinite(one.due_at) else None,
            }
            for one in engine.orders.values()
        ],
        **engine.hypervisor.shown(),
    }


def _refusal(reason: str) -> web.Response:
    return web.json_response({"error": reason}, status=400)
