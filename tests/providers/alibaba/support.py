"""A server that answers as it is told, for what no cloud would answer, and a key pair that changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from mockcloud.app import Cloud

from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.parameters import VolumeParameters
from diskcsi.model.volume import DiskSpec
from diskcsi.providers.alibaba.credentials import Credentials
from diskcsi.providers.alibaba.parameters import volume_parameters

REGION = "cn-hangzhou"
NODE = NodeId("i-bp1mockcloudnode0001")
NEIGHBOUR = NodeId("i-bp1mockcloudnode0002")
ELSEWHERE = NodeId("i-bp1mockcloudnode0003")
"""Two machines of the default world in one zone, and one in another."""

ABSENT = VolumeId("d-bp1000000000000000zz")

KEY = Credentials(key_id="key-one", secret="secret-one")
OTHER_KEY = Credentials(key_id="key-two", secret="secret-two", token="token-two")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server does with one request.

    Attributes:
        body: sent as JSON, unless it is a text, which is sent as it stands.
        cut: the connection ends without an answer.
        silent: nothing is ever answered.
    """

    status: int = 200
    body: object = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    silent: bool = False


def refusal(code: str, status: int = 400, **members: object) -> Answer:
    """An error as ECS tells it."""
    return Answer(status=status, body={"Code": code, "RequestId": f"R-{code}", **members})


@dataclass(slots=True)
class ScriptedApi:
    """Gives its answers in turn, the last one for ever, and keeps what it was asked."""

    answers: list[Answer]
    url: str = ""
    lines: list[str] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    _hang: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        self.lines.append(f"{request.method} {request.raw_path}")
        self.forms.append(await request.text())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.silent:
            await self._hang.wait()
        if (answer.cut or answer.silent) and request.transport is not None:
            request.transport.abort()
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        return web.Response(status=answer.status, text=text, headers=answer.headers)

    def let_go(self) -> None:
        """End the silence."""
        self._hang.set()


@asynccontextmanager
async def scripted(answers: Iterable[Answer]) -> AsyncIterator[ScriptedApi]:
    """A server on this machine that gives these answers."""
    api = ScriptedApi(list(answers))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield api
    finally:
        api.let_go()
        await runner.cleanup()


class Turns:
    """A source whose key pair is another one each time; the last one stays."""

    def __init__(self, *pairs: Credentials) -> None:
        self._pairs = list(pairs)

    def current(self) -> Credentials:
        """The next pair."""
        return self._pairs.pop(0) if len(self._pairs) > 1 else self._pairs[0]


def disk_spec(
    name: str = "pvc-1",
    *,
    given: Mapping[str, str] | None = None,
    parameters: VolumeParameters | None = None,
    size_gib: int = 20,
    snapshot_id: SnapshotId | None = None,
    attempt: int = 0,
    labels: Mapping[str, str] | None = None,
) -> DiskSpec:
    """A disk to make, of the first kind of the class that is given."""
    parsed = parameters or volume_parameters(given or {"type": "cloud_essd"})
    return DiskSpec(
        name=name,
        size_gib=size_gib,
        kind=parsed.kinds[0],
        parameters=parsed,
        zone="cn-hangzhou-g",
        snapshot_id=snapshot_id,
        attempt=attempt,
        labels=labels or {},
    )


def sent(world: Cloud, action: str) -> list[Mapping[str, str]]:
    """The parameters of every call of this name that the cloud was sent."""
    return [call.params for call in world.calls.since(0) if call.action == action]
