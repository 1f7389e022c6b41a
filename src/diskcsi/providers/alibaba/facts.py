"""Who and where this machine is: by its metadata service, else its Node object, else settings.

The first source that tells a fact counts. The machine's own cloud comes first, since it can't be
wrong about the machine; a setting comes last, since one file often serves all nodes. Where a
setting must win, switch the metadata service off.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from diskcsi.model.errors import Unreachable
from diskcsi.model.ids import NodeId
from diskcsi.ports.cluster import Cluster
from diskcsi.ports.node_facts import NodeFacts
from diskcsi.providers.alibaba.known import Ask, Known
from diskcsi.providers.alibaba.metadata import Metadata, http_session
from diskcsi.providers.alibaba.node_object import NodeObject
from diskcsi.providers.alibaba.settings import AlibabaSettings

WAY_OUT: Final = (
    "set REGION_ID, ZONE_ID and --nodeid where there is no metadata service, or let the node read"
    " its Node object (DISKCSI_NODE_LABELS)"
)


class FactsInOrder:
    """Asks one source after another until all that a node needs is known.

    Args:
        sources: in their order, each with its name for the log.
        settings: what the settings tell; asked last, and for what only they may know.
    """

    def __init__(self, *, sources: Sequence[tuple[str, Ask]], settings: Known) -> None:
        self._sources = sources
        self._settings = settings

    async def facts(self) -> NodeFacts:
        """Everything, asked now: disks come and go.

        Raises:
            Unreachable: something is missing; the message has every source's reason.
        """
        known, used, reasons = Known(), [], []
        for name, ask in self._sources:
            if not known.missing:
                break
            try:
                told = await ask()
            except Unreachable as error:
                reasons.append(f"{name}: {error}")
                continue
            if told.missing:
                reasons.append(f"{name}: it tells no {' and no '.join(told.missing)}")
            known = known.or_by(told)
            used.append(name)
        if known.missing:
            used.append("settings")
        known = known.or_by(self._settings)
        if known.missing:
            raise Unreachable(
                f"nothing tells this node's {' and '.join(known.missing)}"
                + "".join(f"; {reason}" for reason in reasons),
                hint=WAY_OUT,
            )
        return _facts(known, source=", then ".join(used), passed_over="; ".join(reasons))


def _facts(known: Known, *, source: str, passed_over: str) -> NodeFacts:
    return NodeFacts(
        node_id=NodeId(known.node_id),
        zone=known.zone,
        region=known.region,
        instance_type=known.instance_type,
        attached_serials=known.attached_serials,
        source=source,
        passed_over=passed_over,
    )


def facts_of(
    settings: AlibabaSettings, *, metadata: Metadata, cluster: Cluster | None
) -> FactsInOrder:
    """The sources that the settings leave, in their order."""
    sources: list[tuple[str, Ask]] = []
    if settings.metadata_url and not settings.metadata_off:
        sources.append(("metadata service", metadata.known))
    if cluster is not None:
        sources.append(("Node object", NodeObject(cluster, id_label=settings.node_id_label).known))
    return FactsInOrder(sources=sources, settings=told_by(settings))


def told_by(settings: AlibabaSettings) -> Known:
    """What the settings say of this machine."""
    return Known(
        node_id=settings.nodeid,
        zone=settings.zone,
        region=settings.region,
        instance_type=settings.instance_type,
    )


@asynccontextmanager
async def open_facts(
    settings: AlibabaSettings, cluster: Cluster | None = None
) -> AsyncIterator[FactsInOrder]:
    """The source of this machine's facts; `cluster` is given where the Node object may be read."""
    others = cluster is not None or not told_by(settings).missing
    async with http_session() as http:
        metadata = Metadata(http=http, url=settings.metadata_url, patient=not others)
        yield facts_of(settings, metadata=metadata, cluster=cluster)
