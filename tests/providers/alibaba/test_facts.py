"""Who tells of a machine: its metadata service, else its Node object, else settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest

from diskcsi.model.errors import Unreachable
from diskcsi.ports.cluster import ClusterNode
from diskcsi.ports.node_facts import NodeFacts, NodeFactsSource
from diskcsi.providers.alibaba import ALIBABA
from diskcsi.providers.alibaba.facts import KEEP_S, LONGEST_SHARE, facts_of
from diskcsi.providers.alibaba.metadata import Metadata
from diskcsi.providers.alibaba.settings import AlibabaSettings
from tests.providers.alibaba.support import Answer, scripted

LABELS = {
    "topology.kubernetes.io/zone": "cn-hangzhou-g",
    "topology.kubernetes.io/region": "cn-hangzhou",
    "node.kubernetes.io/instance-type": "ecs.g7.large",
}
PROVIDER_ID = "cn-hangzhou.i-node"
TOLD = ("i-told", "z-told", "cn-told")
SET = {"nodeid": "i-set", "zone": "z-set", "region": "cn-set"}


class Kubernetes:
    """A cluster that shows one Node, or fails to."""

    def __init__(
        self,
        labels: Mapping[str, str] = LABELS,
        *,
        provider_id: str = PROVIDER_ID,
        error: Unreachable | None = None,
    ) -> None:
        self.shown = ClusterNode(name="node-1", labels=labels, provider_id=provider_id)
        self.error = error
        self.asked = 0

    async def node(self) -> ClusterNode:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.shown


async def facts(
    http: aiohttp.ClientSession, cluster: Kubernetes | None, **settings: str
) -> NodeFacts:
    """What a machine is known by, where `settings` are all that is set."""
    told = AlibabaSettings(**{"metadata_url": "", **settings})  # type: ignore[arg-type]
    metadata = Metadata(http=http, url=told.metadata_url, patient=False, pause=at_once)
    return await facts_of(told, metadata=metadata, cluster=cluster).facts()


async def at_once(_: float) -> None:
    """Wait for nothing."""


def identity(told: NodeFacts) -> tuple[str, str, str]:
    return told.node_id, told.zone, told.region


async def test_the_metadata_service_comes_first(http: aiohttp.ClientSession) -> None:
    """Kubernetes isn't asked at all."""
    kubernetes = Kubernetes()
    answers = [Answer(body="token"), Answer(body="disk"), *map(_answer, TOLD), Answer(body="type")]
    async with scripted(answers) as api:
        told = await facts(http, kubernetes, metadata_url=api.url, **SET)
    assert (identity(told), told.source, kubernetes.asked) == (TOLD, "metadata service", 0)


def _answer(text: str) -> Answer:
    return Answer(body=text)


async def test_the_node_object_comes_next(http: aiohttp.ClientSession) -> None:
    """The log tells why the metadata service did not count."""
    async with scripted([Answer(status=503)]) as api:
        told = await facts(http, Kubernetes(), metadata_url=api.url, **SET)
    assert (identity(told), told.source) == (
        ("i-node", "cn-hangzhou-g", "cn-hangzhou"), "Node object",
    )  # fmt: skip
    assert "metadata service" in told.passed_over
    assert "HTTP 503" in told.passed_over


@pytest.mark.parametrize(
    "answers",
    [
        ["<html>login</html>"],
        ["<html>\n<body>login</body>\n</html>"],
        ['{"error": "no such page"}'],
        ["ok"],
        ["token", "disk", "<html>login</html>"],
        ["token", "disk", "i-told", "<html>login</html>"],
        ["token", "disk", "i-told", "z-told", "<html>login</html>"],
    ],
    ids=["page", "long-page", "json", "word", "id", "zone", "region"],
)
async def test_what_answers_in_the_place_of_a_metadata_service_is_not_believed(
    http: aiohttp.ClientSession, answers: Sequence[str]
) -> None:
    """Off the cloud a proxy or a portal answers every address, and mostly with success."""
    async with scripted(map(_answer, answers)) as api:
        told = await facts(http, Kubernetes(), metadata_url=api.url, **SET)
    assert (identity(told), told.source) == (
        ("i-node", "cn-hangzhou-g", "cn-hangzhou"), "Node object",
    )  # fmt: skip
    assert f"answers {answers[-1]!r}" in told.passed_over


async def test_of_a_long_page_the_beginning_is_told(http: aiohttp.ClientSession) -> None:
    """It says whose page it is, and the log is no place for the rest."""
    async with scripted([_answer("<html>" + "portal " * 1000)]) as api:
        told = await facts(http, Kubernetes(), metadata_url=api.url)
    assert "answers '<html>portal portal" in told.passed_over
    assert len(told.passed_over) < 400


async def test_what_may_be_a_token_of_another_form_is_not_shown(
    http: aiohttp.ClientSession,
) -> None:
    """A log is no place for a secret."""
    async with scripted([_answer("a={secret}")]) as api:
        told = await facts(http, Kubernetes(), metadata_url=api.url)
    assert "answers 10 characters, which" in told.passed_over
    assert "secret" not in told.passed_over


async def test_the_settings_come_last(http: aiohttp.ClientSession) -> None:
    """With the reason why Kubernetes did not count."""
    kubernetes = Kubernetes(error=Unreachable("refused", hint="grant get on nodes"))
    told = await facts(http, kubernetes, **SET)
    assert (identity(told), told.source) == (("i-set", "z-set", "cn-set"), "settings")
    assert told.passed_over == "Node object: refused; grant get on nodes"


