"""An API server with TLS, and a pod's client of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from diskcsi.cluster.client import InCluster, open_cluster
from tests.app.driver import free_port
from tests.cluster.authority import Authority

NODE = {
    "metadata": {"name": "node-1", "labels": {"a": "b"}},
    "spec": {"providerID": "cn-hangzhou.i-1"},
    "status": {"nodeInfo": {"systemUUID": "4c4c"}},
}


@dataclass(kw_only=True)
class Server:
    """An API server with one answer."""

    cluster: InCluster
    port: int
    account: Path
    node: dict[str, Any] = field(default_factory=lambda: NODE)
    answer: Callable[[], web.Response] | None = None
    paths: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)


@asynccontextmanager
async def serving(tmp_path: Path, authority: Authority) -> AsyncIterator[Server]:
    """Serve while the block runs, with a client as a pod has it."""
    account, port = tmp_path / "account", free_port()
    account.mkdir()
    (account / "token").write_text("token-1\n")
    (account / "ca.crt").write_text(authority.certificate.read_text())
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trust.load_cert_chain(authority.certificate, authority.key)

    async def answer(request: web.Request) -> web.Response:
        server = asked[0]
        server.paths.append(request.path)
        server.tokens.append(request.headers["Authorization"])
        return server.answer() if server.answer else web.json_response(server.node)

    asked: list[Server] = []
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=trust).start()
    try:
        async with open_cluster(
            host="127.0.0.1", port=port, account=account, node_name="node-1"
        ) as cluster:
            asked.append(Server(cluster=cluster, port=port, account=account))
            yield asked[0]
    finally:
        await runner.cleanup()
