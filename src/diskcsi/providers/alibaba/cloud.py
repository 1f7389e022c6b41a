"""One account in one region, as the port wants it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from diskcsi.model.capabilities import EVERY_CAPABILITY, Capability
from diskcsi.ports.cloud import CallObserver, CloudProvider
from diskcsi.providers.alibaba.calls import Calls, http_session
from diskcsi.providers.alibaba.credentials import source_of
from diskcsi.providers.alibaba.disks import EcsDisks
from diskcsi.providers.alibaba.settings import AlibabaSettings
from diskcsi.providers.alibaba.shapes import READ_BATCH
from diskcsi.providers.alibaba.snapshots import EcsSnapshots


class EcsCloud(EcsDisks, EcsSnapshots):
    """Disks, attachments and snapshots over one session."""

    def __init__(self, *, calls: Calls, region: str, cluster_id: str) -> None:
        EcsDisks.__init__(self, calls=calls, region=region, cluster_id=cluster_id)
        EcsSnapshots.__init__(self, calls=calls, region=region)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything that the rules know."""
        return EVERY_CAPABILITY

    @property
    def read_batch(self) -> int:
        """Ids in one DescribeDisks."""
        return READ_BATCH


@asynccontextmanager
async def open_cloud(
    settings: AlibabaSettings, observer: CallObserver
) -> AsyncIterator[CloudProvider]:
    """A session to the region's API; nothing is asked yet.

    Raises:
        ValueError: the settings name no region.
    """
    if not settings.region:
        raise ValueError("region is required: set REGION_ID, such as cn-hangzhou")
    async with http_session(
        connect_timeout_s=settings.connect_timeout_s,
        call_timeout_s=settings.call_timeout_s,
        headers=settings.headers,
        proxy=settings.proxy,
    ) as http:
        calls = Calls(
            http=http,
            endpoint=settings.endpoint,
            region=settings.region,
            credentials=source_of(settings),
            observer=observer,
        )
        yield EcsCloud(calls=calls, region=settings.region, cluster_id=settings.cluster_id)
