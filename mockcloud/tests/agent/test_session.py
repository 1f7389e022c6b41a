"""The agent's end of the channel, against a server that says what a test wrote down."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from mockcloud.agent.devices import Devices, Unable
from mockcloud.agent.node import Away, NodeFacts
from mockcloud.agent.session import Session
from mockcloud.agents import PATH
from mockcloud.shared_token import NoToken

FACTS = NodeFacts(name="worker-1", instance="i-1", zone="cn-hangzhou-g")
WELCOME = json.dumps(
    {"type": "welcome", "instance": "i-1", "zone": "cn-hangzhou-g", "instance_type": "ecs.g6.large"}
)
DISK = {"serial": "s1", "number": 1, "device": 0, "inode": 0, "nvme": False}
NOTHING_WANTED = {"type": "wanted", "revision": 1, "force": True, "disks": []}


def refused(reason: str = "no such zone", **more: object) -> str:
    """A refusal as the server says it."""
    return json.dumps({"type": "refused", "reason": reason, "ended": False, "final": False} | more)


@dataclass(kw_only=True)
class Server:
    """Says its words session by session, and ends each one but the last.

    Attributes:
        token: what an agent has to show.
        script: for each session what is said after the hello.
        lead_astray: whether the first connection leads to somebody who knows no agents.
        ways: the connections by which agents came.
        hellos: what agents said first.
        reports: what they said in the last session.
        at_last: set when the last session's words are said.
    """

    url: str = ""
    token: str = "t"
    lead_astray: bool = False
    ways: list[object] = field(default_factory=list)
    script: list[list[str]] = field(default_factory=list)
    hellos: list[dict[str, Any]] = field(default_factory=list)
    reports: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    at_last: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """One session."""
        if request.transport not in self.ways:
            self.ways.append(request.transport)
        if self.lead_astray and request.transport is self.ways[0]:
            raise web.HTTPNotFound
        if request.headers["Authorization"] != f"Bearer {self.token}":
            raise web.HTTPUnauthorized
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.hellos.append(await socket.receive_json())
        for words in self.script.pop(0):
            await socket.send_str(words)
        if not self.script:
            self.at_last.set()
            async for message in socket:
                self.reports.put_nowait(message.json())
        await socket.close()
        return socket


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """One whose script is still empty."""
    here = Server()
    app = web.Application()
    app.router.add_get(PATH, here.serve)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield here
    await runner.cleanup()


@dataclass(kw_only=True)
class Machine:
    """A machine that has a device already, and what its agent did.

    Attributes:
        labels: what its Node says at each look; an exception is raised.
        tokens: what the file of the token holds at each look; the last one stays.
        pauses: how long the agent waited between its tries, seconds.
    """

    root: Path
    server: Server
    tokens: list[str | NoToken] = field(default_factory=lambda: ["t"])
    labels: list[NodeFacts | Away] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.link.parent.mkdir(parents=True)
        self.node.parent.mkdir()
        self.node.touch()
        self.link.symlink_to("../../mockcloud/loop9")

    @property
    def link(self) -> Path:
        """By which its device is found."""
        return self.root / "disk/by-id/virtio-s9"

    @property
    def node(self) -> Path:
        """The device."""
        return self.root / "mockcloud/loop9"

    @property
    def has_its_device(self) -> bool:
        """Whether nobody took it away."""
        return self.link.is_symlink() and self.node.exists()

    def session(self, *, steady_s: float = 60.0) -> Session:
        """Its agent."""
        return Session(
            server=self.server.url, token=self._token, facts=FACTS, boot_id="boot",
            devices=Devices(root=self.root), read_again=self._look, pause=self._wait,
            look_s=0.02, steady_s=steady_s,
        )  # fmt: skip

    async def runs(self, session: Session, until: Callable[[], Awaitable[object]]) -> None:
        """Let the agent run until this has come about."""
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            task = tasks.create_task(session.run())
            await until()
            task.cancel()

    async def sees_it_through(self, *script: list[str]) -> Session:
        """Let the agent live through these sessions; the last one welcomes it."""
        self.server.script = list(script)
        session = self.session()

        async def welcomed() -> None:
            await self.server.at_last.wait()
            await session.welcomed.wait()

        await self.runs(session, welcomed)
        return session

    async def _wait(self, pause_s: float) -> None:
        self.pauses.append(pause_s)

    def _token(self) -> str:
        found = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        if isinstance(found, NoToken):
            raise found
        return found

    async def _look(self) -> NodeFacts:
        found = self.labels.pop(0) if self.labels else FACTS
        if isinstance(found, Away):
            raise found
        return found


@pytest.fixture
def machine(tmp_path: Path, server: Server) -> Machine:
    """One whose agent is still to run."""
    return Machine(root=tmp_path, server=server)


@pytest.mark.parametrize(
    "words",
    [
        refused(),
        refused(reason=""),
        '{"type": "refused"}',
        refused(ended="true"),
        refused(ended=1),
        "no JSON",
        "[]",
        "{}",
        '{"type": "another"}',
        '{"type": "welcome"}',
        json.dumps(NOTHING_WANTED),
    ],
    ids=[
        "zone", "no-reason", "no-word", "ended-in-words", "ended-in-numbers", "no-json",
        "no-object", "no-type", "unknown", "half-a-welcome", "order-before-welcome",
    ],
)  # fmt: skip
async def test_no_word_but_its_end_costs_a_machine_its_devices(
    machine: Machine, words: str
) -> None:
    """Its agent asks again, and is welcome."""
    session = await machine.sees_it_through([words], [WELCOME])
    assert session.welcomed.is_set()
    assert machine.has_its_device


async def test_a_deleted_machine_loses_its_devices_and_its_agent_stays(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what was done; a cloud that knows the machine again is found again."""
    await machine.sees_it_through([refused("instance i-1 was deleted", ended=True)], [WELCOME])
    assert not machine.link.is_symlink()
    assert not machine.node.exists()
    assert "i-1 was deleted; its devices are taken away" in caplog.text


