"""The machine's metadata service: where it may be, and when."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Never

import aiohttp
import pytest
from aiohttp import web
from mockcloud.agent import imds
from mockcloud.agent.devices import Unable
from network import ip, on_a_network_of_its_own
from nodes import Node, Nodes, Process, wait_until

ADDRESS = "100.100.100.200"
PORT = 80
SERVER_PORT = 8090
INSTANCE = "i-bp1a2b3c4d5e6f7g8h9j"

Answer = Callable[[web.Request], Awaitable[web.Response]]


async def real(request: web.Request) -> web.Response:
    """As a machine's service answers."""
    if request.method == "PUT":
        return web.Response(text="a-token")
    known = request.path == "/latest/meta-data/instance-id"
    return web.Response(text=INSTANCE) if known else web.Response(status=404)


async def real_with_tokens(request: web.Request) -> web.Response:
    """As one that answers nobody without a token."""
    shown = request.headers.get("X-aliyun-ecs-metadata-token")
    if request.method == "PUT" or shown == "a-token":
        return await real(request)
    return web.Response(status=403)


async def portal(request: web.Request) -> web.Response:
    """As one that answers in everybody's place."""
    del request
    return web.Response(text="<html>Please log in</html>")


async def proxy(request: web.Request) -> web.Response:
    """As one that finds no such host."""
    del request
    return web.Response(status=502)


async def throttled(request: web.Request) -> web.Response:
    """As a real one that has no time."""
    del request
    return web.Response(status=429)


async def starting(request: web.Request) -> web.Response:
    """As a real one that isn't up yet."""
    del request
    return web.Response(status=503)


async def without_tokens_yet(request: web.Request) -> web.Response:
    """As a real one whose tokens aren't up yet."""
    return web.Response(status=503 if request.method == "PUT" else 403)


async def mock(request: web.Request) -> web.Response:
    """As the mock's server, with what it was asked for."""
    return web.Response(text=request.path)


@contextlib.asynccontextmanager
async def answering(
    answer: Answer, *, address: str = ADDRESS, port: int = PORT
) -> AsyncIterator[None]:
    """While the block runs this answers there."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def no_pause(seconds: float) -> None:
    """Go on at once."""
    del seconds


def look(service: Answer | None = None) -> None:
    """Look whether the address is free, where this service answers."""

    async def looked() -> None:
        async with answering(service) if service else contextlib.nullcontext():
            await imds.prove_free(ADDRESS, PORT, pause=no_pause)

    asyncio.run(looked())


def lead_elsewhere() -> None:
    """Let a route lead to the address; the loopback interface has it not for its own."""
    ip("route", "add", "local", ADDRESS, "dev", "lo")


def is_on_loopback() -> bool:
    """Whether the interface has the address."""
    return f"inet {ADDRESS}/32 " in ip("-4", "address", "show", "dev", "lo")


async def until(so: Callable[[], Awaitable[object]]) -> None:
    """Look again and again; the kernel has no event for it."""
    async with asyncio.timeout(10):
        while not await so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False


async def told() -> str:
    """What the address answers; empty when nobody does."""
    url = f"http://{ADDRESS}:{PORT}/latest/meta-data/zone-id"
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return await answer.text()
    except aiohttp.ClientError:
        return ""


@contextlib.asynccontextmanager
async def in_front_of(answer: Answer) -> AsyncIterator[Callable[[str], asyncio.Task[Never]]]:
    """The mock's server with this answer; gives what begins a service in front of it.

    Those that still run end with the block.
    """
    begun: list[asyncio.Task[Never]] = []

    async with (
        answering(answer, address="127.0.0.1", port=SERVER_PORT),
        asyncio.TaskGroup() as tasks,
    ):

        def begin(instance: str) -> asyncio.Task[Never]:
            begun.append(tasks.create_task(serve(instance)))
            return begun[-1]

        yield begin
        for task in begun:
            task.cancel()


def serve(instance: str) -> Coroutine[None, None, Never]:
    """An agent's service, in front of the mock's server."""
    return imds.serve(
        address=ADDRESS, port=PORT, server=f"http://127.0.0.1:{SERVER_PORT}", instance=instance
    )


@pytest.mark.host
@pytest.mark.parametrize("service", [real, real_with_tokens])
@on_a_network_of_its_own
def test_a_real_service_is_not_hidden(service: Answer) -> None:
    """The words tell what was found, and what to do."""
    lead_elsewhere()
    with pytest.raises(Unable) as refused:
        look(service)
    assert f"{ADDRESS}:{PORT} already, and says that this is instance {INSTANCE}" in str(
        refused.value
    )
    assert '--metadata-address ""' in str(refused.value)


@pytest.mark.host
@pytest.mark.parametrize("service", [throttled, starting, without_tokens_yet])
@on_a_network_of_its_own
def test_a_service_that_can_not_answer_now_is_not_hidden(service: Answer) -> None:
    """It may be a real one that is busy or starting: to say nothing is not to be nothing."""
    lead_elsewhere()
    with pytest.raises(Unable, match=r"doesn't say what it is \(HTTP \d+\)"):
        look(service)


@pytest.mark.host
@on_a_network_of_its_own
def test_a_service_that_answers_at_last_is_found() -> None:
    """Its first answers were no word on what it is."""
    answers = [starting, throttled, real]

    async def late(request: web.Request) -> web.Response:
        return await answers.pop(0)(request)

    lead_elsewhere()
    with pytest.raises(Unable, match=f"says that this is instance {INSTANCE}"):
        look(late)


@pytest.mark.host
@pytest.mark.parametrize("service", [portal, proxy, None])
@on_a_network_of_its_own
def test_who_answers_for_everybody_or_nobody_is_no_service(service: Answer | None) -> None:
    """Networks with such a proxy are no machines of the cloud."""
    lead_elsewhere()
    look(service)


@pytest.mark.host
@on_a_network_of_its_own
def test_an_address_to_which_no_route_leads_is_free() -> None:
    """As on a machine without a network."""
    look()


@pytest.mark.host
@on_a_network_of_its_own
def test_a_former_agent_is_no_real_service() -> None:
    """It may still be ending, and answers meanwhile: the address is the loopback interface's own."""
    ip("address", "add", f"{ADDRESS}/32", "dev", "lo")
    look(real)


