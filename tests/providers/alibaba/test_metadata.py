from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import cast

import aiohttp
import pytest
from mockcloud.app import Cloud

from diskcsi.aio.looks import KEPT_S, SharedLook
from diskcsi.model.errors import Unreachable
from diskcsi.model.ids import NodeId
from diskcsi.ports.node_facts import NodeFacts
from diskcsi.providers.alibaba import ALIBABA
from diskcsi.providers.alibaba.cloud import EcsCloud
from diskcsi.providers.alibaba.facts import FactsInOrder, facts_of, told_by
from diskcsi.providers.alibaba.metadata import (
    ANSWER_S,
    LATER_S,
    PAUSE_S,
    TRIES,
    Metadata,
    http_session,
)
from diskcsi.providers.alibaba.settings import AlibabaSettings
from tests.providers.alibaba.support import NODE, Answer, disk_spec, scripted

SourceOf = Callable[[AlibabaSettings], FactsInOrder]

TOKEN = Answer(body="token-1")
NOT_FOUND = Answer(status=404, body="<html>404 - Not Found</html>")


@pytest.fixture
def source_of(http: aiohttp.ClientSession, pauses: list[float]) -> SourceOf:
    """Makes a source whose pauses are told and don't pass."""

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    def make(settings: AlibabaSettings) -> FactsInOrder:
        metadata = Metadata(
            http=http, url=settings.metadata_url, patient=bool(told_by(settings).missing),
            pause=pause,
        )  # fmt: skip
        return facts_of(settings, metadata=metadata, cluster=None)

    return make


def service(world: Cloud) -> str:
    """Where the machine of the tests finds its metadata."""
    return f"http://127.0.0.1:{world.port}/_imds/{NODE}"


async def test_a_machine_tells_who_and_where_it_is(world: Cloud, source_of: SourceOf) -> None:
    """No cloud key is needed for it; the one disk is the system's."""
    facts = await source_of(AlibabaSettings(metadata_url=service(world))).facts()

    assert facts == NodeFacts(
        node_id=NODE, zone="cn-hangzhou-g", region="cn-hangzhou", instance_type="ecs.g6.large",
        attached_serials=frozenset({"bp1mockcloudnode0001sys"[-20:]}),
    )  # fmt: skip


async def test_the_disks_of_a_machine_are_told_as_they_come_and_go(
    world: Cloud, ecs: EcsCloud, source_of: SourceOf
) -> None:
    """Each look asks again."""
    source = source_of(AlibabaSettings(metadata_url=service(world)))
    before = (await source.facts()).attached_serials or frozenset()
    volume_id = await ecs.create_disk(disk_spec())
    await ecs.attach_disk(volume_id, NODE)
    after = (await source.facts()).attached_serials or frozenset()

    assert after - before == {volume_id.removeprefix("d-")}


async def test_the_machines_own_word_wins_over_the_settings(
    world: Cloud, source_of: SourceOf
) -> None:
    """The file that all nodes share can't be right about each; its cloud can't be wrong."""
    settings = AlibabaSettings(
        metadata_url=service(world), nodeid="i-mine", zone="z-1", region="cn-beijing",
        instance_type="ecs.mine",
    )  # fmt: skip
    facts = await source_of(settings).facts()

    assert (facts.node_id, facts.zone, facts.region, facts.instance_type) == (
        NODE, "cn-hangzhou-g", "cn-hangzhou", "ecs.g6.large",
    )  # fmt: skip


async def test_the_settings_tell_what_the_service_does_not(source_of: SourceOf) -> None:
    """A type that is not told limits how many volumes the node takes."""
    answers = [TOKEN, NOT_FOUND, *[Answer(body="i-x")] * 3, NOT_FOUND]
    async with scripted(answers) as api:
        settings = AlibabaSettings(metadata_url=api.url, instance_type="ecs.mine")
        facts = await source_of(settings).facts()

    assert (facts.node_id, facts.instance_type) == ("i-x", "ecs.mine")


