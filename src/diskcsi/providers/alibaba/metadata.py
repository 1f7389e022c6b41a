"""Who and where this machine is, by its metadata service or by settings; no cloud key is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from diskcsi.model.errors import Unreachable
from diskcsi.model.ids import NodeId
from diskcsi.ports.node_facts import NodeFacts
from diskcsi.providers.alibaba.settings import AlibabaSettings

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

WAY_OUT: Final = "set REGION_ID, ZONE_ID and --nodeid where there is no metadata service"


class MetadataFacts:
    """Facts from the metadata service; what the settings say wins.

    Where the settings tell who and where the machine is, a service that doesn't answer costs only
    what it alone knows: the disks, and the type unless that is set as well.

    Args:
        pause: waits that many seconds; a test gives one that doesn't.
    """

    def __init__(
        self,
        *,
        http: aiohttp.ClientSession,
        settings: AlibabaSettings,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._http = http
        self._settings = settings
        self._pause = pause
        self._complete = bool(settings.nodeid and settings.zone and settings.region)

    async def facts(self) -> NodeFacts:
        """Everything, asked now: disks come and go."""
        told = self._settings
        if told.metadata_off or not told.metadata_url:
            if not self._complete:
                raise Unreachable(
                    "neither settings nor metadata tell who this node is", hint=WAY_OUT
                )
            return self._of_settings()
        try:
            return await self._asked(f"{told.metadata_url}/latest")
        except Unreachable:
            if not self._complete:
                raise
            return self._of_settings()

    def _of_settings(self) -> NodeFacts:
        told = self._settings
        return NodeFacts(
            node_id=NodeId(told.nodeid),
            zone=told.zone,
            region=told.region,
            instance_type=told.instance_type,
        )

    async def _asked(self, base: str) -> NodeFacts:
        told, data = self._settings, f"{base}/meta-data"
        token = await self._ask(
            "PUT",
            f"{base}/api/token",
            {"X-aliyun-ecs-metadata-token-ttl-seconds": str(TOKEN_TTL_S)},
        )
        # a service of the first generation knows no tokens, and refuses an empty one
        headers = {"X-aliyun-ecs-metadata-token": token} if token else {}
        disks = await self._get(f"{data}/disks/", headers)
        return NodeFacts(
            node_id=NodeId(told.nodeid or await self._required(f"{data}/instance-id", headers)),
            zone=told.zone or await self._required(f"{data}/zone-id", headers),
            region=told.region or await self._required(f"{data}/region-id", headers),
            instance_type=told.instance_type
            or await self._get(f"{data}/instance/instance-type", headers)
            or "",
            attached_serials=None
            if disks is None
            else frozenset(line.strip().rstrip("/") for line in disks.splitlines() if line.strip()),
        )

    async def _required(self, url: str, headers: dict[str, str]) -> str:
        value = await self._get(url, headers)
        if not value:
            raise Unreachable(f"{url} tells nothing", hint=WAY_OUT)
        return value

    async def _get(self, url: str, headers: dict[str, str]) -> str | None:
        """A value, None when the service doesn't know the path."""
        return await self._ask("GET", url, headers)

    async def _ask(self, method: str, url: str, headers: dict[str, str]) -> str | None:
        reason = ""
        for tried in range(1 if self._complete else TRIES):
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
        raise Unreachable(f"the metadata service at {url} doesn't answer: {reason}", hint=WAY_OUT)


@asynccontextmanager
async def open_facts(settings: AlibabaSettings) -> AsyncIterator[MetadataFacts]:
    """The source of this machine's facts."""
    timeout = aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S)
    async with aiohttp.ClientSession(
        timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield MetadataFacts(http=session, settings=settings)
