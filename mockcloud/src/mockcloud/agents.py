"""The channel by which agents come: who may, as which machine, and what passes through it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from mockcloud.engine.catalog import TYPES
from mockcloud.engine.engine import Engine
from mockcloud.engine.state import Instance
from mockcloud.hypervisor.agent import AgentHypervisor
from mockcloud.hypervisor.guests import Report
from mockcloud.shared_token import NoToken

PATH: Final = "/_agent/v1"
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""Containers of one machine read the same one; another after each start of the machine."""

HELLO_S: Final = 10.0
HEARTBEAT_S: Final = 4.0
"""A node that is frozen counts as away half of it after a heartbeat that it didn't answer."""

CLOSING_S: Final = 1.0
"""How long an agent gets to answer the end of its session: a frozen one doesn't."""

DEFAULT_TYPE: Final = "ecs.g6.large"


class Refused(Exception):  # noqa: N818 - reads as what is so
    """This agent can't be a machine of this cloud; the message tells it why, and what to do.

    Args:
        ended: its machine was deleted, so that its devices must go. No other refusal takes one.
        final: it can never be, and need not ask again.
    """

    def __init__(self, reason: str, *, ended: bool = False, final: bool = False) -> None:
        super().__init__(reason)
        self.ended, self.final = ended, final

    def told(self) -> dict[str, Any]:
        """As the agent is told it."""
        return {
            "type": "refused", "reason": str(self), "ended": self.ended, "final": self.final,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """What an agent says first; zone, region and type may be empty."""

    node: str
    instance: str
    zone: str
    region: str
    instance_type: str
    boot_id: str

    @classmethod
    def parse(cls, words: str | bytes) -> Hello:
        """A hello as it comes.

        Raises:
            Refused: it is none.
        """
        names = [item.name for item in fields(cls)]
        try:
            told = json.loads(words)
            said = {name: told[name] for name in names}
        except (ValueError, KeyError, TypeError):
            said = {}
        if not (said and all(isinstance(value, str) for value in said.values())):
            raise Refused(
                f"the first message must tell {', '.join(names)}, each in words; run server and"
                " agent from one image"
            )
        return cls(**said)


class Channel:
    """Serves agents.

    Args:
        token: what an agent must show, read for each one; raises NoToken. It stands in no address
            and no log.
        boot_id: of this machine's kernel.
        hello_s: how long an agent gets to say who it is, seconds.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        hypervisor: AgentHypervisor,
        token: Callable[[], str],
        boot_id: str,
        hello_s: float = HELLO_S,
    ) -> None:
        self._engine = engine
        self._hypervisor = hypervisor
        self._token = token
        self._boot_id = boot_id
        self._hello_s = hello_s
        self._open: dict[str, web.WebSocketResponse] = {}
        self._complaints: dict[str, str] = {}
        self._log = logging.getLogger(__name__)

    def routes(self) -> list[web.RouteDef]:
        """For the application's router."""
        return [web.get(PATH, self.serve)]

    async def close(self, app: web.Application) -> None:
        """Tell all agents that the server ends."""
        del app
        sockets = list(self._open.values())
        await asyncio.gather(*(one.close(code=WSCloseCode.GOING_AWAY) for one in sockets))

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One agent, for as long as it stays."""
        remote = request.remote or "an unknown address"
        if why := self._unauthorized(request.headers.get("Authorization", "")):
            self._complain(remote, why)
            return web.Response(status=401, text="the token is not this server's")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, timeout=CLOSING_S)
        await socket.prepare(request)
        try:
            hello = await self._hello(socket)
            instance = self._registered(hello)
        except Refused as refusal:
            self._complain(remote, str(refusal))
            with contextlib.suppress(ConnectionError):  # it didn't wait for the answer
                await socket.send_json(refusal.told())
            await socket.close()
            return socket
        self._complaints.pop(remote, None)
        await self._engine.keep()
        await self._attend(socket, hello, instance)
        return socket

    def _unauthorized(self, header: str) -> str:
        """Why who shows this is not let in; empty when he is."""
        scheme, _, shown = header.partition(" ")
        try:
            token = self._token()
        except NoToken as error:
            return str(error)
        said = shown.strip().encode(errors="surrogateescape")  # a header may have any bytes
        right = hmac.compare_digest(said, token.encode())
        return "" if scheme == "Bearer" and right else "it has a wrong token"

    def _complain(self, remote: str, why: str) -> None:
        """Log why an agent is refused, when that is new: it asks again every few seconds."""
        if self._complaints.get(remote) != why:
            self._log.warning("refused the agent at %s: %s", remote, why)
        self._complaints[remote] = why

    async def _hello(self, socket: web.WebSocketResponse) -> Hello:
        """What an agent says first; raises Refused."""
        try:
            async with asyncio.timeout(self._hello_s):
                message = await socket.receive()
        except TimeoutError as error:
            raise Refused(
                f"the agent did not say within {self._hello_s:g} s who it is; where its node is"
                " busy, a later try goes better"
            ) from error
        if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            raise Refused("the agent went away before it said who it is")
        return Hello.parse(message.data)

    async def _attend(
        self, socket: web.WebSocketResponse, hello: Hello, instance: Instance
    ) -> None:
        former = self._open.get(instance.id)
        self._open[instance.id] = socket
        if former is not None:
            await former.close()
        self._log.info("node %s is instance %s in %s", hello.node, instance.id, instance.zone)
        welcome = {
            "type": "welcome", "instance": instance.id, "zone": instance.zone,
            "instance_type": instance.type_name,
        }  # fmt: skip
        try:
            await socket.send_json(welcome)
            now = self._engine.clock.time()
            async with self._hypervisor.session(instance.id, hello.node, socket.send_json, now=now):
                await self._listen(socket, instance.id)
        except ConnectionError as error:
            self._log.info("node %s went away: %s", hello.node, error)
        finally:
            if self._open.get(instance.id) is socket:
                del self._open[instance.id]
            self._log.info("node %s is away", hello.node)

    async def _listen(self, socket: web.WebSocketResponse, instance_id: str) -> None:
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                return
            with contextlib.suppress(ValueError):
                self._hypervisor.heard(instance_id, Report.parse(message.json()))

    def _registered(self, hello: Hello) -> Instance:
        """The machine's record; raises Refused."""
        engine = self._engine
        if hello.boot_id != self._boot_id:
            raise Refused(
                f"node {hello.node} runs on a kernel of its own (boot {hello.boot_id}, the"
                f" server's is {self._boot_id}): a loop device of the server can't appear there;"
                " use nodes that are containers of one machine, as kind's are",
                final=True,
            )
        if hello.instance in engine.ended:
            raise Refused(
                f"instance {hello.instance} was deleted from the cloud: recreate node {hello.node}",
                ended=True,
            )
        zone, kind = self._zone(hello), hello.instance_type or DEFAULT_TYPE
        if kind not in TYPES:
            raise Refused(f"instance type {kind} is not sold: allowed are {', '.join(TYPES)}")
        found = engine.instances.get(hello.instance)
        if found is None:
            now = engine.clock.time()
            found = engine.instances[hello.instance] = Instance(
                id=hello.instance, region=engine.config.region_of(zone), zone=zone,
                type_name=kind, status="Running", created_at=now, running_since=now,
            )  # fmt: skip
        elif not any(engine.disks_on(found.id)):  # who holds disks stays what it was
            found.zone, found.region, found.type_name = zone, engine.config.region_of(zone), kind
        found.name = hello.node
        return found

    def _zone(self, hello: Hello) -> str:
        """The zone it told, or the first one of its region, or of all."""
        zones = self._engine.config.zones
        if hello.region and hello.region not in zones:
            raise Refused(f"there is no region {hello.region}: allowed are {', '.join(zones)}")
        zone = hello.zone or zones[hello.region or next(iter(zones))][0]
        region = self._engine.config.region_of(zone)
        if not region or hello.region not in ("", region):
            allowed = ", ".join(zones[hello.region] if hello.region else sum(zones.values(), ()))
            raise Refused(
                f"node {hello.node} is in zone {zone}, which no region told has: allowed are"
                f" {allowed}; label the node, or use --zone"
            )
        return zone


def this_boot() -> str:
    """Which start of which kernel this is."""
    return BOOT_ID.read_text().strip()
