"""The plug-in and a kubelet that calls its registration socket, over real sockets."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from grpclib.client import Channel
from grpclib.server import Server

from diskcsi._proto import pluginregistration as wire
from diskcsi.edge.registration import Registrar, Registration, RegistrationService, registering
from diskcsi.edge.server import bound, closed
from diskcsi.model.errors import Unreachable
from diskcsi.model.ids import NodeId, VolumeId
from tests.edge.conftest import Log
from tests.edge.sockets import until

DRIVER = "d.example.com"
ENDPOINT = Path("/plugins/d.example.com/csi.sock")


ONE, OTHER = NodeId("i-1"), NodeId("i-2")


class Node:
    """Who the node is, as a test says."""

    def __init__(self) -> None:
        self.now = ONE
        self.error: Exception | None = None
        self.answered: NodeId | None = None
        self.looks = 0
        self.volumes: set[VolumeId] = set()
        self.unasked: Exception | None = None
        self.coming: list[tuple[NodeId, Exception | None]] = []

    async def staged(self) -> set[VolumeId]:
        """The volumes on it."""
        if self.unasked is not None:
            raise self.unasked
        return self.volumes

    async def look(self) -> NodeId:
        """What kubelet would be told."""
        self.looks += 1
        if self.coming:
            self.now, self.unasked = self.coming.pop(0)
        if self.error is not None:
            raise self.error
        return self.now

    async def looked(self, times: int = 3) -> None:
        """Wait until it was looked at so often again."""
        before = self.looks
        await until(lambda: self.looks >= before + times)


@dataclass(kw_only=True)
class Offered:
    """A driver that registers, and what a test does to it as kubelet."""

    registration: Registration
    node: Node
    refusals: list[None] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.registration.path

    async def there(self) -> int:
        """Wait for the socket; the number of its file."""
        await until(self.path.exists)
        return self.path.stat().st_ino

    @asynccontextmanager
    async def replaced(self) -> AsyncIterator[None]:
        """What the block does makes the socket anew."""
        former = await self.there()
        held = os.open(self.path, os.O_PATH)  # so that its number is not given away again
        try:
            yield
            await until(lambda: self.path.exists() and self.path.stat().st_ino != former)
        finally:
            os.close(held)

    async def ask(self) -> wire.PluginInfo:
        """Who it is."""
        await self.there()
        channel = Channel(path=str(self.path))
        try:
            return await wire.RegistrationStub(channel).get_info(wire.InfoRequest())
        finally:
            channel.close()

    async def tell(self, *, registered: bool = True, error: str = "") -> None:
        """What became of it, after the node was asked who it is."""
        await self.there()
        self.node.answered = self.node.now
        channel = Channel(path=str(self.path))
        status = wire.RegistrationStatus(plugin_registered=registered, error=error)
        try:
            await wire.RegistrationStub(channel).notify_registration_status(status)
        finally:
            channel.close()

    async def why_not(self) -> str:
        """What readiness tells; empty when all is well."""
        try:
            await self.registration.check()
        except Unreachable as error:
            return str(error)
        return ""


@asynccontextmanager
async def offering(
    directory: Path,
    node: Node | None = None,
    *,
    first_pause_s: float = 0.001,
    listen: Callable[[Path], socket.socket] = bound,
    close: Callable[[Server], Awaitable[None]] = closed,
) -> AsyncIterator[Offered]:
    """Keep a driver registered while the block runs."""
    refusals: list[None] = []
    node = node or Node()
    registration = Registration(
        path=directory / f"{DRIVER}-reg.sock",
        answered=lambda: node.answered,
        refusal=lambda: refusals.append(None),
    )
    service = RegistrationService(driver=DRIVER, endpoint=ENDPOINT, registration=registration)
    async with asyncio.TaskGroup() as tasks:
        registrar = Registrar(
            service=service, registration=registration, tasks=tasks, look=node.look,
            staged=node.staged,
            look_s=0.001, first_pause_s=first_pause_s, identity_look_s=0.001,
            listen=listen, close=close,
        )  # fmt: skip
        async with registering(registrar):
            yield Offered(registration=registration, node=node, refusals=refusals)


async def test_kubelet_is_told_who_it_is_and_where_it_serves(tmp_path: Path) -> None:
    """The kind and version are those that kubelet knows."""
    async with offering(tmp_path) as offered:
        info = await offered.ask()
    assert (info.type, info.name, info.endpoint, info.supported_versions) == (
        "CSIPlugin", DRIVER, str(ENDPOINT), ["1.0.0"],
    )  # fmt: skip


async def test_only_the_machines_root_may_call(tmp_path: Path) -> None:
    """Nobody else tells a driver whether it is registered."""
    async with offering(tmp_path) as offered:
        await offered.there()
        assert stat.S_IMODE(offered.path.stat().st_mode) == 0o600


async def test_it_is_ready_once_kubelet_has_said_so(tmp_path: Path) -> None:
    """Before that a rollout must not go on to the next node."""
    async with offering(tmp_path) as offered:
        await offered.there()
        before = await offered.why_not()
        await offered.tell()
        assert ("kubelet has not called" in before, await offered.why_not()) == (True, "")


async def test_a_refusal_is_told_in_kubelets_words(tmp_path: Path, log: Log) -> None:
    """In readiness, as an error of the log, and counted."""
    async with offering(tmp_path) as offered:
        await offered.there()
        await offered.tell(registered=False, error="no such version")
        told = await offered.why_not()
    lines = [line for line in log.lines if line["level"] == "error"]
    assert "no such version" in told
    assert [line["error"] for line in lines] == ["no such version"]
    assert len(offered.refusals) == 1


async def test_after_a_refusal_the_socket_is_made_anew(tmp_path: Path) -> None:
    """Kubelet asks again when a socket appears, and may take it then."""
    async with offering(tmp_path) as offered:
        async with offered.replaced():
            await offered.tell(registered=False, error="later")
        await offered.tell()
        assert offered.registration.registered


async def test_success_is_logged_once(tmp_path: Path, log: Log) -> None:
    """Kubelet tells it again after each of its restarts."""
    async with offering(tmp_path) as offered:
        await offered.tell()
        await offered.tell()
    assert [line["event"] for line in log.lines].count("registered with kubelet") == 1


@pytest.mark.parametrize(
    "lose",
    [lambda path: path.unlink(), lambda path: shutil.rmtree(path.parent)],
    ids=["socket", "directory"],
)
async def test_a_lost_socket_is_made_anew(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    """Kubelet forgets a driver whose socket goes, so it isn't ready until it is known again."""
    async with offering(tmp_path / "registry") as offered:
        await offered.tell()
        lose(offered.path)
        await until(lambda: not offered.registration.registered and offered.path.exists())
        await offered.tell()
        assert offered.registration.registered


