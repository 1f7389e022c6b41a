"""Who and where this machine is: by its metadata service, else its Node object, else settings.

The first source that tells a fact counts. The machine's own cloud comes first, since it can't be
wrong about the machine; a setting comes last, since one file often serves all nodes. Where a
setting must win, switch the metadata service off.

A source that has told and then does not answer is still believed: a machine stays what it is, and
the next source may be wrong about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
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


KEEP_S: Final = 300.0
"""How long a known node's Node object is not read again, on average. Readiness asks every ten seconds,
and five thousand nodes that passed that on would be 500 reads a second of one API server; so they
are 17, and a label that somebody corrects still counts within minutes."""

SHORTEST_SHARE: Final = 0.75
LONGEST_SHARE: Final = 1.25
"""Of that time, so that nodes which came up together don't go on asking together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One that may be asked.

    Attributes:
        name: for the log.
        keep_s: how many seconds its word, or its silence, is good for once the node is known.
    """

    name: str
    ask: Ask
    keep_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    known: Known | None
    reason: str
    until_s: float


class FactsInOrder:
    """Asks one source after another until all that a node needs is known.

    Args:
        sources: in their order.
        settings: what the settings tell; asked last, and for what only they may know.
        random: spreads what many nodes ask.
    """

    def __init__(self, *, sources: Sequence[Source], settings: Known, random: Random) -> None:
        self._sources = sources
        self._settings = settings
        self._random = random
        self._words: dict[str, _Word] = {}
        self._complete = False

    async def facts(self) -> NodeFacts:
        """Everything, asked now where it costs little: disks come and go.

        Raises:
            Unreachable: something is missing; the message has every source's reason.
        """
        known, used, reasons = Known(), [], []
        for source in self._sources:
            if not known.missing:
                break
            word = await self._word_of(source)
            if word.reason:
                reasons.append(f"{source.name}: {word.reason}")
            if word.known is not None:
                known = known.or_by(word.known)
                used.append(source.name)
        if known.missing:
            used.append("settings")
        known = known.or_by(self._settings)
        self._complete = not known.missing
        if known.missing:
            raise Unreachable(
                f"nothing tells this node's {' and '.join(known.missing)}"
                + "".join(f"; {reason}" for reason in reasons),
                hint=WAY_OUT,
            )
        return _facts(known, source=", then ".join(used), passed_over="; ".join(reasons))

    async def _word_of(self, source: Source) -> _Word:
        former = self._words.get(source.name)
        now_s = asyncio.get_running_loop().time()
        if self._complete and former is not None and now_s < former.until_s:
            return former
        told, reason = former.known if former else None, ""
        try:
            told = await source.ask()
            if told.missing:
                reason = f"it tells no {' and no '.join(told.missing)}"
        except Unreachable as error:
            told, reason = told and replace(told, attached_serials=None), str(error)
        share = self._random.uniform(SHORTEST_SHARE, LONGEST_SHARE)
        word = _Word(known=told, reason=reason, until_s=now_s + share * source.keep_s)
        self._words[source.name] = word
        return word


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
    sources: list[Source] = []
    if settings.metadata_url and not settings.metadata_off:
        sources.append(Source(name="metadata service", ask=metadata.known))
    if cluster is not None:
        node = NodeObject(cluster, id_label=settings.node_id_label)
        sources.append(Source(name="Node object", ask=node.known, keep_s=KEEP_S))
    return FactsInOrder(sources=sources, settings=told_by(settings), random=Random())


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
