"""A secret that is put in everywhere must come out nowhere."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from betterproto import Message
from grpclib.client import Channel
from grpclib.const import Cardinality, Handler
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError, StreamTerminatedError
from mockcloud.app import Cloud, serving
from mockcloud.engine.latency import ranges
from mockcloud.engine.world import default_world
from mockcloud.faults import Fault
from mockcloud.wire.auth import AccessKey

from diskcsi._proto.csi import v1
from diskcsi._proto.secrets import SECRET_FIELDS
from diskcsi.edge.wire import type_info
from diskcsi.model.sizes import GIB
from tests.app.driver import NODE, REGION, ZONE, free_port
from tests.app.processes import HALVES, process

KEY_ID = "key-id-that-may-be-shown"
KEY = "canary-of-the-key-secret"
WRONG_KEY = "canary-of-a-wrong-key-secret"
TOKEN = "canary-of-the-session-token"
ASKED = "canary-in-a-request"
CANARIES = (KEY, WRONG_KEY, TOKEN, ASKED)

CREATE = "/csi.v1.Controller/CreateVolume"

BASES = (
    v1.IdentityBase, v1.ControllerBase, v1.NodeBase, v1.GroupControllerBase,
    v1.SnapshotMetadataBase,
)  # fmt: skip


class RawCodec(CodecBase):
    """Sends the bytes that it is given, and reads nothing."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:  # noqa: ANN401 - as in grpclib
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> Any:  # noqa: ANN401 - as in grpclib
        return message_type()


def calls_with_secrets() -> Iterator[tuple[str, Handler]]:
    for base in BASES:
        for path, handler in base().__mapping__().items():
            if handler.request_type.__name__ in SECRET_FIELDS:
                yield path, handler


def test_every_request_with_secrets_is_sent() -> None:
    """The list is generated from the contract's own marks."""
    assert {handler.request_type.__name__ for _, handler in calls_with_secrets()} == set(
        SECRET_FIELDS
    )


def capability() -> v1.VolumeCapability:
    mode = v1.VolumeCapabilityAccessModeMode
    return v1.VolumeCapability(
        access_mode=v1.VolumeCapabilityAccessMode(mode=mode(mode.SINGLE_NODE_WRITER)),
        mount=v1.VolumeCapabilityMountVolume(fs_type="ext4"),
    )


def whole(kind: type[Message], directory: Path, **fields: object) -> Message:
    """A request in which all is set that decides how far it gets."""
    plausible: dict[str, object] = {
        "name": "pvc-canary", "volume_id": "d-bp1canary", "snapshot_id": "s-bp1canary",
        "source_volume_id": "d-bp1canary", "node_id": NODE,
        "staging_target_path": f"{directory}/staging", "target_path": f"{directory}/target",
        "volume_path": f"{directory}/target", "volume_capability": capability(),
        "volume_capabilities": [capability()],
        "capacity_range": v1.CapacityRange(required_bytes=20 * GIB),
        "publish_context": {"serialNumber": "bp1canary", "sizeBytes": str(20 * GIB)},
        "secrets": {"password": ASKED},
        **fields,
    }  # fmt: skip
    known = type_info(kind).meta_by_field_name
    return kind(**{name: value for name, value in plausible.items() if name in known})


def requests(kind: type[Message], directory: Path) -> Iterator[bytes]:
    """All set, nothing but the secret, and one that can't be decoded because of the secret."""
    yield bytes(whole(kind, directory))
    secrets: Any = {"secrets": {"password": ASKED}}
    yield bytes(kind(**secrets))
    entry = b"\x0a\x01k\x12" + bytes([len(ASKED) + 1]) + ASKED.encode() + b"\xff"
    number = next(
        number for number, name in type_info(kind).field_name_by_number.items() if name == "secrets"
    )
    yield bytes([number << 3 | 2, len(entry)]) + entry


async def ask(channel: Channel, path: str, handler: Handler, data: Any) -> str:  # noqa: ANN401
    """What the caller is told."""
    try:
        async with channel.request(path, Cardinality.UNARY_UNARY, Any, handler.reply_type) as call:
            await call.send_message(data, end=True)
            await call.recv_message()
    except (GRPCError, StreamTerminatedError) as error:
        return repr(error)
    return ""


@asynccontextmanager
async def cloud() -> AsyncIterator[Cloud]:
    key = AccessKey(id=KEY_ID, secret=KEY, token=TOKEN)
    world = dataclasses.replace(default_world(), keys=(key,))
    async with serving(config=world, latencies=ranges("zero", {})) as one:
        yield one


