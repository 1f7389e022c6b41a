"""The server's end of the channel: who may come, and as which machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner
from mockcloud.agents import PATH, Channel, this_boot
from mockcloud.app import Cloud, serving
from mockcloud.cli import main
from mockcloud.engine.clock import FakeClock
from mockcloud.engine.world import default_world
from mockcloud.hypervisor.agent import AgentHypervisor
from mockcloud.shared_token import read_token

HELLO = {
    "node": "worker-1", "instance": "i-1", "zone": "cn-hangzhou-h", "region": "",
    "instance_type": "", "boot_id": this_boot(),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Server:
    """A cloud for agents, and a client that says what it is told to.

    Attributes:
        token_file: the secret that it wants to be shown.
    """

    cloud: Cloud
    token_file: Path
    http: aiohttp.ClientSession
    hypervisor: AgentHypervisor

    @contextlib.asynccontextmanager
    async def session(
        self, hello: object, *, token: str = "t"
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A session that begins with a hello."""
        async with self.http.ws_connect(
            f"http://127.0.0.1:{self.cloud.port}{PATH}",
            headers={"Authorization": f"Bearer {token}"},
        ) as socket:
            await socket.send_json(hello)
            yield socket

    async def answer(self, **changes: object) -> Any:  # noqa: ANN401 - JSON
        """The first answer to a hello that differs in this."""
        async with self.session({**HELLO, **changes}) as socket:
            return await socket.receive_json(timeout=5)

    async def answer_to(self, said: str) -> Any:  # noqa: ANN401 - JSON
        """The answer to these words as the first ones."""
        async with self.http.ws_connect(
            f"http://127.0.0.1:{self.cloud.port}{PATH}", headers={"Authorization": "Bearer t"}
        ) as socket:
            await socket.send_str(said)
            return await socket.receive_json(timeout=5)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Agents may come."""
    hypervisor = AgentHypervisor(root=tmp_path)
    token_file = tmp_path / "token"
    token_file.write_text("t\n")
    async with (
        serving(
            config=default_world(), latencies={}, clock=FakeClock(),
            agent_token=partial(read_token, token_file), hypervisor=hypervisor,
        ) as cloud,
        aiohttp.ClientSession() as http,
    ):  # fmt: skip
        yield Server(cloud=cloud, http=http, hypervisor=hypervisor, token_file=token_file)


@pytest.mark.parametrize(
    ("changes", "zone", "kind"),
    [
        ({}, "cn-hangzhou-h", "ecs.g6.large"),
        ({"instance_type": "ecs.g8i.xlarge"}, "cn-hangzhou-h", "ecs.g8i.xlarge"),
        ({"zone": "", "region": "cn-beijing"}, "cn-beijing-a", "ecs.g6.large"),
        ({"zone": ""}, "cn-hangzhou-g", "ecs.g6.large"),
    ],
    ids=["zone", "type", "region", "nothing"],
)
async def test_a_node_is_where_it_says_or_in_the_first_zone(
    server: Server, changes: dict[str, object], zone: str, kind: str
) -> None:
    """It is told where it was put."""
    assert await server.answer(**changes) == {
        "type": "welcome", "instance": "i-1", "zone": zone, "instance_type": kind,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"zone": "cn-nowhere-a"}, "zone cn-nowhere-a, which no region told has: allowed are cn-h"),
        ({"region": "cn-nowhere"}, "no region cn-nowhere: allowed are cn-hangzhou"),
        ({"region": "cn-beijing"}, "cn-hangzhou-h, which no region told has: allowed are cn-bei"),
        ({"instance_type": "ecs.none"}, "ecs.none is not sold: allowed are ecs.g6.large"),
        ({"boot_id": "another"}, "node worker-1 runs on a kernel of its own (boot another,"),
        ({"zone": None}, "the first message must tell node, instance, zone"),
    ],
    ids=["zone", "region", "zone-of-another-region", "type", "kernel", "no-hello"],
)
async def test_a_node_that_fits_nowhere_is_told_what_would_fit(
    server: Server, changes: dict[str, object], words: str
) -> None:
    """It becomes no instance; its disks are not asked for, since nobody deleted it."""
    answer = await server.answer(**changes)
    assert (answer["type"], answer["ended"]) == ("refused", False)
    assert words in answer["reason"]
    assert "i-1" not in server.cloud.engine.instances


async def test_only_another_kernel_is_refused_for_good(server: Server) -> None:
    """Labels and regions may be put right; a kernel stays what it is."""
    changes: list[dict[str, object]] = [{"boot_id": "another"}, {"zone": "cn-nowhere-a"}]
    assert [(await server.answer(**one))["final"] for one in changes] == [True, False]


async def test_a_deleted_machine_is_told_that_it_ended(server: Server) -> None:
    """The word by which its agent takes its devices away."""
    server.cloud.engine.ended.add("i-1")
    answer = await server.answer()
    assert (answer["type"], answer["ended"], answer["final"]) == ("refused", True, False)
    assert "i-1 was deleted from the cloud: recreate node worker-1" in answer["reason"]


async def test_a_hello_that_does_not_come_is_refused_in_words(server: Server) -> None:
    """On a machine under load it may come late: the agent learns that, and may try again."""
    channel = Channel(
        engine=server.cloud.engine, hypervisor=server.hypervisor, token=lambda: "t",
        boot_id=this_boot(), hello_s=0.05,
    )  # fmt: skip
    app = web.Application()
    app.add_routes(channel.routes())
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with server.http.ws_connect(
            f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}",
            headers={"Authorization": "Bearer t"},
        ) as socket:
            answer = await socket.receive_json(timeout=5)
    finally:
        await runner.cleanup()
    assert "the agent did not say within 0.05 s who it is" in answer["reason"]
    assert (answer["ended"], answer["final"]) == (False, False)


@pytest.mark.parametrize("said", ["", "no JSON", "[]", '"hello"', "null"])
async def test_first_words_that_are_no_hello_are_refused_in_words(
    server: Server, said: str
) -> None:
    """Whatever they are, they end no machine."""
    answer = await server.answer_to(said)
    assert "the first message must" in answer["reason"]
    assert (answer["ended"], answer["final"]) == (False, False)


async def test_an_agent_that_asks_again_and_again_fills_no_log(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Each reason is told once, and again once the node was a machine meanwhile."""
    caplog.set_level(logging.WARNING)
    for region in ("cn-none", "cn-none", "cn-other", "cn-hangzhou", "cn-other"):
        await server.answer(region=region)
    told = [record.getMessage().partition("region ")[2][:8] for record in caplog.records]
    assert told == ["cn-none:", "cn-other", "cn-other"]


