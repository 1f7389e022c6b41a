"""The agent's end of the channel: it says who it is, and brings about what it is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from mockcloud.agent.connections import to_server
from mockcloud.agent.devices import Devices, Outcome, Unable
from mockcloud.agent.node import Away, NodeFacts
from mockcloud.agent.orders import Garbled, Order, Refusal, Welcome, heard
from mockcloud.agents import HEARTBEAT_S, PATH
from mockcloud.shared_token import NoToken

LOOK_AGAIN_S: Final = 2.0
"""Between looks whether all is there yet: a node's `/dev` may be wiped under a living agent."""

PAUSE_FIRST_S, PAUSE_MOST_S = 0.2, 5.0
"""Between tries to reach the server; doubled each time."""

STEADY_S: Final = 5.0
"""A session that lasted so long was a good one. Two agents of one machine, as when the former pod is
still ending, push each other out at once: neither may do so five times a second."""

CONNECT_S: Final = 10.0
ANSWER_S: Final = 10.0
"""A server writes down what it knows and ends the former session before it answers a hello."""

HTTP_UNAUTHORIZED: Final = 401


@dataclass(slots=True, kw_only=True)
class Session:
    """One machine's agent.

    Attributes:
        server: the address of the mock's server.
        token: what it shows the server, read for each session; raises NoToken.
        facts: who and where the machine is.
        read_again: where it is now; raises Away.
        welcomed: set once the server has taken the machine for an instance.
        pause: waits that many seconds; a test gives one that doesn't.
    """

    server: str
    token: Callable[[], str]
    facts: NodeFacts
    boot_id: str
    devices: Devices
    read_again: Callable[[], Awaitable[NodeFacts]]
    welcomed: asyncio.Event = field(default_factory=asyncio.Event)
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    look_s: float = LOOK_AGAIN_S
    steady_s: float = STEADY_S
    _pause_s: float = PAUSE_FIRST_S
    _said: str = ""
    _refused: bool = False
    _unread: str = ""
    _failed: dict[str, str] = field(default_factory=dict)

    async def run(self) -> None:
        """Stay connected until cancelled; the machine's devices stay, whatever ails the channel.

        They go when the server says so, or that the machine was deleted.

        Raises:
            Unable: this machine can never be an instance.
        """
        async with to_server() as http:
            while True:
                self._say(await self._visit(http))
                await self.pause(self._pause_s)
                self._pause_s = min(self._pause_s * 2, PAUSE_MOST_S)
                if self._refused:
                    await self._read_labels()

    async def _visit(self, http: aiohttp.ClientSession) -> str:
        """One session from its beginning to its end; returns why it ended."""
        try:
            async with await self._opened(http) as socket:
                answer = await self._introduce(socket)
                if isinstance(answer, Refusal):
                    return await self._turned_away(answer)
                await self._stay(socket, answer)
        except aiohttp.WSServerHandshakeError as error:
            return self._unopened(error.status)
        except NoToken as error:
            return str(error)
        except Garbled as error:
            return (
                f"{self.server} says what this agent doesn't understand ({error}); run both from"
                " one image"
            )
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return f"{self.server} can't be reached: {str(error) or type(error).__name__}"
        return f"{self.server} closed the channel"

    async def _opened(self, http: aiohttp.ClientSession) -> ClientWebSocketResponse:
        async with asyncio.timeout(CONNECT_S):
            return await http.ws_connect(
                f"{self.server}{PATH}",
                headers={"Authorization": f"Bearer {self.token()}"},
                heartbeat=HEARTBEAT_S,
            )

    def _unopened(self, status: int) -> str:
        """What follows from an HTTP status in place of a channel, in words."""
        if status == HTTP_UNAUTHORIZED:  # a changed token reaches the two at different times
            return f"{self.server} refuses the token: give server and agent the same one"
        return (
            f"{self.server} answers {status} to an agent; it must be `mockcloud serve"
            " --hypervisor=agent`, and what stands in between must pass web sockets"
        )

    async def _introduce(self, socket: ClientWebSocketResponse) -> Welcome | Refusal:
        facts = self.facts
        await socket.send_json({
            "node": facts.name, "instance": facts.instance, "zone": facts.zone,
            "region": facts.region, "instance_type": facts.instance_type, "boot_id": self.boot_id,
        })  # fmt: skip
        message = await socket.receive(timeout=ANSWER_S)
        if message.type is not WSMsgType.TEXT:
            raise aiohttp.ClientError("it closed the channel before it answered")
        answer = heard(message.data)
        if isinstance(answer, Order):
            raise Garbled("an order before a welcome")
        return answer

    async def _turned_away(self, refusal: Refusal) -> str:
        """What follows from a refusal, in words."""
        said = f"{self.server} refuses node {self.facts.name}: {refusal.reason}"
        if refusal.final:
            raise Unable(said)
        self._refused = True
        if refusal.ended:
            await asyncio.to_thread(self.devices.converge, (), force=True)
            return f"{said}; its devices are taken away"
        return f"{said}; its devices stay{self._unread}"

    async def _read_labels(self) -> None:
        """Where the machine is now: what was wrong may have been put right."""
        try:
            now = await self.read_again()
        except Away as error:
            self._unread = f"; its labels can't be read again: {error}"
            return
        self._unread = ""
        # its metadata are served under this id, and its devices are this machine's
        self.facts = replace(now, instance=self.facts.instance)

    async def _stay(self, socket: ClientWebSocketResponse, welcome: Welcome) -> None:
        logging.getLogger(__name__).info(
            "node %s is instance %s, a %s in %s",
            self.facts.name, welcome.instance, welcome.instance_type, welcome.zone,
        )  # fmt: skip
        self._said, self._refused = "", False
        self.welcomed.set()
        began = asyncio.get_running_loop().time()
        try:
            await self._obey(socket)
        finally:
            if asyncio.get_running_loop().time() - began >= self.steady_s:
                self._pause_s = PAUSE_FIRST_S

    async def _obey(self, socket: ClientWebSocketResponse) -> None:
        """Carry out each order, and look again and again whether it still holds."""
        order: Order | None = None
        told: Outcome | None = None
        while True:
            try:
                message = await socket.receive(timeout=self.look_s)
            except TimeoutError:
                if order is None:
                    continue
            else:
                if message.type is not WSMsgType.TEXT:
                    return
                order, told = _order(message.data), None
            outcome = await asyncio.to_thread(self._carry_out, order)
            if outcome != told:
                await socket.send_json(_report(order, outcome))
            told = outcome

    def _carry_out(self, order: Order) -> Outcome:
        outcome = self.devices.converge(order.disks, force=order.force)
        for serial, why in outcome.failed.items():
            if self._failed.get(serial) != why:
                logging.getLogger(__name__).warning("disk %s could not be brought: %s", serial, why)
        self._failed = outcome.failed
        return outcome

    def _say(self, why: str) -> None:
        """Log why a session ended, when that is new since the last welcome."""
        if why != self._said:
            logging.getLogger(__name__).warning("%s; trying again", why)
        self._said = why


def _order(words: str) -> Order:
    said = heard(words)
    if not isinstance(said, Order):
        raise Garbled(f"{type(said).__name__} in the middle of a session")
    return said


def _report(order: Order, outcome: Outcome) -> dict[str, Any]:
    return {
        "type": "report", "revision": order.revision, "there": sorted(outcome.there),
        "failed": outcome.failed,
    }  # fmt: skip
