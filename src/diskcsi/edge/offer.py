"""A socket for others to find, who may take it away: a directory is wiped, a successor puts its own there.

Whoever offers it has to notice, and to be able to offer another one, whatever became of this one.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from grpclib.server import Server

from diskcsi.edge.server import bound, closed
from diskcsi.edge.services import Service
from diskcsi.edge.wire import CheckedCodec
from diskcsi.telemetry.logging import logger

FileId = tuple[int, int]
"""Device and inode: of a socket that is open no other file can get them."""


@asynccontextmanager
async def offered(
    *,
    path: Path,
    service: Service,
    tasks: asyncio.TaskGroup,
    listen: Callable[[Path], socket.socket] = bound,
    close: Callable[[Server], Awaitable[None]] = closed,
) -> AsyncIterator[Callable[[], bool]]:
    """Serve on a socket while the block runs, which gets a function that tells whether it still stands.

    At the end it is gone; one of another process in its place is left.

    Args:
        tasks: the owner of what runs on when the caller is cancelled.
        listen: makes the socket.
        close: ends the server on it.

    Raises:
        SocketInUse: another process serves there, or something else stands there.
        OSError: the socket can't be made or served on; the message names it.
    """
    server = Server([service], codec=CheckedCodec(decoded=lambda message: None))  # noqa: ARG005
    listener = listen(path)
    own = _file_id(path)

    def stands() -> bool:
        return own is not None and _file_id(path) == own

    # neither a start nor a close that is cut off halfway could be ended: both run on
    start = _apart(tasks, server.start(sock=listener), name="offer-open")
    try:
        if error := await asyncio.shield(start):
            raise error
        yield stands
    finally:
        if stands():  # else another's
            with suppress(OSError):  # the next attempt tells of a place that nothing leaves
                path.unlink(missing_ok=True)  # noqa: ASYNC240 - a moment, on a local filesystem
        if await start:
            listener.close()
        elif error := await asyncio.shield(_apart(tasks, close(server), name="offer-close")):
            logger().warning("the socket stays open", socket=str(path), error=str(error))


def _apart(
    tasks: asyncio.TaskGroup, work: Awaitable[None], *, name: str
) -> asyncio.Task[Exception | None]:
    """Work of its own, which gives back its error: raised there it would end the process."""

    async def outcome() -> Exception | None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - given back
            return error
        return None

    return tasks.create_task(outcome(), name=name)


def _file_id(path: Path) -> FileId | None:
    """Which file stands there; None: none that can be seen."""
    try:
        told = path.lstat()
    except OSError:
        return None
    return told.st_dev, told.st_ino
