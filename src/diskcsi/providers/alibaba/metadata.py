"""Who and where this machine is, by its metadata service or by settings; no cloud key is needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
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

ABSENT: Final = 404

WAY_OUT: Final = "set REGION_ID, ZONE_ID and --nodeid where there is no metadata service"


class MetadataFacts:
    """Facts from the metadata service; what the settings say wins."""

    def __init__(self, *, http: aiohttp.ClientSession, settings: AlibabaSettings) -> None:
        self._http = http
        self._settings = settings

    async def facts(self) -> NodeFacts:
        """Everything, asked now: disks come and go."""
        told = self._settings
        if not told.metadata_url:
            return self._without_service()
        base = f"{told.metadata_url.rstrip('/')}/latest/meta-data"
        headers = {"X-aliyun-ecs-metadata-token": await self._token()}
        disks = await self._get(f"{base}/disks/", headers)
        return NodeFacts(
            node_id=NodeId(told.nodeid or await self._required(f"{base}/instance-id", headers)),
            zone=told.zone or await self._required(f"{base}/zone-id", headers),
            region=told.region or await self._required(f"{base}/region-id", headers),
            instance_type=told.instance_type
            or await self._get(f"{base}/instance/instance-type", headers)
            or "",
            attached_serials=None
            if disks is None
            else frozenset(line.strip().rstrip("/") for line in disks.splitlines() if line.strip()),
        )

    def _without_service(self) -> NodeFacts:
        told = self._settings
        if not (told.nodeid and told.zone and told.region):
            raise Unreachable("neither settings nor metadata tell who this node is", hint=WAY_OUT)
        return NodeFacts(
            node_id=NodeId(told.nodeid),
            zone=told.zone,
            region=told.region,
            instance_type=told.instance_type,
        )

    async def _token(self) -> str:
        url = f"{self._settings.metadata_url.rstrip('/')}/latest/api/token"
        ttl = {"X-aliyun-ecs-metadata-token-ttl-seconds": str(TOKEN_TTL_S)}
        return await self._ask("PUT", url, ttl) or ""

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
        for tried in range(TRIES):
            if tried:
                await asyncio.sleep(PAUSE_S)
            try:
                async with self._http.request(method, url, headers=headers) as answer:
                    if answer.status == ABSENT:
                        return None
                    if answer.ok:
                        return (await answer.text()).strip()
                    reason = f"HTTP {answer.status}"
                    if answer.status < 429:  # noqa: PLR2004 - below, asking again is no use
                        break
            except (aiohttp.ClientError, TimeoutError) as error:
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