@pytest.mark.host
@on_a_network_of_its_own
def test_a_service_waits_for_the_end_of_a_former_one(caplog: pytest.LogCaptureFixture) -> None:
    """It has the address then, which the former one removed; and removes it at its own end."""
    caplog.set_level(logging.INFO)

    async def waits() -> bool:
        return f"somebody listens on {ADDRESS}:{PORT}" in caplog.text

    async def latter_tells() -> bool:
        return "i-latter" in await told()

    async def taken_over() -> None:
        async with in_front_of(mock) as begin:
            former = begin("i-former")
            await until(told)
            begin("i-latter")
            await until(waits)
            former.cancel()
            await until(latter_tells)

    asyncio.run(taken_over())
    assert not is_on_loopback()


@pytest.mark.host
@on_a_network_of_its_own
def test_an_address_that_somebody_removes_comes_back() -> None:
    """Whoever it was, and however long after the agent's start."""

    async def removed() -> None:
        async with in_front_of(mock) as begin:
            begin("i-1")
            await until(told)
            ip("address", "del", f"{ADDRESS}/32", "dev", "lo")
            await until(told)

    asyncio.run(removed())


@pytest.mark.host
@on_a_network_of_its_own
def test_a_way_that_led_astray_is_not_gone_twice() -> None:
    """While a Service's rules are made anew a connection may go elsewhere; the next one needn't."""
    ways: list[object] = []

    async def by_way(request: web.Request) -> web.Response:
        way = request.transport
        if way not in ways:
            ways.append(way)
        return web.Response(status=404) if way is ways[0] else await mock(request)

    async def tells() -> bool:
        return "zone-id" in await told()

    async def led_astray() -> None:
        async with in_front_of(by_way) as begin:
            begin("i-1")
            await until(tells)

    asyncio.run(led_astray())