async def test_what_one_source_lacks_the_next_one_tells(http: aiohttp.ClientSession) -> None:
    """A self-built cluster may label zones and know no ids."""
    kubernetes = Kubernetes(LABELS, provider_id="")
    told = await facts(http, kubernetes, nodeid="i-set")
    assert (identity(told), told.source) == (
        ("i-set", "cn-hangzhou-g", "cn-hangzhou"), "Node object, then settings",
    )  # fmt: skip


async def test_all_reasons_are_told_where_nobody_knows(http: aiohttp.ClientSession) -> None:
    """And what can be done about it."""
    kubernetes = Kubernetes({}, provider_id="kind://docker/kind/kind-worker")
    with pytest.raises(Unreachable) as caught:
        await facts(http, kubernetes, region="cn-set")
    told = str(caught.value)
    assert "nothing tells this node's instance id and zone; Node object: it tells no" in told
    assert "DISKCSI_NODE_LABELS" in told


@pytest.mark.parametrize(
    ("labels", "provider_id", "own_label", "node_id"),
    [
        ({}, "cn-a.i-1", "", "i-1"),
        ({}, "eu-central-1.eci-1", "", "eci-1"),
        ({"alibabacloud.com/ecs-instance-id": "i-2"}, "", "", "i-2"),
        ({"alibabacloud.com/ecs-instance-id": "i-2"}, "cn-a.i-1", "", "i-1"),
        ({"own/id": "i-3"}, "cn-a.i-1", "own/id", "i-3"),
        ({}, "cn-a.i-1", "own/id", "i-1"),
    ],
    ids=["provider-id", "serverless", "label", "both", "own-label", "own-label-absent"],
)
async def test_where_a_node_has_its_id(
    http: aiohttp.ClientSession,
    labels: Mapping[str, str],
    provider_id: str,
    own_label: str,
    node_id: str,
) -> None:
    """The operator's label, else the one word that can't be changed, else the usual label."""
    kubernetes = Kubernetes({**LABELS, **labels}, provider_id=provider_id)
    assert (await facts(http, kubernetes, node_id_label=own_label)).node_id == node_id


async def test_a_region_is_taken_from_the_provider_id_as_well(http: aiohttp.ClientSession) -> None:
    """Old clusters label no region."""
    kubernetes = Kubernetes({"topology.kubernetes.io/zone": "cn-hangzhou-g"})
    assert (await facts(http, kubernetes)).region == "cn-hangzhou"


@asynccontextmanager
async def by_node(kubernetes: Kubernetes, **settings: str) -> AsyncIterator[NodeFactsSource]:
    """The facts of a machine without a metadata service."""
    opened = ALIBABA.node_facts_in_cluster
    assert opened is not None
    told = AlibabaSettings(**{"metadata_off": True, **settings})  # type: ignore[arg-type]
    async with opened(told, kubernetes) as source:
        yield source


@pytest.mark.looptime
@pytest.mark.parametrize("labels", [LABELS, {}], ids=["told-all", "told-a-part"])
async def test_a_known_node_is_read_again_after_minutes_only(labels: Mapping[str, str]) -> None:
    """Readiness asks every few seconds, and one API server serves thousands of nodes."""
    kubernetes = Kubernetes(labels)
    async with by_node(kubernetes, zone="z-set") as source:
        for _ in range(60):
            await source.facts()
            await asyncio.sleep(10)
    assert 2 <= kubernetes.asked <= 3


@pytest.mark.looptime
async def test_a_label_that_is_corrected_is_found() -> None:
    """Within minutes, and without a restart."""
    kubernetes = Kubernetes()
    async with by_node(kubernetes) as source:
        await source.facts()
        corrected = {**LABELS, "topology.kubernetes.io/zone": "cn-hangzhou-h"}
        kubernetes.shown = ClusterNode(name="node-1", labels=corrected, provider_id=PROVIDER_ID)
        await asyncio.sleep(KEEP_S * LONGEST_SHARE)
        assert (await source.facts()).zone == "cn-hangzhou-h"


@pytest.mark.looptime
async def test_an_api_server_that_is_away_changes_nothing_and_is_left_in_peace() -> None:
    """A machine stays what it is, though settings may tell something else."""
    kubernetes = Kubernetes()
    async with by_node(kubernetes, **SET) as source:
        before = await source.facts()
        kubernetes.error = Unreachable("away")
        for _ in range(60):
            await asyncio.sleep(10)
            assert identity(await source.facts()) == identity(before)
    assert 2 <= kubernetes.asked <= 3


async def test_a_metadata_service_that_is_away_for_a_while_changes_nothing(
    http: aiohttp.ClientSession,
) -> None:
    """Who comes after it isn't asked; which disks are attached is not known then."""
    answers = [Answer(body="token"), Answer(body="disk"), *map(_answer, TOLD), Answer(body="type")]
    async with scripted([*answers, Answer(status=503)]) as api:
        told = AlibabaSettings(metadata_url=api.url, **SET)  # type: ignore[arg-type]
        metadata = Metadata(http=http, url=api.url, patient=False, pause=at_once)
        source = facts_of(told, metadata=metadata, cluster=Kubernetes())
        first, later = await source.facts(), await source.facts()
    assert identity(first) == identity(later) == TOLD
    assert (first.source, later.source) == ("metadata service", "metadata service")
    assert (first.attached_serials, later.attached_serials) == (frozenset({"disk"}), None)


async def test_a_label_that_comes_later_is_found() -> None:
    """Controller managers label new nodes after a while, and a node waits for it."""
    kubernetes = Kubernetes({})
    async with by_node(kubernetes) as source:
        with pytest.raises(Unreachable, match="zone"):
            await source.facts()
        kubernetes.shown = ClusterNode(name="node-1", labels=LABELS, provider_id=PROVIDER_ID)
        assert (await source.facts()).zone == "cn-hangzhou-g"
