"""Alibaba Cloud ECS disks: everything of this vendor, and the only place that knows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from diskcsi.ports.provider import SPI_VERSION, Provider, Rules
from diskcsi.providers.alibaba.settings import AlibabaSettings

if TYPE_CHECKING:
    from diskcsi.ports.cloud import CallObserver, CloudProvider
    from diskcsi.ports.cluster import Cluster
    from diskcsi.ports.node_facts import NodeFactsSource

# What follows imports late: the socket answers before any of it is needed.


def _rules(settings: AlibabaSettings) -> Rules:
    from diskcsi.providers.alibaba.rules import rules_for

    return rules_for(settings)


@asynccontextmanager
async def _open_cloud(
    settings: AlibabaSettings, observer: CallObserver
) -> AsyncIterator[CloudProvider]:
    from diskcsi.providers.alibaba.cloud import open_cloud

    async with open_cloud(settings, observer) as cloud:
        yield cloud


@asynccontextmanager
async def _node_facts(settings: AlibabaSettings) -> AsyncIterator[NodeFactsSource]:
    from diskcsi.providers.alibaba.facts import open_facts

    async with open_facts(settings) as source:
        yield source


@asynccontextmanager
async def _node_facts_in_cluster(
    settings: AlibabaSettings, cluster: Cluster
) -> AsyncIterator[NodeFactsSource]:
    from diskcsi.providers.alibaba.facts import open_facts

    async with open_facts(settings, cluster) as source:
        yield source


ALIBABA: Final = Provider(
    spi_version=SPI_VERSION,
    name="alibaba",
    driver_name="diskplugin.csi.alibabacloud.com",
    settings_type=AlibabaSettings,
    rules=_rules,
    open_cloud=_open_cloud,
    node_facts=_node_facts,
    node_facts_in_cluster=_node_facts_in_cluster,
)
