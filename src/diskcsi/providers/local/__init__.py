"""Disks that are files on this machine: no cloud, no account, and the smallest honest provider.

For one machine, and for clusters whose nodes share a kernel, such as kind's. A disk is a sparse
file, an attach is a loop device and a link in the node's own device directory. The truth is on
disk, so nothing is lost when the controller restarts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from diskcsi.ports.provider import SPI_VERSION, Provider, Rules
from diskcsi.providers.local.settings import LocalSettings

if TYPE_CHECKING:
    from diskcsi.ports.cloud import CallObserver, CloudProvider
    from diskcsi.ports.node_facts import NodeFactsSource

# What follows imports late: the socket answers before any of it is needed.


def _rules(settings: LocalSettings) -> Rules:
    from diskcsi.providers.local.rules import rules_for

    return rules_for(settings)


@asynccontextmanager
async def _open_cloud(
    settings: LocalSettings, observer: CallObserver
) -> AsyncIterator[CloudProvider]:
    from diskcsi.providers.local.cloud import LocalCloud

    yield LocalCloud(settings=settings, observer=observer)


@asynccontextmanager
async def _node_facts(settings: LocalSettings) -> AsyncIterator[NodeFactsSource]:
    from diskcsi.providers.local.rules import ToldFacts

    yield ToldFacts(settings)


LOCAL: Final = Provider(
    spi_version=SPI_VERSION,
    name="local",
    driver_name="local.diskcsi.io",
    settings_type=LocalSettings,
    rules=_rules,
    open_cloud=_open_cloud,
    node_facts=_node_facts,
)
