"""Asks the API server from within a pod: by its service account, over the pool's own HTTP client."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from diskcsi.model.errors import Unreachable
from diskcsi.ports.cluster import ClusterNode

CONNECT_S: Final = 2.0
TOTAL_S: Final = 5.0
"""One small object, from within the cluster; what takes longer than this is asked again later."""

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""Above the size that Kubernetes stores of one object."""

FOUND: Final = 200
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
ABSENT: Final = 404


class InCluster:
    """The API server, as a pod reaches it.

    Args:
        base: the server's URL.
        account: the directory with the files `token` and `ca.crt`; both are replaced while the
            pod runs, so they are read for every question.
        node_name: this node's Node object.
    """

    def __init__(
        self, *, http: aiohttp.ClientSession, base: str, account: Path, node_name: str
    ) -> None:
        self._http = http
        self._base = base
        self._account = account
        self._node_name = node_name
        self._trust: tuple[str, ssl.SSLContext] | None = None

    async def node(self) -> ClusterNode:
        """The Node object of this node."""
        told = await self._get(f"/api/v1/nodes/{quote(self._node_name, safe='')}")
        metadata, spec, status = (_map(told, key) for key in ("metadata", "spec", "status"))
        return ClusterNode(
            name=self._node_name,
            labels={key: str(value) for key, value in _map(metadata, "labels").items()},
            provider_id=str(spec.get("providerID") or ""),
            system_uuid=str(_map(status, "nodeInfo").get("systemUUID") or ""),
        )

    async def _get(self, path: str) -> Mapping[str, Any]:
        token, trust = await asyncio.to_thread(self._read_account)
        try:
            async with self._http.get(
                f"{self._base}{path}",
                headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
                ssl=trust,
                allow_redirects=False,
            ) as answer:
                if answer.status != FOUND:
                    raise self._refusal(answer.status)
                body = json.loads(await _whole(answer.content))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(
                f"Kubernetes at {self._base} does not answer: {reason}",
                hint="check the way from the pod to the API server",
            ) from error
        if not isinstance(body, dict):
            raise Unreachable(f"Kubernetes at {self._base} answers no object")
        return body

    def _read_account(self) -> tuple[str, ssl.SSLContext]:
        try:
            token = (self._account / "token").read_text().strip()
            authority = (self._account / "ca.crt").read_text()
            if self._trust is None or self._trust[0] != authority:
                self._trust = (authority, ssl.create_default_context(cadata=authority))
        except (
            OSError,
            ValueError,
        ) as error:  # of the latter kind are broken text and certificates
            raise Unreachable(
                f"the service account in {self._account} can't be read: {error}",
                hint="set automountServiceAccountToken on the pod",
            ) from error
        return token, self._trust[1]

    def _refusal(self, status: int) -> Unreachable:
        what = f"Kubernetes refuses to show Node {self._node_name}: HTTP {status}"
        hints = {
            UNAUTHORIZED: "the service account's token is not taken",
            FORBIDDEN: "grant the pod's service account the verb get on nodes",
            ABSENT: "there is no such Node: KUBE_NODE_NAME must be the pod's spec.nodeName",
        }
        return Unreachable(what, hint=hints.get(status, ""))


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """The body to its end: one `read` gives what has come so far, and a Node comes in pieces."""
    read = bytearray()
    async for piece in content.iter_any():
        read += piece
        if len(read) > MAX_ANSWER_BYTES:
            raise ValueError(f"its answer has more than {MAX_ANSWER_BYTES} bytes")
    return bytes(read)


def _map(told: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = told.get(key)
    return value if isinstance(value, dict) else {}


@asynccontextmanager
async def open_cluster(
    *, host: str, port: int, account: Path, node_name: str
) -> AsyncIterator[InCluster]:
    """The API server of the cluster that this pod runs in; nothing is asked yet."""
    named = f"[{host}]" if ":" in host else host
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=TOTAL_S, sock_connect=CONNECT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as http:
        yield InCluster(
            http=http, base=f"https://{named}:{port}", account=account, node_name=node_name
        )