def arguments_of(pid: int) -> str:
    """A process's command line, as everybody on the machine can read it."""
    return Path(f"/proc/{pid}/cmdline").read_text()


class Traces:
    """All that comes out."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}

    def add(self, place: str, text: str) -> None:
        self.told[place] = self.told.get(place, "") + text

    def found(self) -> list[tuple[str, str]]:
        return [
            (place, one) for place, text in self.told.items() for one in CANARIES if one in text
        ]


class Stage:
    """Three drivers: a controller, one with a wrong key, and a node."""

    def __init__(self, directory: Path, traces: Traces) -> None:
        self.directory = directory
        self.traces = traces

    async def run(self, name: str, half: str, *flags: str, **environment: str) -> None:
        """Start a driver, ask it everything, and gather its traces."""
        own = self.directory / name
        own.mkdir()
        port = free_port()
        with process(
            own, *HALVES[half], "--log-level=debug", f"--http-port={port}", *flags,
            environment=environment,
        ) as driver:  # fmt: skip
            channel = Channel(path=str(own / "csi.sock"), codec=RawCodec())
            try:
                await self._ask_everything(name, channel)
            finally:
                channel.close()
            self.traces.add(f"{name}: arguments", arguments_of(driver.pid))
            async with aiohttp.ClientSession() as session:
                for path in ("/metrics", "/readyz"):
                    async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                        self.traces.add(f"{name}: {path}", await answer.text())
            driver.terminate()
            await asyncio.to_thread(driver.wait, 20)
        self.traces.add(f"{name}: log", (own / "log").read_text())

    async def _ask_everything(self, name: str, channel: Channel) -> None:
        for path, handler in calls_with_secrets():
            for data in requests(handler.request_type, self.directory):
                self.traces.add(f"{name}: answers", await ask(channel, path, handler, data))
        create = dict(calls_with_secrets())[CREATE]
        told = await asyncio.gather(
            *(ask(channel, CREATE, create, data) for data in self._creates(number=4))
        )
        self.traces.add(f"{name}: answers", "".join(told))

    def _creates(self, *, number: int) -> Iterator[bytes]:
        """Volumes that the cloud would make, as many as there are faults and one more."""
        for place in range(number):
            yield bytes(
                whole(
                    v1.CreateVolumeRequest,
                    self.directory,
                    name=f"pvc-{place}",
                    parameters={"type": "cloud_essd", "zoneId": ZONE},
                )
            )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traces(tmp_path_factory: pytest.TempPathFactory) -> Traces:
    """What comes out of all three, and of the cloud's log."""
    tmp_path = tmp_path_factory.mktemp("canary")
    told = Traces()
    stage = Stage(tmp_path, told)
    files = tmp_path / "secret"
    files.mkdir()
    for name, text in (("id", KEY_ID), ("secret", WRONG_KEY), ("token", TOKEN)):
        (files / name).write_text(text)
    async with cloud() as ecs:
        there = {"ECS_ENDPOINT": f"127.0.0.1:{ecs.port}", "ALICLOUD_CLIENT_SCHEME": "http"}
        keys = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY_ID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": KEY,
            "ALIBABA_CLOUD_SECURITY_TOKEN": TOKEN,
        }  # fmt: skip
        ecs.faults.add(Fault(action="CreateDisk", kind="lose_reply"))
        ecs.faults.add(Fault(action="CreateDisk", kind="error", status=500))
        ecs.faults.add(Fault(action="CreateDisk", kind="error", status=403, code="Forbidden.RAM"))
        await stage.run("controller", "controller", **there, **keys)
        await stage.run("wrong key", "controller", f"--credentials-dir={files}", **there)
        await stage.run("node", "node", "--device-wait-s=0.1", f"--nodeid={NODE}", REGION_ID=REGION)
        told.add("cloud: calls", json.dumps([call.told() for call in ecs.calls.since(0)]))
    return told


def test_a_canary_appears_nowhere(traces: Traces) -> None:
    """Logs at DEBUG, metrics, arguments, answers, and the addresses that the cloud was asked at."""
    assert traces.found() == []


def test_the_search_would_have_found_it(traces: Traces) -> None:
    """Each place has something to search, failures of every kind among it."""
    log = traces.told["controller: log"]
    assert all(traces.told.values())
    assert "pvc-canary" in log
    assert "is no UTF-8 text" in log
    assert '"code": "lost"' in log
    assert "SignatureDoesNotMatch" in traces.told["wrong key: log"]
    assert '"code": "OK"' in traces.told["cloud: calls"]