async def test_an_agent_that_leaves_before_it_spoke_troubles_nobody(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Its end is no error of the server."""
    caplog.set_level(logging.ERROR)
    async with server.http.ws_connect(
        f"http://127.0.0.1:{server.cloud.port}{PATH}", headers={"Authorization": "Bearer t"}
    ):
        pass
    assert (await server.answer())["type"] == "welcome"
    assert caplog.records == []


async def test_a_wrong_token_opens_nothing(server: Server) -> None:
    """Not even the channel."""
    with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
        async with server.session(HELLO, token="another"):
            pass


async def test_a_token_of_odd_bytes_is_a_wrong_one(server: Server) -> None:
    """They are no text, and nothing to stumble over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.cloud.port)
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n".encode())
    writer.write(b"Connection: close\r\nAuthorization: Bearer \xff\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_changed_token_counts_for_who_comes_next(server: Server) -> None:
    """It is read for each agent, so that no restart is needed; a session that is open goes on."""
    async with server.session(HELLO) as former:
        await former.receive_json(timeout=5)
        server.token_file.write_text("changed\n")
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await server.answer()
        async with server.session({**HELLO, "instance": "i-2"}, token="changed") as latter:
            told = await latter.receive_json(timeout=5)
        assert (told["type"], former.closed) == ("welcome", False)


@pytest.mark.parametrize("held", ["", "\n", None], ids=["empty", "blank", "missing"])
async def test_without_a_token_of_its_own_the_server_takes_nobody(
    server: Server, caplog: pytest.LogCaptureFixture, held: str | None
) -> None:
    """Least of all one who shows none either; its log says what is missing."""
    if held is None:
        server.token_file.unlink()
    else:
        server.token_file.write_text(held)
    for shown in ("t", ""):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            async with server.session(HELLO, token=shown):
                pass
    assert f"{server.token_file} " in caplog.text


async def test_the_latest_session_of_a_machine_counts(server: Server) -> None:
    """An agent that came back gets the list; the session of its predecessor ends."""
    async with server.session(HELLO) as former:
        await former.receive_json(timeout=5)
        await former.receive_json(timeout=5)
        async with server.session(HELLO) as latter:
            told = [(await latter.receive_json(timeout=5))["type"] for _ in range(2)]
            ended = await former.receive(timeout=5)
    assert (told, ended.type) == (["welcome", "wanted"], aiohttp.WSMsgType.CLOSE)


async def test_an_answer_that_is_none_is_not_taken(server: Server) -> None:
    """The session goes on."""
    async with server.session(HELLO) as socket:
        for _ in range(2):
            await socket.receive_json(timeout=5)
        await socket.send_json({"revision": "x"})
        await socket.send_json({"revision": 1, "there": ["s"], "failed": {}})
        await socket.close()
    agents = server.cloud.engine.hypervisor.shown()["agents"]
    assert agents[0]["pending"] == ["s"]


def test_an_address_that_is_none_is_refused_at_once() -> None:
    """An empty host is what a missing variable leaves."""
    ran = CliRunner().invoke(main, ["agent", "--server=http://:8090"])
    assert "'http://:8090': allowed is http://HOST:PORT" in ran.output