async def test_a_machine_that_can_never_be_one_is_left_as_it_is(machine: Machine) -> None:
    """The agent ends with the server's reason."""
    machine.server.script = [[refused("a kernel of its own", final=True)]]
    with pytest.raises(Unable, match="refuses node worker-1: a kernel of its own"):
        await machine.session().run()
    assert machine.has_its_device


async def test_a_corrected_label_is_told_at_the_next_try(machine: Machine) -> None:
    """The Node is read again before each try after a refusal; its identity stays."""
    corrected = NodeFacts(name="worker-1", instance="i-another", zone="cn-hangzhou-h")
    machine.labels = [FACTS, corrected]
    await machine.sees_it_through([refused()], [refused()], [WELCOME])
    told = [(hello["instance"], hello["zone"]) for hello in machine.server.hellos]
    assert told == [("i-1", "cn-hangzhou-g"), ("i-1", "cn-hangzhou-g"), ("i-1", "cn-hangzhou-h")]


async def test_a_changed_token_is_shown_at_the_next_try(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Server and agent see it at different times; meanwhile the machine keeps its devices."""
    machine.tokens = ["former", "former", "t"]
    await machine.sees_it_through([WELCOME])
    assert machine.has_its_device
    assert caplog.text.count("refuses the token: give server and agent the same one") == 1


async def test_a_token_that_cannot_be_read_is_looked_for_again(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """The key may be missing from its Secret for a while."""
    machine.tokens = [NoToken("the file holds no token"), "t"]
    await machine.sees_it_through([WELCOME])
    assert "the file holds no token; trying again" in caplog.text


async def test_labels_that_cannot_be_read_again_are_told_as_they_were(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """The channel needs no Kubernetes; the log says that it doesn't answer."""
    machine.labels = [Away("the API server is away")]
    await machine.sees_it_through([refused()], [refused()], [WELCOME])
    assert [hello["zone"] for hello in machine.server.hellos] == ["cn-hangzhou-g"] * 3
    assert "the API server is away" in caplog.text


async def test_a_reason_that_stays_is_logged_once(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """Again when it is another, and again after the machine was welcome."""
    caplog.set_level(logging.WARNING)
    other = [refused("no such region")]
    await machine.sees_it_through(
        [refused()], [refused()], other, other, [WELCOME], other, [WELCOME]
    )
    told = [record.getMessage() for record in caplog.records]
    assert [words for one in told for words in ("zone", "region", "closed") if words in one] == [
        "zone", "region", "closed", "region",
    ]  # fmt: skip


async def test_a_refusal_without_a_reason_says_so(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """A log line that ends in a colon helps nobody."""
    await machine.sees_it_through([refused(reason="")], [WELCOME])
    assert "refuses node worker-1: it gives no reason" in caplog.text


async def test_tries_come_ever_slower(machine: Machine) -> None:
    """Up to the longest pause; a session that ended at once makes them no faster."""
    await machine.sees_it_through(*[[refused()], [WELCOME]] * 4)
    assert machine.pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


async def test_a_session_that_lasted_is_followed_by_a_quick_try(machine: Machine) -> None:
    """A server that restarts is found soon."""
    machine.server.script = [[refused()], [refused()], [WELCOME], [WELCOME]]
    await machine.runs(machine.session(steady_s=0), machine.server.at_last.wait)
    assert machine.pauses == [0.2, 0.4, 0.2]


@pytest.mark.parametrize(
    "order",
    [
        {"type": "wanted"},
        {**NOTHING_WANTED, "disks": [{"serial": "s"}]},
        {**NOTHING_WANTED, "disks": [{**DISK, "serial": "../s1"}]},
        {**NOTHING_WANTED, "disks": {}},
        {**NOTHING_WANTED, "disks": None},
        {**NOTHING_WANTED, "force": "no"},
        {**NOTHING_WANTED, "revision": "x"},
    ],
    ids=["nothing", "half-a-disk", "a-path", "no-list", "none", "no-flag", "no-number"],
)
async def test_an_order_that_is_none_moves_no_device(
    machine: Machine, caplog: pytest.LogCaptureFixture, order: dict[str, object]
) -> None:
    """The agent says that it doesn't understand, and begins a new session."""
    await machine.sees_it_through([WELCOME, json.dumps(order)], [WELCOME])
    assert machine.has_its_device
    assert "what this agent doesn't understand" in caplog.text


async def test_what_changes_after_an_order_is_reported(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """And logged once, though the agent looks at it again and again."""
    theirs = machine.root / "disk/by-id/virtio-s1"
    theirs.symlink_to("../../vdz")
    machine.server.script = [[WELCOME, json.dumps({**NOTHING_WANTED, "disks": [DISK]})]]

    async def has_changed() -> None:
        first = await machine.server.reports.get()
        assert "virtio-s1 leads elsewhere" in first["failed"]["s1"]
        theirs.unlink()
        second = await machine.server.reports.get()
        assert (second["revision"], "leads" in second["failed"]["s1"]) == (1, False)

    await machine.runs(machine.session(), has_changed)
    assert caplog.text.count("virtio-s1 leads elsewhere") == 1


async def test_a_way_that_led_astray_is_not_gone_twice(server: Server, tmp_path: Path) -> None:
    """While a Service's rules are made anew a connection may go elsewhere; the next one needn't."""
    server.lead_astray = True
    session = await Machine(root=tmp_path, server=server).sees_it_through([WELCOME])
    assert (session.welcomed.is_set(), len(server.ways)) == (True, 2)
