"""The plug-in makes itself known to kubelet, which needs no helper beside it.

Kubelet watches a directory. Of each socket that appears there it asks who it is, calls NodeGetInfo
on the driver's own socket, and then tells what became of it; after its own restart it finds the
socket by itself (kubelet's plug-in registration, version 1). Only a socket that appears makes it
ask again. So one that was lost is made anew, and after a refusal it is made anew as well, each time
later.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from grpclib.server import Server

from diskcsi._proto import pluginregistration as wire
from diskcsi.aio.backoff import backoff
from diskcsi.edge.server import bound, closed
from diskcsi.edge.wire import CheckedCodec
from diskcsi.model.errors import Unreachable
from diskcsi.telemetry.logging import logger

KIND: Final = "CSIPlugin"
VERSIONS: Final = ("1.0.0",)
"""What kubelet knows a CSI driver by, and the version of CSI that it asks for."""

LOOK_S: Final = 1.0
"""Between two looks whether the socket is still there: one look is one `stat`, and a pod that waits
for the driver can wait a second."""

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
"""Between two attempts; kubelet itself waits up to two minutes after refusing several times."""

FileId = tuple[int, int]
"""Device and inode: of a socket that is open no other file can get them."""


class Registration:
    """What became of it, as kubelet told.

    Attributes:
        path: the socket that kubelet calls.
        changed: set when kubelet tells something.
        reason: why kubelet doesn't know the driver now; empty while it does.

    Args:
        refused: told of every refusal, to count them.
    """

    def __init__(self, *, path: Path, refused: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self.changed = asyncio.Event()
        self._refused = refused
        self._hindrance = ""
        self.reason = "the driver's own start has not come so far"

    @property
    def registered(self) -> bool:
        """Whether kubelet knows the driver now."""
        return not self.reason

    async def check(self) -> None:
        """Return when kubelet knows the driver.

        Raises:
            Unreachable: it doesn't, and why.
        """
        if self.reason:
            raise Unreachable(f"not registered with kubelet: {self.reason}")

    def wait_for(self, reason: str) -> None:
        """It isn't registered now, for this reason."""
        self.reason = reason

    def hindered(self, reason: str) -> None:
        """It can't even be offered, for this reason, which the log tells when it is new."""
        self.reason = reason
        if reason != self._hindrance:
            logger().warning("not registered yet", reason=reason)
        self._hindrance = reason

    def told(self, *, registered: bool, words: str) -> None:
        """Kubelet's answer."""
        if registered:
            if self.reason:
                logger().info("registered with kubelet", socket=str(self.path))
            self.reason = self._hindrance = ""
        else:
            self.reason = f"kubelet refused it: {words or 'it does not say why'}"
            self._refused()
            logger().error("kubelet refused the registration", error=words, socket=str(self.path))
        self.changed.set()


class RegistrationService(wire.RegistrationBase):
    """What kubelet asks on the registration socket."""

    def __init__(self, *, driver: str, endpoint: Path, registration: Registration) -> None:
        self._driver = driver
        self._endpoint = endpoint
        self._registration = registration

    async def get_info(self, info_request: wire.InfoRequest) -> wire.PluginInfo:  # noqa: ARG002
        """Who the driver is, and where kubelet calls it."""
        return wire.PluginInfo(
            type=KIND,
            name=self._driver,
            endpoint=str(self._endpoint),
            supported_versions=list(VERSIONS),
        )

    async def notify_registration_status(
        self, registration_status: wire.RegistrationStatus
    ) -> wire.RegistrationStatusResponse:
        """Whether kubelet took it."""
        self._registration.told(
            registered=registration_status.plugin_registered, words=registration_status.error
        )
        return wire.RegistrationStatusResponse()


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrar:
    """Keeps the driver registered for as long as it runs.

    Attributes:
        tasks: the owner of what runs beside the caller.
        useful: returns when the driver can tell who this node is; raises while it can't, and
            kubelet would be refused.
        look_s: seconds between two looks at the socket.
        first_pause_s: seconds before the second attempt; each later pause is twice as long.
        listen: makes the socket that kubelet finds.
        close: ends the server on it.
    """

    service: RegistrationService
    registration: Registration
    tasks: asyncio.TaskGroup
    useful: Callable[[], Awaitable[object]]
    random: Random = field(default_factory=Random)
    look_s: float = LOOK_S
    first_pause_s: float = FIRST_PAUSE_S
    listen: Callable[[Path], socket.socket] = bound
    close: Callable[[Server], Awaitable[None]] = closed

    async def run(self) -> None:
        """Offer the driver to kubelet, again and again, until cancelled; then the socket is gone."""
        while True:
            async for _ in self._attempts():
                await self._until_useful()
                if await self._offered():
                    break

    def _attempts(self) -> AsyncIterator[int]:
        return backoff(first_s=self.first_pause_s, max_s=LONGEST_PAUSE_S, random=self.random)

    async def _until_useful(self) -> None:
        async for _ in self._attempts():
            try:
                await self.useful()
            except Exception as error:  # noqa: BLE001 - whatever ails it may be put right
                self.registration.hindered(str(error) or type(error).__name__)
            else:
                return

    async def _offered(self) -> bool:
        """Serve until the socket is lost, or kubelet refuses; whether it was not refused."""
        path, changed = self.registration.path, self.registration.changed
        changed.clear()
        self.registration.wait_for(
            f"kubelet has not called {path} so far; it watches {path.parent}"
        )
        try:
            async with self._serving(path) as own:
                while True:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self.look_s):
                            await changed.wait()
                    if changed.is_set() and not self.registration.registered:
                        return False
                    changed.clear()
                    if _file_id(path) != own:
                        logger().warning("the registration socket is lost", socket=str(path))
                        return True
        except Exception as error:  # noqa: BLE001 - whatever ails it ends this attempt alone
            self.registration.hindered(str(error) or type(error).__name__)
            return False

    @asynccontextmanager
    async def _serving(self, path: Path) -> AsyncIterator[FileId | None]:
        server = Server([self.service], codec=CheckedCodec(decoded=lambda message: None))  # noqa: ARG005
        listener = self.listen(path)
        own = _file_id(path)
        # neither a start nor a close that is cut off halfway could be ended: both run on
        start = self._apart(server.start(sock=listener), name="registration-open")
        try:
            if error := await asyncio.shield(start):
                raise error
            yield own
        finally:
            if _file_id(path) == own:  # else another's
                with suppress(OSError):  # the next attempt tells of a place that nothing leaves
                    path.unlink(missing_ok=True)  # noqa: ASYNC240 - a moment, on a local filesystem
            if await start:
                listener.close()
            elif error := await asyncio.shield(
                self._apart(self.close(server), name="registration-close")
            ):
                logger().warning("the registration socket stays open", error=str(error))

    def _apart(self, work: Awaitable[None], *, name: str) -> asyncio.Task[Exception | None]:
        """Work of its own, which gives back its error: raised there it would end the plug-in."""

        async def outcome() -> Exception | None:
            try:
                await work
            except Exception as error:  # noqa: BLE001 - given back
                return error
            return None

        return self.tasks.create_task(outcome(), name=name)


def _file_id(path: Path) -> FileId | None:
    """Which file stands there; None: none that can be seen."""
    try:
        told = path.lstat()
    except OSError:
        return None
    return told.st_dev, told.st_ino


@asynccontextmanager
async def registering(registrar: Registrar) -> AsyncIterator[None]:
    """Keep the driver registered while the block runs; at its end the socket is gone."""
    task = registrar.tasks.create_task(registrar.run(), name="registration")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