async def test_a_token_is_fetched_first_and_sent_with_every_question(source_of: SourceOf) -> None:
    """Services that insist on the second generation answer nobody else."""
    async with scripted([TOKEN, Answer(body="i-x")]) as api:
        await source_of(AlibabaSettings(metadata_url=api.url)).facts()

    assert api.lines == [
        "PUT /latest/api/token", "GET /latest/meta-data/disks/", "GET /latest/meta-data/instance-id",
        "GET /latest/meta-data/zone-id", "GET /latest/meta-data/region-id",
        "GET /latest/meta-data/instance/instance-type",
    ]  # fmt: skip


async def test_a_service_of_the_first_generation_is_asked_without_a_token(
    source_of: SourceOf,
) -> None:
    """It knows none, and would refuse an empty one."""
    async with scripted([NOT_FOUND, Answer(body="i-x")]) as api:
        await source_of(AlibabaSettings(metadata_url=api.url)).facts()

    assert "x-aliyun-ecs-metadata-token" not in api.headers[1]


async def test_a_service_that_does_not_list_disks_leaves_them_unknown(
    source_of: SourceOf,
) -> None:
    """Unknown is not none."""
    async with scripted([TOKEN, NOT_FOUND, Answer(body="i-x")]) as api:
        facts = await source_of(AlibabaSettings(metadata_url=api.url)).facts()

    assert facts.attached_serials is None


async def test_disks_are_listed_one_on_a_line(source_of: SourceOf) -> None:
    """As directories, with or without a slash, and with blank lines."""
    async with scripted([TOKEN, Answer(body="bp1a/\n\nbp1b\n"), Answer(body="i-x")]) as api:
        facts = await source_of(AlibabaSettings(metadata_url=api.url)).facts()

    assert facts.attached_serials == frozenset({"bp1a", "bp1b"})


async def test_a_type_that_is_not_told_is_unknown(source_of: SourceOf) -> None:
    """Only the volume limit depends on it."""
    answers = [TOKEN, NOT_FOUND, *[Answer(body="i-x")] * 3, NOT_FOUND]
    async with scripted(answers) as api:
        facts = await source_of(AlibabaSettings(metadata_url=api.url)).facts()

    assert not facts.instance_type


@pytest.mark.parametrize("answer", [NOT_FOUND, Answer(body="")], ids=["absent", "empty"])
async def test_a_machine_without_an_id_is_told_what_to_set(
    source_of: SourceOf, answer: Answer
) -> None:
    """Nothing can be attached to a node that nobody can name."""
    async with scripted([TOKEN, Answer(body=""), answer]) as api:
        with pytest.raises(Unreachable) as caught:
            await source_of(AlibabaSettings(metadata_url=api.url)).facts()

    assert "set REGION_ID, ZONE_ID and --nodeid" in caught.value.hint


@pytest.mark.parametrize("answer", [Answer(cut=True), Answer(status=429), Answer(status=503)])
async def test_a_service_that_is_busy_is_asked_again(
    source_of: SourceOf, pauses: list[float], answer: Answer
) -> None:
    """It throttles, and is not up yet in a machine's first seconds."""
    async with scripted([answer, answer, TOKEN, Answer(body="i-x")]) as api:
        await source_of(AlibabaSettings(metadata_url=api.url)).facts()

    assert set(pauses) == {PAUSE_S}


async def test_a_service_that_stays_busy_is_given_up(
    source_of: SourceOf, pauses: list[float]
) -> None:
    """Kubelet asks again later."""
    async with scripted([Answer(status=503)]) as api:
        with pytest.raises(Unreachable, match="doesn't answer: HTTP 503"):
            await source_of(AlibabaSettings(metadata_url=api.url)).facts()

    assert (len(api.lines), len(pauses)) == (TRIES, TRIES - 1)


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_service_that_refuses_is_not_asked_again(
    source_of: SourceOf, pauses: list[float], status: int
) -> None:
    """The same question would be refused again."""
    async with scripted([Answer(status=status)]) as api:
        with pytest.raises(Unreachable, match=f"HTTP {status}"):
            await source_of(AlibabaSettings(metadata_url=api.url)).facts()

    assert pauses == []


