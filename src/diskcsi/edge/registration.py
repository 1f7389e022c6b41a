"""The plug-in makes itself known to kubelet, which needs no helper beside it.

Kubelet watches a directory. Of each socket that appears there it asks who it is, calls NodeGetInfo
on the driver's own socket, and then tells what became of it; after its own restart it finds the
socket by itself (kubelet's plug-in registration, version 1). Only a socket that appears makes it
ask again. So one that was lost is made anew, and after a refusal it is made anew as well, each time
later.

It is made anew, too, when the node turns out to have another id than kubelet was told. A socket that
goes lets kubelet take the driver out of CSINode, where an entry's node id can't be changed; one that
comes puts it in again. Meanwhile no pod with a volume starts or ends there, and a kubelet that refuses
leaves it so: several looks have to agree, and a node that has volumes stays. One in another place under
the same id stays as well. On the Node object kubelet only adds labels: it would refuse a place that
contradicts one, until a person takes the label away.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from grpclib.server import Server

from diskcsi._proto import pluginregistration as wire
from diskcsi.aio.backoff import backoff
from diskcsi.edge.offer import offered
from diskcsi.edge.server import bound, closed
from diskcsi.model.errors import Unreachable
from diskcsi.model.ids import NodeId, VolumeId
from diskcsi.node.recognition import Recognition
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

IDENTITY_LOOK_S: Final = 60.0
"""The longest time between two looks at who the node is, and the shortest is half of it. Pods that wait
for its right name can wait a minute; what a look may cost others, its source keeps."""

LABEL_COLLISION: Final = "topology value collision"
"""In the words of a kubelet whose Node has such a label (its pkg/volume/csi/nodeinfomanager); they are
all that it gives, and they decide on nothing but the advice."""

COLLISION_HINT: Final = (
    "if that label is out of date take it away (kubectl label node NAME KEY-), else correct what"
    " tells where this node is; it registers then without a restart"
)


class Registration:
    """What became of it, as kubelet told.

    Attributes:
        path: the socket that kubelet calls.
        changed: set when kubelet tells something.
        reason: why kubelet doesn't know the driver now; empty while it does.
        refused: whether that is because kubelet refused it.

    Args:
        answered: the id that kubelet was told when it asked last.
        refusal: told of every refusal, to count them.
    """

    def __init__(
        self,
        *,
        path: Path,
        answered: Callable[[], NodeId | None],
        refusal: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self.changed = asyncio.Event()
        self.refused = False
        self._answered = answered
        self._refusal = refusal
        self._recognition: Recognition | None = None
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
        self.refused = not registered
        if registered:
            # later on it asks how many volumes the node takes, and keeps nothing else of the answer
            known_as = self._answered()
            self._recognition = Recognition(known_as=known_as) if known_as else None
            if self.reason:
                logger().info("registered with kubelet", socket=str(self.path))
            self.reason = self._hindrance = ""
        else:
            words = words or "it does not say why"
            hint = f"; {COLLISION_HINT}" if LABEL_COLLISION in words else ""
            self.reason = f"kubelet refused it: {words}{hint}"
            self._refusal()
            logger().error(
                "kubelet refused the registration", error=f"{words}{hint}", socket=str(self.path)
            )
        self.changed.set()

    def seen(self, now: NodeId, *, has_volumes: bool) -> None:
        """Who the node is now: where looks agree that it has another id, kubelet has to ask again.

        Args:
            has_volumes: whether some are staged here, or may be; then the driver stays, to unstage them.
        """
        former = self._recognition
        if not self.registered or former is None:
            return
        self._recognition = told = former.after(now)
        if told.another is None:
            return
        if not has_volumes:
            self.reason = f"kubelet knows this node as {told.known_as}, and it is {now}"
            self.changed.set()
        elif former.another is None:
            logger().error(
                "this node is another one than kubelet knows, and has volumes or may have some: it"
                " stays registered until none is left",
                known_as=told.known_as, now=now,
                hint="see which machine their disks are attached to, and drain this node",
            )  # fmt: skip


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
        look: the id of this node, as kubelet would be told; raises while the driver can't tell.
        staged: the volumes that are staged here.
        look_s: seconds between two looks at the socket.
        identity_look_s: seconds between two looks at who the node is, at most; half, at least.
        first_pause_s: seconds before the second attempt; each later pause is twice as long.
        listen: makes the socket that kubelet finds.
        close: ends the server on it.
    """

    service: RegistrationService
    registration: Registration
    tasks: asyncio.TaskGroup
    look: Callable[[], Awaitable[NodeId]]
    staged: Callable[[], Awaitable[Collection[VolumeId]]]
    random: Random = field(default_factory=Random)
    look_s: float = LOOK_S
    identity_look_s: float = IDENTITY_LOOK_S
    first_pause_s: float = FIRST_PAUSE_S
    listen: Callable[[Path], socket.socket] = bound
    close: Callable[[Server], Awaitable[None]] = closed

    async def run(self) -> None:
        """Offer the driver to kubelet, again and again, until cancelled; then the socket is gone."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._offer(), name="registration-offer")
            both.create_task(self._watch(), name="registration-watch")

    async def _offer(self) -> None:
        while True:
            async for _ in self._attempts():
                await self._until_useful()
                if await self._offered():
                    break

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.identity_look_s * self.random.uniform(0.5, 1.0))
            if self.registration.registered:
                await self._compare()

    async def _compare(self) -> None:
        """Look who the node is now; one that can't be looked at is no other one."""
        try:
            now = await self.look()
        except Exception:  # noqa: BLE001 - whatever it is, readiness asks as well and tells
            return
        try:
            has_volumes = bool(await self.staged())
        except Exception:  # noqa: BLE001 - who can't tell them has logged it
            has_volumes = True
        self.registration.seen(now, has_volumes=has_volumes)

    def _attempts(self) -> AsyncIterator[int]:
        return backoff(first_s=self.first_pause_s, max_s=LONGEST_PAUSE_S, random=self.random)

    async def _until_useful(self) -> None:
        async for _ in self._attempts():
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - whatever ails it may be put right
                self.registration.hindered(str(error) or type(error).__name__)
            else:
                return

    async def _offered(self) -> bool:
        """Serve until kubelet refuses, or is to ask again; whether to offer it again at once."""
        path, changed = self.registration.path, self.registration.changed
        changed.clear()
        self.registration.wait_for(
            f"kubelet has not called {path} so far; it watches {path.parent}"
        )
        try:
            async with offered(
                path=path, service=self.service, tasks=self.tasks, listen=self.listen,
                close=self.close,
            ) as stands:  # fmt: skip
                while True:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self.look_s):
                            await changed.wait()
                    if changed.is_set() and not self.registration.registered:
                        return not self.registration.refused
                    changed.clear()
                    if not stands():
                        logger().warning("the registration socket is lost", socket=str(path))
                        return True
        except Exception as error:  # noqa: BLE001 - whatever ails it ends this attempt alone
            self.registration.hindered(str(error) or type(error).__name__)
            return False


@asynccontextmanager
async def registering(registrar: Registrar) -> AsyncIterator[None]:
    """Keep the driver registered while the block runs; at its end the socket is gone."""
    task = registrar.tasks.create_task(registrar.run(), name="registration")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
