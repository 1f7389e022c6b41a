"""The HTTP port: metrics, and the two questions that a supervisor asks.

`/healthz` tells only whether this process and its socket answer: a supervisor restarts the process
when they don't, and a restart mends no cloud. `/readyz` tells whether the cloud can be used.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from diskcsi.telemetry.metrics import Metrics

CHECK_S: Final = 2.0
"""A check's time; below the three seconds that Kubernetes' liveness sidecar waits."""

Check = Callable[[], Awaitable[None]]
"""Returns when all is well; else raises, and the error's text is the answer."""


@asynccontextmanager
async def serving(
    *, listener: socket.socket, metrics: Metrics, healthy: Check, ready: Check
) -> AsyncIterator[None]:
    """Serve who comes to `listener` while the block runs; it is closed then."""

    async def show_metrics(request: web.Request) -> web.Response:  # noqa: ARG001
        return web.Response(body=metrics.render(), headers={"Content-Type": metrics.content_type})

    def answering(check: Check) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:  # noqa: ARG001
            reason = await _why_not(check)
            return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

        return answer

    app = web.Application()
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/healthz", answering(healthy))
    app.router.add_get("/readyz", answering(ready))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()


async def _why_not(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_S):
            await check()
    except TimeoutError:
        return f"no answer in {CHECK_S:g} s"
    except Exception as error:  # noqa: BLE001 - whatever ails it is the answer
        return str(error) or type(error).__name__
    return ""
