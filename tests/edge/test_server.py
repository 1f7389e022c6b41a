"""The socket's beginning and end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpclib.client import Channel
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from diskcsi._proto.csi import v1
from diskcsi.edge.server import SocketInUse, answers
from diskcsi.model.errors import Unreachable
from tests.edge.sockets import Controller, Served, served_by, serving, until

CREATE = v1.CreateVolumeRequest(name="a")


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A machine that hides no new file from anybody."""
    former = os.umask(0)
    yield
    os.umask(former)


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    """A socket that somebody else serves."""
    path = tmp_path / "taken"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        yield path


@pytest.fixture
def stale(tmp_path: Path) -> Path:
    """A socket whose process is gone."""
    path = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
    return path


async def says_who_it_is(path: Path) -> bool:
    async with serving(path, served_by()) as served:
        told = await served.identity.get_plugin_info(v1.GetPluginInfoRequest())
    return told.name == "d.example.com"


async def test_only_its_own_user_may_connect(tmp_path: Path, open_umask: None) -> None:
    """Whoever connects can ask for any disk; the mode is there when the socket is."""
    async with serving(tmp_path / "s", served_by()) as served:
        assert stat.S_IMODE(served.path.stat().st_mode) == 0o600


async def test_other_files_of_the_process_keep_their_mode(tmp_path: Path, open_umask: None) -> None:
    """The mask was for the socket alone."""
    async with serving(tmp_path / "s", served_by()):
        (tmp_path / "f").touch()
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o666


async def test_missing_parents_are_made(tmp_path: Path) -> None:
    """Kubelet's directory of plug-ins is empty on a new node."""
    assert await says_who_it_is(tmp_path / "plugins" / "disk" / "s")


async def test_a_socket_that_nobody_serves_is_replaced(stale: Path) -> None:
    """The former process was killed."""
    assert await says_who_it_is(stale)


async def test_a_socket_that_somebody_serves_is_left_alone(listening: Path) -> None:
    """Two drivers on one socket would answer in turns."""
    with pytest.raises(SocketInUse, match=f"another process serves on {listening}"):
        await says_who_it_is(listening)


async def test_a_server_too_busy_to_take_a_connection_is_one(tmp_path: Path) -> None:
    """Its queue is full; waiting for a place in it could take forever."""
    path = tmp_path / "busy"
    with contextlib.ExitStack() as opened:
        other = opened.enter_context(socket.socket(socket.AF_UNIX))
        other.bind(str(path))
        other.listen(0)
        client = opened.enter_context(socket.socket(socket.AF_UNIX))
        client.connect(str(path))
        with pytest.raises(SocketInUse):
            await says_who_it_is(path)


async def test_who_serves_it_still_answers(listening: Path) -> None:
    """The refusal took nothing from it."""
    with pytest.raises(SocketInUse):
        await says_who_it_is(listening)
    _, writer = await asyncio.open_unix_connection(listening)
    writer.close()
    await writer.wait_closed()


async def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    """It may be somebody's data."""
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(SocketInUse, match="is no socket"):
        await says_who_it_is(path)
    assert path.read_text() == "data"


async def test_a_path_that_can_t_be_a_socket_is_named(tmp_path: Path) -> None:
    """The kernel takes 107 bytes; the bare error doesn't say of what."""
    path = tmp_path / ("x" * 120)
    with pytest.raises(OSError, match=f"can't listen on {path}"):
        await says_who_it_is(path)


async def test_afterwards_the_socket_is_gone(tmp_path: Path) -> None:
    """Nobody waits on a socket without a process."""
    async with serving(tmp_path / "s", served_by()) as served:
        pass
    assert not served.path.exists()


async def test_a_server_answers_on_its_own_socket(tmp_path: Path) -> None:
    """It is how the process checks itself."""
    async with serving(tmp_path / "s", served_by()) as served:
        await answers(served.path)


async def test_a_socket_without_a_server_does_not_answer(stale: Path) -> None:
    """The reason names it."""
    with pytest.raises(Unreachable, match=str(stale)):
        await answers(stale)


async def test_a_socket_whose_file_is_gone_does_not_answer(tmp_path: Path) -> None:
    """Whoever has a connection goes on, and nobody gets a new one."""
    async with serving(tmp_path / "s", served_by()) as served:
        await answers(served.path)
        served.path.unlink()
        with pytest.raises(Unreachable, match="nothing answers"):
            await answers(served.path)


async def test_a_server_that_drains_answers(tmp_path: Path) -> None:
    """A refusal is an answer: a supervisor must not shoot what is about to end well."""
    async with serving(tmp_path / "s", served_by()) as served:
        served.guard.close_gate()
        await answers(served.path)


class Drain:
    """A server that is asked to stop while one call runs."""

    def __init__(self, path: Path, *, drain_s: float = 5.0) -> None:
        self._path = path
        self._drain_s = drain_s
        self._stop = asyncio.Event()
        self.finish = asyncio.Event()
        self.served: Served | None = None

    async def run(self) -> None:
        service = Controller(self.finish.wait)
        async with serving(
            self._path, served_by(controller=service), drain_s=self._drain_s
        ) as self.served:
            await self._stop.wait()

    async def call(self) -> str:
        """What a client of its own gets."""
        channel = Channel(path=str(self._path))
        try:
            answer = await v1.ControllerStub(channel).create_volume(CREATE)
        except GRPCError as refused:
            return refused.status.name
        finally:
            channel.close()
        return answer.volume.volume_id

    async def begun(self, calls: int = 1) -> None:
        await until(lambda: self.served is not None and self.served.guard.running == calls)

    async def stopping(self) -> None:
        self._stop.set()
        assert self.served is not None
        gate = self.served.guard
        await until(lambda: not gate.open)


async def test_a_running_call_gets_its_answer_before_the_end(tmp_path: Path) -> None:
    """A lost answer would have the caller do it all again."""
    drain = Drain(tmp_path / "s")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(drain.run())
        await until((tmp_path / "s").exists)
        call = tasks.create_task(drain.call())
        await drain.begun()
        await drain.stopping()
        drain.finish.set()
        assert await call == "d-1"


async def test_a_new_call_during_the_drain_is_refused(tmp_path: Path) -> None:
    """On a new connection too: the code says to try again."""
    drain = Drain(tmp_path / "s")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(drain.run())
        await until((tmp_path / "s").exists)
        tasks.create_task(drain.call())
        await drain.begun()
        await drain.stopping()
        assert await drain.call() == Status.UNAVAILABLE.name
        drain.finish.set()


async def test_a_call_that_never_ends_does_not_keep_the_process(tmp_path: Path) -> None:
    """After the grace it is cut off."""
    drain = Drain(tmp_path / "s", drain_s=0.05)
    async with asyncio.TaskGroup() as tasks:
        server = tasks.create_task(drain.run())
        await until((tmp_path / "s").exists)
        call = tasks.create_task(drain.call())
        await drain.begun()
        await drain.stopping()
        done, _ = await asyncio.wait([server], timeout=5)
        call.cancel()
        assert server in done


async def test_a_client_that_keeps_its_connection_does_not_keep_the_process(
    tmp_path: Path,
) -> None:
    """Sidecars hold theirs open all the time."""
    async with serving(tmp_path / "s", served_by()) as served:
        idle = Channel(path=str(served.path))
        await v1.IdentityStub(idle).get_plugin_info(v1.GetPluginInfoRequest())
        ended = asyncio.get_running_loop().time()
    took_s = asyncio.get_running_loop().time() - ended
    idle.close()
    assert took_s < 2.0
