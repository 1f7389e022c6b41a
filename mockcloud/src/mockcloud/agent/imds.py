"""The machine's metadata service, at the address that it has on the real cloud."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
from aiohttp import web

from mockcloud.agent.address import of_this_machine
from mockcloud.agent.devices import Unable

ANSWER_S: Final = 5.0
PASSED_ON: Final = (
    "X-aliyun-ecs-metadata-token", "X-aliyun-ecs-metadata-token-ttl-seconds", "X-Forwarded-For",
)  # fmt: skip


@contextlib.asynccontextmanager
async def serving(*, address: str, port: int, server: str, instance: str) -> AsyncIterator[None]:
    """While the block runs, who asks the address is answered by the server, for this instance.

    Raises:
        Unable: the address or the port can't be had.
    """
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as http:

        async def passed_on(request: web.Request) -> web.Response:
            url = f"{server}/_imds/{instance}/latest/{request.match_info['path']}"
            headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
            try:
                async with http.request(request.method, url, headers=headers) as answer:
                    return web.Response(status=answer.status, body=await answer.read())
            except (aiohttp.ClientError, TimeoutError):
                return web.Response(status=503, text="503 - Service Unavailable")

        app = web.Application()
        app.router.add_route("*", "/latest/{path:.*}", passed_on)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            with of_this_machine(address):
                await _listen(runner, address, port)
                try:
                    yield
                finally:
                    await runner.cleanup()
        finally:
            await runner.cleanup()


async def _listen(runner: web.AppRunner, address: str, port: int) -> None:
    try:
        async with asyncio.timeout(ANSWER_S):
            await web.TCPSite(runner, address, port).start()
    except OSError as error:
        raise Unable(
            f"the metadata service can't listen on {address}:{port}: {error.strerror}; end what"
            " listens there, or choose another --metadata-address"
        ) from error
