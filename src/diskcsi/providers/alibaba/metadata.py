"""Who and where this machine is, by its metadata service; no cloud key is needed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from diskcsi.model.errors import Unreachable
from diskcsi.providers.alibaba.known import Known
from diskcsi.providers.alibaba.shapes import INSTANCE_ID

TOKEN_TTL_S: Final = 63
ANSWER_S: Final = 1.0
"""For one question, the connection included. The service is on the machine's own host: an answer takes
milliseconds or never comes, and a second is enough for a machine that is busy with its start."""

TRIES: Final = 3
PAUSE_S: Final = 1.0
"""It throttles, and is not up yet in a machine's first seconds. Silence costs three answers and two
pauses, five seconds, at the question for a token already: after that nothing else is asked. With more,
pods would wait for a node that never had such a service, and who has nobody else to ask looks again."""

FIRST_S: Final = 6.0
"""For a whole look, until it has told: five seconds of tries, the rest is for its answers."""

LATER_S: Final = 1.25
"""For a whole look, once it has told or others have: there is something to go by, and a check of
readiness waits a second and a half. One try in silence, or two where the first is refused at once."""

TOKEN: Final = re.compile(r"[!-;=?-z|~]+")
"""What a header can carry, without the signs of markup; ECS describes no form of its tokens."""

PROSE: Final = re.compile(r"[<\s]")

PLACE: Final = re.compile(r"[a-z]+(-[a-z0-9]+)+")
"""Of a region or a zone. Off the cloud a portal or a proxy answers at any address, and mostly with success:
what tells who the machine is must look like it."""

SHOWN: Final = 60
"""Characters of another answer that a message quotes: they tell whose it is."""

FOUND: Final = 200
ABSENT: Final = 404

CLIENT_MISTAKE: Final = range(400, 429)
"""Statuses after which asking again is no use."""


class Metadata:
    """The metadata service of the machine that this process runs on.

    Args:
        url: where it is.
        patient: whether a service that doesn't answer is asked again until it has told. Where others
            tell as much it is so the first time only, and not at a place where nothing listens,
            since off the cloud it never comes; a label or a setting may be another machine's.
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
        self._patient = patient
        self._tries = TRIES
        self._look_s = FIRST_S
        self._pause = pause
        self._told_all = False

    async def known(self) -> Known:
        """Everything that it tells, asked now: disks come and go.

        Raises:
            Unreachable: it doesn't answer, something else does, or it has forgotten who the machine is.
        """
        look_s = self._look_s
        try:
            async with asyncio.timeout(look_s):
                told = await self._read()
        except TimeoutError:
            raise Unreachable(f"{self._base} doesn't answer in {look_s:g} s") from None
        finally:
            if not self._patient:
                self._tries, self._look_s = 1, LATER_S
        if told.missing and self._told_all:
            raise Unreachable(f"{self._base} tells no {' and no '.join(told.missing)} any more")
        if not told.missing:
            self._told_all, self._look_s = True, LATER_S
        return told

    async def _read(self) -> Known:
        data = f"{self._base}/meta-data"
        token = await self._formed(
            TOKEN,
            "PUT",
            f"{self._base}/api/token",
            {"X-aliyun-ecs-metadata-token-ttl-seconds": str(TOKEN_TTL_S)},
        )
        # a service of the first generation knows no tokens, and refuses an empty one
        headers = {"X-aliyun-ecs-metadata-token": token} if token else {}
        disks = await self._get(f"{data}/disks/", headers)
        return Known(
            node_id=await self._formed(INSTANCE_ID, "GET", f"{data}/instance-id", headers),
            zone=await self._formed(PLACE, "GET", f"{data}/zone-id", headers),
            region=await self._formed(PLACE, "GET", f"{data}/region-id", headers),
            instance_type=await self._get(f"{data}/instance/instance-type", headers) or "",
            attached_serials=None
            if disks is None
            else frozenset(line.strip().rstrip("/") for line in disks.splitlines() if line.strip()),
        )

    async def _get(self, url: str, headers: dict[str, str]) -> str | None:
        """A value, None when the service doesn't know the path."""
        return await self._ask("GET", url, headers)

    async def _formed(
        self, form: re.Pattern[str], method: str, url: str, headers: dict[str, str]
    ) -> str:
        """A value, empty when the service has none; anything else isn't the service's."""
        told = await self._ask(method, url, headers) or ""
        if told and not form.fullmatch(told):
            # what is neither a page nor prose may be a token all the same, and is a secret then
            secret = form is TOKEN and not PROSE.search(told)
            shown = f"{len(told)} characters" if secret else repr(told[:SHOWN])
            raise Unreachable(
                f"{url} answers {shown}, which no metadata service would: something else"
                " answers there"
            )
        return told

    async def _ask(self, method: str, url: str, headers: dict[str, str]) -> str | None:
        reason = ""
        for tried in range(self._tries):
            if tried:
                await self._pause(PAUSE_S)
            try:
                return await self._once(method, url, headers)
            except _NoAnswer as error:
                reason = str(error)
                if error.final:
                    break
        raise Unreachable(f"{url} doesn't answer: {reason}")

    async def _once(self, method: str, url: str, headers: dict[str, str]) -> str | None:
        try:
            async with self._http.request(
                method, url, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status == ABSENT:
                    return None
                if answer.status == FOUND:
                    return (await answer.text()).strip()
                raise _NoAnswer(f"HTTP {answer.status}", final=answer.status in CLIENT_MISTAKE)
        except aiohttp.ClientConnectorError as error:  # refused or no way: nothing is there
            raise _NoAnswer(str(error), final=not self._patient) from error
        except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
            raise _NoAnswer(str(error) or type(error).__name__) from error


class _NoAnswer(Exception):  # noqa: N818 - reads as what happened
    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@asynccontextmanager
async def http_session() -> AsyncIterator[aiohttp.ClientSession]:
    """Connections with a timeout that fits a service on the machine's own host."""
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=ANSWER_S), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session
