"""The machine's metadata service, at the address that it has on the real cloud.

There it must hide no real one: it is looked for before the address is taken.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Never
from urllib.parse import quote

import aiohttp
from aiohttp import web

from mockcloud.agent.address import hold, of_this_machine, on_loopback
from mockcloud.agent.connections import to_server
from mockcloud.agent.devices import Unable

ANSWER_S: Final = 5.0
CONNECT_S: Final = 1.0
"""A real service is on the machine's own host: it takes a connection within milliseconds."""

HOLD_S: Final = 2.0
"""Between looks whether the address is still ours: a former agent removes it at its late end."""

FORMER_ENDS_S: Final = 30.0
"""How long whoever listens gets to end: twice what a pod of the chart gets."""

TRY_S: Final = 0.2
HIDES_NOTHING: Final = "127.100.100.200"
TOKEN: Final = "X-aliyun-ecs-metadata-token"  # noqa: S105 - a header's name
TTL: Final = f"{TOKEN}-ttl-seconds"
PASSED_ON: Final = (TOKEN, TTL, "X-Forwarded-For")
FOUND: Final = 200
DENIED: Final = (401, 403)
PERHAPS_LATER: Final = (*DENIED, 429, 500, 503)
"""A service's own words while it can't answer. Others are somebody else's, such as a proxy's that
answers for every address (404), or finds no such host (502)."""

PROOFS: Final = 3
PROOF_PAUSE_S: Final = 2.0
INSTANCE: Final = re.compile(r"[a-z]+-[0-9a-zA-Z]{8,64}")
"""The form of a machine's id. A proxy or a portal that answers in everybody's place has another."""


async def prove_free(
    address: str, port: int, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """See that no metadata service answers there, over whatever route leads there.

    An address of the loopback interface itself is a former agent's, which may be dead or still
    ending: no real service is reached behind it. Whoever takes connections and won't say what he is
    counts as a real one, which may be throttled or still starting.

    Args:
        pause: waits that many seconds; a test gives one that doesn't.

    Raises:
        Unable: one does; this is a machine of a cloud, and ours would hide it from all programs.
    """
    if on_loopback(address):
        return
    timeout = aiohttp.ClientTimeout(total=ANSWER_S, sock_connect=CONNECT_S)
    for number in range(PROOFS):
        if number:
            await pause(PROOF_PAUSE_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            found = await _found_at(http, f"http://{address}:{port}/latest")
        if not found.who and not found.unsure:
            return
        if found.who:
            break
    what = (
        f"says that this is instance {found.who}" if found.who
        else f"doesn't say what it is ({found.unsure})"
    )  # fmt: skip
    raise Unable(
        f"a metadata service answers at {address}:{port} already, and {what}: the mock's would hide"
        f" it from everything on this machine; serve it where it hides nothing, with"
        f" --metadata-address {HIDES_NOTHING} (agent.metadataAddress of the chart), or serve none,"
        ' with --metadata-address ""'
    )


async def serve(
    *, address: str, port: int, server: str, instance: str, patience_s: float = FORMER_ENDS_S
) -> Never:
    """Let the server answer who asks the address, for this instance, until cancelled.

    Then nobody listens there, and the address is gone.

    Args:
        patience_s: how long to wait for another that listens there; a former agent ends soon.

    Raises:
        Unable: the address or the port can't be had.
    """
    async with to_server(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as http:
        app = _application(http, f"{server}/_imds/{instance}/latest")
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        with of_this_machine(address):
            await runner.setup()
            try:
                listener = await _bound(address, port, patience_s)
                await web.SockSite(runner, listener).start()
                while True:
                    await asyncio.sleep(HOLD_S)
                    hold(address)
            finally:
                await runner.cleanup()


def _application(http: aiohttp.ClientSession, base: str) -> web.Application:
    async def passed_on(request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if ".." in path.split("/"):  # what else might lead elsewhere is quoted below
            return web.Response(status=404, text="404 - Not Found")
        url = f"{base}/{quote(path)}"
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        try:
            async with http.request(request.method, url, headers=headers) as answer:
                return web.Response(status=answer.status, body=await answer.read())
        except (aiohttp.ClientError, TimeoutError):
            return web.Response(status=503, text="503 - Service Unavailable")

    app = web.Application()
    app.router.add_route("*", "/latest/{path:.*}", passed_on)
    return app


async def _bound(address: str, port: int, patience_s: float) -> socket.socket:
    log, loop = logging.getLogger(__name__), asyncio.get_running_loop()
    began = loop.time()
    waits = False
    while True:
        hold(address)  # who ends removes it, perhaps just now
        try:
            return socket.create_server((address, port))
        except OSError as error:
            passing = error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
            if not passing or loop.time() - began >= patience_s:
                raise Unable(
                    f"the metadata service can't listen on {address}:{port}: {error.strerror}; end"
                    " what listens there, or choose another --metadata-address"
                ) from error
        if not waits:
            log.info("somebody listens on %s:%d; waiting for its end", address, port)
        waits = True
        await asyncio.sleep(TRY_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is at an address: `who`, or why that can't be told; neither where there is no service."""

    who: str = ""
    unsure: str = ""


async def _found_at(http: aiohttp.ClientSession, base: str) -> _Found:
    try:
        status, said = await _asked(http, "GET", f"{base}/meta-data/instance-id", {})
        if status in DENIED:  # it wants a token, which not every network lets through
            status, token = await _asked(http, "PUT", f"{base}/api/token", {TTL: "60"})
            if status == FOUND:
                headers = {TOKEN: token}
                status, said = await _asked(http, "GET", f"{base}/meta-data/instance-id", headers)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        return _Found()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return _Found(unsure=str(error) or "it takes connections and is silent")
    if status == FOUND and INSTANCE.fullmatch(said):
        return _Found(who=said)
    return _Found(unsure=f"HTTP {status}" if status in PERHAPS_LATER else "")


async def _asked(
    http: aiohttp.ClientSession, method: str, url: str, headers: dict[str, str]
) -> tuple[int, str]:
    async with http.request(method, url, headers=headers, allow_redirects=False) as answer:
        return answer.status, (await answer.text()).strip()
