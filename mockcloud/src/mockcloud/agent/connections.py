"""How an agent reaches the server: over a Service, by a connection of its own for each request."""

from __future__ import annotations

import aiohttp


def to_server(*, timeout: aiohttp.ClientTimeout | None = None) -> aiohttp.ClientSession:
    """A session that keeps no connection.

    One that is made while kube-proxy changes the Service's rules may lead out of the cluster, or to a
    server that is gone, for as long as it is kept: each later request would go the same way.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        timeout=timeout or aiohttp.client.DEFAULT_TIMEOUT,
    )