def described(url: str) -> AlibabaSettings:
    """Settings that tell all, and a metadata service to ask first."""
    return AlibabaSettings(metadata_url=url, nodeid="i-mine", zone="z-1", region="cn-beijing")


BY_SETTINGS = NodeFacts(node_id=NodeId("i-mine"), zone="z-1", region="cn-beijing")


@pytest.mark.parametrize("answer", [Answer(status=503), Answer(cut=True)])
async def test_the_first_time_a_busy_service_is_waited_for_whatever_settings_tell(
    source_of: SourceOf, pauses: list[float], answer: Answer
) -> None:
    """It comes up a moment after kubelet, and a setting may be another machine's."""
    async with scripted([answer, answer, TOKEN, Answer(body="i-x")]) as api:
        facts = await source_of(described(api.url)).facts()

    assert (facts.node_id, set(pauses)) == (
        "i-x",
        {PAUSE_S},
    )  # of one cut off aiohttp asks again too


async def test_a_node_that_its_settings_describe_waits_for_a_service_once(
    source_of: SourceOf, pauses: list[float]
) -> None:
    """Later looks, and the checks that ask every few seconds, take what there is."""
    async with scripted([Answer(status=503)]) as api:
        source = source_of(described(api.url))
        facts = [await source.facts() for _ in range(3)]

    assert facts == [BY_SETTINGS] * 3
    assert pauses == [PAUSE_S] * (TRIES - 1)


@pytest.mark.parametrize("status", [403, 404])
async def test_a_node_that_its_settings_describe_waits_for_no_service_that_refuses(
    source_of: SourceOf, pauses: list[float], status: int
) -> None:
    """It is up, and has nothing to tell."""
    async with scripted([Answer(status=status)]) as api:
        facts = await source_of(described(api.url)).facts()

    assert (facts, pauses) == (BY_SETTINGS, [])


async def test_a_node_that_its_settings_describe_waits_for_no_service_where_nothing_listens(
    source_of: SourceOf, pauses: list[float]
) -> None:
    """Outside the cloud there is none, and pods wait for the node."""
    async with scripted([NOT_FOUND]) as api:
        url = api.url
    facts = await source_of(described(url)).facts()

    assert (facts, pauses) == (BY_SETTINGS, [])


class Machine:
    """One whose metadata service tells, and is silent from some moment on, as one that hangs is.

    Attributes:
        silent: whether nothing comes back, over the network or from the service.
    """

    def __init__(self, timeout: aiohttp.ClientTimeout) -> None:
        self.silent = True
        self._timeout = timeout

    @asynccontextmanager
    async def request(self, *_: object, **__: object) -> AsyncIterator[aiohttp.ClientResponse]:
        """Answer at once, or give up as a session with this timeout does."""
        if self.silent:
            await asyncio.sleep(self._timeout.total or 0)
            raise TimeoutError
        yield cast("aiohttp.ClientResponse", self)

    status = 200

    async def text(self) -> str:
        """Every value."""
        return "i-x"


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    """One that is asked with the driver's own timeouts."""
    async with http_session() as http:
        yield Machine(http.timeout)


def asked(machine: Machine, settings: AlibabaSettings) -> FactsInOrder:
    """A source of facts that asks this machine; time passes as it does for the driver."""
    metadata = Metadata(
        http=cast("aiohttp.ClientSession", machine), url=settings.metadata_url,
        patient=bool(told_by(settings).missing),
    )  # fmt: skip
    return facts_of(settings, metadata=metadata, cluster=None)


