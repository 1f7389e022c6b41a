"""What the server knows of each machine's agent: what it shall have, and what it says it has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mockcloud.hypervisor.base import Busy

Send = Callable[[Mapping[str, Any]], Awaitable[None]]

ANSWER_S: Final = 0.5
"""An agent answers within milliseconds; whoever doesn't is asked again while the cloud goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An agent's answer to the list of what it shall have.

    Attributes:
        there: serials of the disks that its machine has.
        failed: for serials that it could not bring, why.
    """

    revision: int
    there: frozenset[str]
    failed: Mapping[str, str]

    @classmethod
    def parse(cls, told: Mapping[str, Any]) -> Report:
        """A report as it comes over the channel.

        Raises:
            ValueError: it is none.
        """
        try:
            return cls(
                revision=int(told["revision"]),
                there=frozenset(map(str, told["there"])),
                failed={str(serial): str(why) for serial, why in told["failed"].items()},
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"no report: {error!r}") from error


@dataclass(slots=True, kw_only=True)
class Guest:
    """One machine.

    Attributes:
        wanted: serials of the disks that it shall have, and whether as NVMe.
        on: whether it runs; it has no disks while it doesn't.
        node, since, send: of the agent that is connected; `send` is None when none is.
        revision, answered: of the list that was sent last, and that was answered last.
    """

    wanted: dict[str, bool] = field(default_factory=dict)
    on: bool = True
    node: str = ""
    since: float = 0.0
    send: Send | None = None
    revision: int = 0
    answered: int = 0
    there: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict)
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    def hears(self, report: Report) -> None:
        """Take an agent's answer."""
        self.answered, self.there, self.failed = report.revision, report.there, report.failed
        self._heard.set()

    async def converge(self, disks: Mapping[str, Mapping[str, Any]]) -> None:
        """Let the agent bring about what is wanted, and wait a moment for its answer.

        Args:
            disks: what it must know of each disk, by serial.

        Raises:
            Busy: there is no answer yet.
        """
        if self.send is None:
            raise Busy("the agent is away")
        if self.answered < self.revision:
            raise Busy("the agent has not answered yet")
        await self.tell(disks)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                while self.answered < self.revision:
                    self._heard.clear()
                    await self._heard.wait()
        if self.answered < self.revision:
            raise Busy("the agent has not answered yet")

    async def tell(self, disks: Mapping[str, Mapping[str, Any]]) -> None:
        """Send the list of what the machine shall have; of one that is off, all is torn away."""
        if self.send is None:
            return
        self.revision += 1
        wanted = [
            {"serial": serial, "nvme": nvme, **disks[serial]}
            for serial, nvme in self.wanted.items()
            if self.on and serial in disks
        ]
        order = {
            "type": "wanted", "revision": self.revision, "force": not self.on, "disks": wanted,
        }  # fmt: skip
        try:
            await self.send(order)
        except ConnectionError as error:
            raise Busy("the agent went away") from error