async def test_a_directory_that_is_not_there_yet_is_made(tmp_path: Path) -> None:
    """The plug-in may start before kubelet does."""
    async with offering(tmp_path / "a" / "b") as offered:
        assert (await offered.ask()).name == DRIVER


async def test_at_the_end_the_socket_is_gone(tmp_path: Path) -> None:
    """Kubelet calls nobody who is about to end."""
    async with offering(tmp_path) as offered:
        await offered.there()
    assert not offered.path.exists()


async def test_a_socket_of_another_process_is_left_to_it(tmp_path: Path) -> None:
    """A successor has put its own there: it is neither replaced nor removed at the end."""
    async with offering(tmp_path) as offered:
        await offered.there()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(tmp_path / "other"))
            successor.listen()
            (tmp_path / "other").rename(offered.path)
            await until(lambda: "another process" in offered.registration.reason)
            number = offered.path.stat().st_ino
    assert offered.path.stat().st_ino == number


async def test_a_stale_socket_of_a_predecessor_is_replaced(tmp_path: Path) -> None:
    """A process that was killed leaves one."""
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / f"{DRIVER}-reg.sock"))
    async with offering(tmp_path) as offered:
        await until(lambda: "has not called" in offered.registration.reason)
        assert (await offered.ask()).name == DRIVER


async def test_a_place_where_no_socket_can_be_made_is_told(tmp_path: Path) -> None:
    """The process goes on, since the place may be put right."""
    blocked = tmp_path / "registry"
    blocked.write_text("a file")
    async with offering(blocked) as offered:
        await until(lambda: str(blocked) in offered.registration.reason)
        blocked.unlink()
        assert (await offered.ask()).name == DRIVER


async def test_a_socket_that_cannot_be_served_on_ends_that_attempt_alone(
    tmp_path: Path, log: Log
) -> None:
    """The plug-in serves on, tells it once, and tries again."""
    made: list[socket.socket] = []

    def listen(path: Path) -> socket.socket:
        listener = bound(path)
        made.append(listener)
        if len(made) <= 2:
            listener.close()
        return listener

    async with offering(tmp_path, listen=listen) as offered:
        await until(lambda: len(made) > 2)
        assert (await offered.ask()).name == DRIVER
    assert [line["event"] for line in log.lines].count("not registered yet") == 1


async def test_a_socket_that_goes_in_the_moment_it_is_made_is_lost_too(tmp_path: Path) -> None:
    """Nobody ever saw its file, so that none stands there is no sign that it still does."""
    made: list[Path] = []

    def listen(path: Path) -> socket.socket:
        listener = bound(path)
        made.append(path)
        if len(made) == 1:
            path.unlink()
        return listener

    async with offering(tmp_path, listen=listen) as offered:
        assert (await offered.ask()).name == DRIVER


async def test_a_socket_that_cannot_be_closed_ends_nothing(tmp_path: Path, log: Log) -> None:
    """A new one is there all the same."""

    async def close(server: Server) -> None:
        await closed(server)
        raise OSError("no way")

    async with offering(tmp_path, close=close) as offered:
        await offered.tell()
        offered.path.unlink()
        await until(lambda: not offered.registration.registered and offered.path.exists())
        await offered.tell()
        assert offered.registration.registered
    assert {
        line["error"] for line in log.lines if line["level"] == "warning" and "error" in line
    } == {"no way"}


