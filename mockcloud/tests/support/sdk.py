"""The old Python SDK as it is, and closed in time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from aliyunsdkcore.client import AcsClient
from wireclient import KEY_ID, KEY_SECRET


@contextlib.contextmanager
def sdk_client(address: str, *, secret: str = KEY_SECRET) -> Iterator[Any]:
    """A client of the cloud at this host and port; its connection ends with the block.

    Left alone it closes its connection when it is garbage. It is part of a cycle, and the collector
    may come to its socket first, which warns then of not being closed.
    """
    client = AcsClient(
        KEY_ID, secret, "cn-hangzhou", auto_retry=False, timeout=10, connect_timeout=3
    )
    client.add_endpoint("cn-hangzhou", "Ecs", address)
    with contextlib.closing(client.session):
        yield client
