"""Who and where this machine is, by its metadata service; no cloud key is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from diskcsi.model.errors import Unreachable
from diskcsi.providers.alibaba.known import Known

TOKEN_TTL_S: Final = 63
CONNECT_S: Final = 1.0
TOTAL_S: Final = 5.0
"""The service is on the machine's own host: an answer takes milliseconds or never comes."""

TRIES: Final = 5
PAUSE_S: Final = 1.0
"""It throttles, and is not up yet in a machine's first seconds."""

FOUND: Final = 200
ABSENT: Final = 404

CLIENT_MISTAKE: Final = range(400, 429)
"""Statuses after which asking again is no use."""


class Metadata:
    """The metadata service of the machine that this process runs on.

    Args:
        url: where it is.
        patient: whether a service that doesn't answer is asked again; not where others tell as
            much, since off the cloud it never comes.
        pause: waits that many seconds; a test gives one that doesn't.
    """

    def __init__(
        self,
        *,
        http: aiohttp.ClientSession,
        url: str,
        patient: bool,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = http
        self._base = f"{url}/latest"
        self._tries = TRIES if patient else 1
        self._pause = pause

    async def known(self) -> Known:
        """Everything that it tells, asked now: disks come and go.

        Raises:
            Unreachable: it doesn't answer.
        """
        data = f"{self._base}/meta-data"
        token = await self._ask(
            "PUT",
            f"{self._base}/api/token",
            {"X-aliyun-ecs-metadata-token-ttl-seconds": str(TOKEN_TTL_S)},
        )
        # a service of the first generation knows no tokens, and refuses an empty one
        headers = {"X-aliyun-ecs-metadata-token": token} if token else {}
        disks = await self._get(f"{data}/disks/", headers)
        return Known(
            node_id=await self._get(f"{data}/instance-id", headers) or "",
            zone=await self._get(f"{data}/zone-id", headers) or "",
            region=await self._get(f"{data}/region-id", headers) or "",
            instance_type=await self._get(f"{data}/instance/instance-type", headers) or "",
            attached_serials=None
            if disks is None
            else frozenset(line.strip().rstrip("/") for line in disks.splitlines() if line.strip()),
        )

    async def _get(self, url: str, headers: dict[str, str]) -> str | None:
        """A value, None when the service doesn't know the path."""
        return await self._ask("GET", url, headers)

    async def _ask(self, method: str, url: str, headers: dict[str, str]) -> str | None:
        reason = ""
        for tried in range(self._tries):
            if tried:
                await self._pause(PAUSE_S)
            try:
                async with self._http.request(
                    method, url, headers=headers, allow_redirects=False
                ) as answer:
                    if answer.status == ABSENT:
                        return None
                    if answer.status == FOUND:
                        return (await answer.text()).strip()
                    reason = f"HTTP {answer.status}"
                    if answer.status in CLIENT_MISTAKE:
                        break
            except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
                reason = str(error) or type(error).__name__
        raise Unreachable(f"{url} doesn't answer: {reason}")


@asynccontextmanager
async def http_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections with a timeout that fits a service on the machine's own host."""
    timeout = aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S)
    async with aiohttp.ClientSession(
        timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session
