"""The agent's end of the channel: it says who it is, and brings about what it is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp import ClientWebSocketResponse, WSMsgType

from mockcloud.agent.devices import Devices, Unable, Wanted
from mockcloud.agent.node import NodeFacts
from mockcloud.agents import HEARTBEAT_S, PATH

LOOK_AGAIN_S: Final = 2.0
"""Between looks whether all is there yet: a node's `/dev` may be wiped under a living agent."""

PAUSE_FIRST_S, PAUSE_MOST_S = 0.2, 5.0
"""Between tries to reach the server; doubled each time."""

HTTP_UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One machine's agent.

    Attributes:
        server: the address of the mock's server.
    """

    server: str
    token: str
    facts: NodeFacts
    boot_id: str
    devices: Devices

    async def run(self) -> None:
        """Stay connected until cancelled.

        Raises:
            Unable: the server refuses this machine.
        """
        log = logging.getLogger(__name__)
        pause_s = PAUSE_FIRST_S
        async with aiohttp.ClientSession() as http:
            while True:
                try:
                    async with http.ws_connect(
                        f"{self.server}{PATH}",
                        headers={"Authorization": f"Bearer {self.token}"},
                        heartbeat=HEARTBEAT_S,
                    ) as socket:
                        await self._attend(socket)
                        pause_s = PAUSE_FIRST_S
                    log.info("%s closed the channel", self.server)
                except aiohttp.WSServerHandshakeError as error:
                    if error.status == HTTP_UNAUTHORIZED:
                        raise Unable(
                            f"{self.server} refuses the token: give server and agent the same one"
                        ) from error
                    log.warning(
                        "%s answers %d to an agent; it must be `mockcloud serve --hypervisor=agent`,"
                        " and what stands in between must pass web sockets",
                        self.server, error.status,
                    )  # fmt: skip
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    log.warning("%s can't be reached: %s", self.server, error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_MOST_S)

    async def _attend(self, socket: ClientWebSocketResponse) -> None:
        facts = self.facts
        await socket.send_json({
            "node": facts.name, "instance": facts.instance, "zone": facts.zone,
            "region": facts.region, "instance_type": facts.instance_type, "boot_id": self.boot_id,
        })  # fmt: skip
        order: Mapping[str, Any] | None = None
        while True:
            try:
                message = await socket.receive(timeout=LOOK_AGAIN_S)
            except TimeoutError:
                if order is not None:
                    await asyncio.to_thread(self._carry_out, order)
                continue
            if message.type is not WSMsgType.TEXT:
                return
            told = message.json()
            if told["type"] == "wanted":
                order = told
                await socket.send_json(await asyncio.to_thread(self._carry_out, told))
            else:
                self._take(told)

    def _take(self, told: Mapping[str, Any]) -> None:
        if told["type"] == "refused":
            self.devices.converge((), force=True)
            raise Unable(str(told["reason"]))
        logging.getLogger(__name__).info(
            "node %s is instance %s, a %s in %s",
            self.facts.name, told["instance"], told["instance_type"], told["zone"],
        )  # fmt: skip

    def _carry_out(self, order: Mapping[str, Any]) -> dict[str, Any]:
        wanted = [Wanted.parse(disk) for disk in order["disks"]]
        outcome = self.devices.converge(wanted, force=bool(order["force"]))
        for serial, why in outcome.failed.items():
            logging.getLogger(__name__).warning("disk %s could not be brought: %s", serial, why)
        return {
            "type": "report", "revision": order["revision"], "there": sorted(outcome.there),
            "failed": outcome.failed,
        }  # fmt: skip