async def asked_raw(port: int, method: str, path: str) -> bytes:
    """The first line of what a service answers to a path that no client's library mended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n")[0]


@pytest.mark.parametrize(
    "path",
    [
        "../../../_mock/faults", "%2e%2e/%2e%2e/%2e%2e/_mock/faults", ".%2E/.%2e/%2e./_mock/faults",
        "%252e%252e/%252e%252e/%252e%252e/_mock/faults", "..%2f..%2f..%2f_mock/faults",
        "meta-data/../../../../_mock/faults", "..%2F..%2F..%2F%3FAction=DescribeDisks",
    ],
)  # fmt: skip
async def test_a_path_leads_nowhere_but_to_its_own_instance(path: str) -> None:
    """A pod may ask what its machine is, and has no other business with the mock's server."""
    reached: list[str] = []

    async def noted(request: web.Request) -> web.Response:
        reached.append(request.raw_path)
        return web.Response(status=404)

    port, behind = free_port(), free_port()
    async with answering(noted, address="127.0.0.1", port=behind), asyncio.TaskGroup() as tasks:
        service = tasks.create_task(
            imds.serve(
                address="127.0.0.1", port=port, server=f"http://127.0.0.1:{behind}",
                instance="i-1",
            )
        )  # fmt: skip
        await until(lambda: listens(port))
        answer = await asked_raw(port, "DELETE", f"/latest/{path}")
        service.cancel()
    assert b" 404 " in answer
    assert all(one.startswith("/_imds/i-1/latest/") and "/.." not in one for one in reached)


async def test_a_port_that_somebody_keeps_is_told() -> None:
    """With what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unable, match=f"can't listen on 127.0.0.1:{port}: Address already in"):
            await imds.serve(
                address="127.0.0.1", port=port, server="http://127.0.0.1:1", instance="i-1",
                patience_s=0,
            )  # fmt: skip


@contextlib.contextmanager
def cloud_with_a_node(root: Path) -> Iterator[tuple[Nodes, Node]]:
    """A cloud that doesn't serve yet, and a node whose metadata are where the real cloud has them."""
    cloud = Nodes(root=root, host="127.0.0.1", port=SERVER_PORT)
    node = cloud.node()
    node.metadata = f"{ADDRESS}:{PORT}"
    try:
        yield cloud, node
    finally:
        cloud.close()


def said(process: Process, words: str) -> str:
    """Wait until a process has logged this, and return the line."""
    assert process.stderr is not None
    return next(line for line in process.stderr if words in line)


@pytest.mark.host
@on_a_network_of_its_own
def test_an_agent_leaves_a_machine_of_a_real_cloud_alone(tmp_path: Path) -> None:
    """It ends before it touched anything there."""
    lead_elsewhere()

    async def ends(process: Process) -> str:
        async with answering(real):
            return (await asyncio.to_thread(process.communicate, timeout=20))[1]

    with cloud_with_a_node(tmp_path) as (cloud, node):
        process = cloud.agent(node)
        assert f"instance {INSTANCE}" in asyncio.run(ends(process))
        assert (process.returncode, list(node.dev.iterdir())) == (1, [])


@pytest.mark.host
@on_a_network_of_its_own
def test_the_address_is_taken_when_the_cloud_has_the_machine(tmp_path: Path) -> None:
    """Not before, and it stays when the server goes."""
    with cloud_with_a_node(tmp_path) as (cloud, node):
        process = cloud.agent(node)
        said(process, "can't be reached")
        assert not is_on_loopback()
        cloud.serve()
        wait_until(lambda: node.reads("meta-data/instance-id") == node.instance, "it is told")
        cloud.kill(cloud.server)
        said(process, "closed the channel")
        assert is_on_loopback()


@pytest.mark.host
@on_a_network_of_its_own
def test_what_a_killed_agent_left_its_successor_takes_over(tmp_path: Path) -> None:
    """It isn't taken for a real cloud's; and it goes at the successor's end."""
    with cloud_with_a_node(tmp_path) as (cloud, node):
        cloud.serve()
        for number in (signal.SIGKILL, signal.SIGTERM):
            process = cloud.agent(node)
            wait_until(lambda: node.reads("meta-data/instance-id") == node.instance, "it is told")
            cloud.kill(process, number)
        assert (process.returncode, is_on_loopback()) == (0, False)