async def test_a_driver_that_does_not_know_its_node_offers_nothing(
    tmp_path: Path, log: Log
) -> None:
    """Kubelet would call NodeGetInfo in vain; the reason is logged once."""
    node = Node()
    node.error = Unreachable("nothing tells this node's zone")
    async with offering(tmp_path, node) as offered:
        await node.looked()
        told = await offered.why_not()
        assert not offered.path.exists()
    assert "nothing tells this node's zone" in told
    assert [line["event"] for line in log.lines].count("not registered yet") == 1


async def test_once_the_node_is_known_it_registers_without_a_restart(tmp_path: Path) -> None:
    """Not knowing is no state to be stuck in."""
    node = Node()
    node.error = Unreachable("later")
    async with offering(tmp_path, node) as offered:
        await node.looked()
        node.error = None
        await offered.tell()
        assert offered.registration.registered


async def test_a_node_that_has_another_id_is_registered_anew(tmp_path: Path) -> None:
    """Kubelet keeps who it was told until the socket goes and comes."""
    async with offering(tmp_path, first_pause_s=3600) as offered:
        await offered.tell()
        async with offered.replaced():
            offered.node.now = OTHER
        assert not offered.registration.registered
        await offered.tell()
        await offered.node.looked()
        assert offered.registration.registered


async def test_a_node_whose_volumes_are_not_known_stays(tmp_path: Path) -> None:
    """Whatever fails in asking leaves it undecided whether there are some to unmount."""
    async with offering(tmp_path) as offered:
        await offered.tell()
        offered.node.unasked, offered.node.now = RuntimeError("can't start new thread"), OTHER
        await offered.node.looked(5)
        assert offered.registration.registered
        async with offered.replaced():
            offered.node.unasked = None


async def test_a_look_at_a_node_whose_volumes_are_not_known_counts(tmp_path: Path) -> None:
    """One that told the known id breaks the row of those that did not."""
    unread = RuntimeError("can't start new thread")
    async with offering(tmp_path) as offered:
        await offered.tell()
        offered.node.coming += [
            (OTHER, None), (OTHER, None), (ONE, unread), (OTHER, None), (ONE, None),
        ]  # fmt: skip
        await offered.node.looked(8)
        assert offered.registration.registered


async def test_looks_that_disagree_unregister_nobody(tmp_path: Path) -> None:
    """One slip of whoever tells must not take the driver from its pods."""
    registration = Registration(path=tmp_path / "s", answered=lambda: ONE)
    registration.told(registered=True, words="")
    for seen in (OTHER, OTHER, ONE, OTHER, NodeId("i-3"), OTHER, OTHER):
        registration.seen(seen, has_volumes=False)
    assert registration.registered
    registration.seen(OTHER, has_volumes=False)
    assert not registration.registered


async def test_looks_before_a_registration_do_not_count_after_it(tmp_path: Path) -> None:
    """Kubelet was answered anew, so whoever tells another id begins anew as well."""
    registration = Registration(path=tmp_path / "s", answered=lambda: ONE)
    for _ in range(2):
        registration.told(registered=True, words="")
        registration.seen(OTHER, has_volumes=False)
        registration.seen(OTHER, has_volumes=False)
        assert registration.registered


async def test_a_node_with_volumes_stays_until_they_are_gone(tmp_path: Path, log: Log) -> None:
    """Who else would unmount them; the log tells it once."""
    async with offering(tmp_path) as offered:
        await offered.tell()
        offered.node.volumes, offered.node.now = {VolumeId("d-1")}, OTHER
        for _ in range(3):
            await offered.node.looked()
        assert offered.registration.registered
        async with offered.replaced():
            offered.node.volumes = set()
    (line,) = [line for line in log.lines if line["level"] == "error"]
    assert (line["known_as"], line["now"]) == (ONE, OTHER)


async def test_what_kubelet_asks_after_its_registration_makes_it_know_no_other_node(
    tmp_path: Path,
) -> None:
    """It asks every minute how many volumes a node takes, and takes nothing else from the answer."""
    async with offering(tmp_path) as offered:
        await offered.tell()
        offered.node.now = offered.node.answered = OTHER
        await until(lambda: not offered.registration.registered)


async def test_a_node_whose_source_is_away_stays_registered(tmp_path: Path) -> None:
    """It is the same as far as is known, and its pods would be without a driver."""
    async with offering(tmp_path) as offered:
        number = await offered.there()
        await offered.tell()
        offered.node.error = Unreachable("away for a while")
        await offered.node.looked()
        assert (offered.registration.registered, offered.path.stat().st_ino) == (True, number)


async def test_a_label_that_contradicts_is_told_with_the_way_out(tmp_path: Path, log: Log) -> None:
    """Kubelet never changes it, and the driver may not: a person has to."""
    words = 'detected topology value collision: driver reported "zone":"z2" but existing label is'
    async with offering(tmp_path) as offered:
        await offered.tell(registered=False, error=words)
        told = await offered.why_not()
    (line,) = [line for line in log.lines if line["level"] == "error"]
    assert all("kubectl label node NAME KEY-" in text for text in (told, line["error"]))