async def seconds_of(source: FactsInOrder) -> float:
    """How long a look takes, whatever it finds."""
    began_s = asyncio.get_running_loop().time()
    with suppress(Unreachable):
        await source.facts()
    return asyncio.get_running_loop().time() - began_s


URL = "http://192.0.2.1"
WHOLE_S = TRIES * ANSWER_S + (TRIES - 1) * PAUSE_S


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (described(URL), [WHOLE_S, ANSWER_S, ANSWER_S]),
        (AlibabaSettings(metadata_url=URL), [WHOLE_S, WHOLE_S, WHOLE_S]),
    ],
    ids=["others-tell", "nobody-else-tells"],
)
async def test_silence_is_taken_for_absence_in_five_seconds(
    machine: Machine, settings: AlibabaSettings, expected: list[float]
) -> None:
    """It is what a service that comes up later looks like; who has others to ask waits once."""
    source = asked(machine, settings)
    took = [await seconds_of(source) for _ in range(3)]

    assert (took, WHOLE_S) == (expected, 5.0)


@pytest.mark.looptime
async def test_a_service_that_falls_silent_after_it_told_is_soon_believed_as_it_was(
    machine: Machine,
) -> None:
    """A machine stays what it is, and whoever asks now need not wait for the service's return."""
    machine.silent = False
    source = asked(machine, AlibabaSettings(metadata_url=URL))
    await source.facts()
    machine.silent = True

    assert await seconds_of(source) == LATER_S


@pytest.mark.looptime
@pytest.mark.parametrize("told", [True, False], ids=["told-before", "others-tell"])
async def test_a_node_is_ready_while_its_service_is_silent(machine: Machine, told: bool) -> None:
    """A look at it takes less time than a check of readiness waits."""
    machine.silent = not told
    source = asked(machine, AlibabaSettings(metadata_url=URL) if told else described(URL))
    await source.facts()
    machine.silent = True
    async with asyncio.TaskGroup() as tasks:
        ready = SharedLook(look=source.facts, tasks=tasks)
        for _ in range(3):
            await ready()
            await asyncio.sleep(KEPT_S)


async def test_a_service_that_forgets_the_machine_is_taken_for_away(
    http: aiohttp.ClientSession,
) -> None:
    """What it told once of the machine itself was true; an empty answer is its own trouble."""
    async with scripted([TOKEN, *[Answer(body="i-x")] * 5, NOT_FOUND]) as api:
        metadata = Metadata(http=http, url=api.url, patient=False)
        await metadata.known()
        with pytest.raises(Unreachable, match="tells no instance id and no zone and no region any"):
            await metadata.known()


@pytest.mark.parametrize("off", [True, False], ids=["switched-off", "no-address"])
async def test_a_service_that_is_switched_off_is_never_asked(
    source_of: SourceOf, off: bool
) -> None:
    """The settings tell all there is."""
    async with scripted([TOKEN]) as api:
        settings = AlibabaSettings(
            metadata_url=api.url if off else "", metadata_off=off, nodeid="i-mine", zone="z-1",
            region="cn-beijing", instance_type="ecs.g6.large",
        )  # fmt: skip
        facts = await source_of(settings).facts()

    assert (facts.instance_type, facts.attached_serials, api.lines) == ("ecs.g6.large", None, [])


async def test_without_service_and_settings_nobody_knows_the_node(source_of: SourceOf) -> None:
    """The message names the settings that would do."""
    with pytest.raises(Unreachable) as caught:
        await source_of(AlibabaSettings(metadata_off=True, nodeid="i-1")).facts()

    assert "set REGION_ID, ZONE_ID and --nodeid" in caught.value.hint


async def test_the_provider_opens_its_own_source(world: Cloud) -> None:
    """As the driver does it."""
    async with ALIBABA.node_facts(AlibabaSettings(metadata_url=service(world))) as source:
        facts = await source.facts()

    assert facts.node_id == NODE
