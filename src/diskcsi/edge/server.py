"""The unix socket and its end: a stale one is removed, a live one is not, and a stop drains.

grpclib's own `close` cancels running calls without trailers, which callers read as a lost
connection; so the drain is ours: shut the gate, let the running calls end, let their trailers
leave, close.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from grpclib.client import Channel
from grpclib.events import RecvRequest, listen
from grpclib.exceptions import GRPCError, StreamTerminatedError
from grpclib.server import Server

from diskcsi._proto.csi import v1
from diskcsi.edge.guard import Guard
from diskcsi.edge.services import Served, Service
from diskcsi.edge.wire import CheckedCodec
from diskcsi.model.errors import Unreachable
from diskcsi.telemetry.logging import logger

TRAILER_TURNS: Final = 10
"""Turns of the loop in which the last answers leave; each is written within two or three."""

CLOSE_S: Final = 0.2
"""Time for the connections to close; grpclib may wait for a client that keeps its own open."""

BACKLOG: Final = 100
"""Connections that may wait to be taken; a node has a handful of callers."""


class SocketInUse(Exception):  # noqa: N818 - reads as what happened
    """Another process answers on the socket; the message names it."""


@asynccontextmanager
async def serving(
    *, path: Path, services: Sequence[Service], guard: Guard, drain_s: float
) -> AsyncIterator[None]:
    """Serve on the socket while the block runs; then give running calls `drain_s` to end.

    Raises:
        SocketInUse: another process serves there, or something else stands there.
        OSError: the socket can't be made; the message names it.
    """
    server = Server(services, codec=CheckedCodec(decoded=guard.bind_ids))
    # grpclib answers a path it doesn't know without a content type; it offers no other way in
    server._mapping = Served(server._mapping)  # noqa: SLF001
    listen(server, RecvRequest, guard.listen)
    await server.start(sock=bound(path))
    try:
        yield
    finally:
        await _drain(server, guard, drain_s)
        with suppress(FileNotFoundError):
            path.unlink()  # noqa: ASYNC240 - a moment, on a local filesystem


async def answers(path: Path) -> None:
    """Prove that the driver answers a call on its socket, over a connection of its own.

    A kept connection would live on when the socket's file is gone, which is what callers need.

    Raises:
        Unreachable: nothing answers there; the message names the socket.
    """
    channel = Channel(path=str(path))
    try:
        await v1.IdentityStub(channel).get_plugin_info(v1.GetPluginInfoRequest())
    except (OSError, StreamTerminatedError) as error:
        raise Unreachable(f"nothing answers on the driver's own socket {path}: {error}") from error
    except GRPCError:
        return  # an answer all the same: it drains, or can't start, which others tell
    finally:
        channel.close()


async def _drain(server: Server, guard: Guard, drain_s: float) -> None:
    guard.close_gate()
    try:
        async with asyncio.timeout(drain_s):
            await guard.wait_idle()
    except TimeoutError:
        logger().warning("calls still run at the end of the grace", running=guard.running)
    await closed(server)


async def closed(server: Server) -> None:
    """Let the last answers leave, and close."""
    for _ in range(TRAILER_TURNS):
        await asyncio.sleep(0)
    server.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await server.wait_closed()


def bound(path: Path) -> socket.socket:
    """A listening socket that only this user may connect to, from its first moment on.

    A stale one is replaced, and the directory made.

    Raises:
        SocketInUse: another process serves there, or something else stands there.
        OSError: the socket can't be made; the message names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)  # noqa: FBT003 - the name of the method says it
        former = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(former)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OSError(f"can't listen on {path}: {error.strerror or error}") from error
    return listener


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketInUse(f"{path} exists and is no socket: remove it or set another endpoint")
    if _answers_nobody(path):
        path.unlink(missing_ok=True)
    else:
        raise SocketInUse(f"another process serves on {path}: stop it or set another endpoint")


def _answers_nobody(path: Path) -> bool:
    """Whether the socket's process is gone; one that is too busy to take a connection is not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # noqa: FBT003 - the name of the method says it
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except BlockingIOError:
            return False
        return False
