from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
import structlog

from diskcsi.model.errors import Unreachable, WrongState
from diskcsi.model.ids import NodeId, VolumeId
from diskcsi.node.foreign import ForeignDisks
from diskcsi.node.info import NodeInformer
from diskcsi.node.requests import Stage
from diskcsi.ports.node_facts import NodeFacts
from diskcsi.telemetry.logging import configure
from tests.node.machine import RAW_STAGE, STAGE, VOLUME, Machine, serial_of
from tests.rows import row

FACTS = NodeFacts(
    node_id=NodeId("i-1"), zone="z1", region="r1", instance_type="large",
    attached_serials=frozenset({"system", "one"}),
)  # fmt: skip


class Source:
    """Facts that a test sets."""

    def __init__(self, facts: NodeFacts | Exception) -> None:
        self.told = facts

    async def facts(self) -> NodeFacts:
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


Inform = Callable[..., NodeInformer]
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Reads what was logged."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = StringIO()
    configure(level="INFO", form="json", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    configure(level="INFO", form="json")


@pytest.fixture
def inform(node: Machine) -> Inform:
    """An informer for a machine type that takes four disks."""

    def made(
        facts: NodeFacts | Exception | Source = FACTS,
        *,
        max_volumes: int = 0,
        volume_limit: Callable[[str], int | None] = {"large": 4}.get,
        volume_limit_hint: str = "tell it",
    ) -> NodeInformer:
        return NodeInformer(
            source=facts if isinstance(facts, Source) else Source(facts),
            devices=node.host,
            mounts=node.host,
            records=node.host,
            foreign=ForeignDisks(notes=node.host),
            serial=serial_of,
            segments=lambda known: {"zone": known.zone},
            volume_limit=volume_limit,
            volume_limit_hint=volume_limit_hint,
            max_volumes=max_volumes,
        )

    return made


async def test_a_node_tells_its_id_and_place(inform: Inform) -> None:
    """As its source says, in the provider's keys."""
    info = await inform().info()
    assert (info.node_id, info.segments) == ("i-1", {"zone": "z1"})


async def test_disks_of_other_hands_are_counted_off(inform: Inform) -> None:
    """The system disk and one attached by hand take two of four places."""
    assert (await inform().info()).max_volumes == 2


@pytest.mark.parametrize("request_", [STAGE, RAW_STAGE], ids=["mounted", "raw"])
async def test_disks_staged_as_volumes_are_not_foreign(
    node: Machine, inform: Inform, request_: Stage
) -> None:
    """A restart of the plug-in must not shrink the node."""
    node.host.plug("one")
    await node.stager.stage(request_)
    assert (await inform().info()).max_volumes == 3


@row("node-reboot-staged")
async def test_volumes_of_a_restarted_machine_are_not_foreign(
    node: Machine, inform: Inform
) -> None:
    """They are attached and not mounted yet when kubelet asks."""
    node.host.recorded = {VOLUME}
    assert (await inform().info()).max_volumes == 3


async def test_a_volume_that_is_recorded_and_mounted_counts_once(
    node: Machine, inform: Inform
) -> None:
    """As it is while the machine runs."""
    node.host.plug("one")
    await node.stager.stage(STAGE)
    node.host.recorded = {VOLUME}
    assert (await inform().info()).max_volumes == 3


async def test_a_node_whose_records_can_not_be_read_tells_what_it_told_before(
    node: Machine, inform: Inform, lines: Lines
) -> None:
    """Its volumes must not be taken for disks of other hands; the log tells once, until it heals."""
    facts = replace(FACTS, attached_serials=frozenset({"system", "by-hand", "one"}))
    informer = inform(facts)
    node.host.recorded = {VOLUME}
    assert (await informer.info()).max_volumes == 2
    for _ in range(2):
        node.host.fail("staged", *[WrongState("input/output error")] * 3)
        assert [(await informer.info()).max_volumes for _ in range(2)] == [2, 2]
        with pytest.raises(WrongState):
            await informer.staged()
        await informer.info()
    told = [line for line in lines() if line["level"] == "warning"]
    assert [line["error"] for line in told] == ["input/output error"] * 2


async def test_a_record_of_a_disk_that_is_gone_frees_no_place(
    node: Machine, inform: Inform
) -> None:
    """Only what is attached takes a place."""
    node.host.recorded = {VolumeId("d-gone")}
    assert (await inform().info()).max_volumes == 2


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (replace(FACTS, instance_type="odd"), 0),
        (replace(FACTS, attached_serials=None), 3),
        (replace(FACTS, attached_serials=frozenset("abcdefgh")), 1),
    ],
    ids=["unknown-type", "unknown-disks", "full"],
)
async def test_the_limit_is_never_a_guess_and_never_zero_by_count(
    inform: Inform, facts: NodeFacts, expected: int
) -> None:
    """Kubernetes reads 0 as "no limit told": an unknown type says it, a full machine must not."""
    assert (await inform(facts).info()).max_volumes == expected


async def test_the_operators_word_wins(inform: Inform) -> None:
    """A set limit is told as it is."""
    assert (await inform(max_volumes=7).info()).max_volumes == 7


async def test_a_limit_that_is_not_known_is_told_once_with_the_way_out(
    inform: Inform, lines: Lines
) -> None:
    """Kubelet asks again and again; the node's type seldom changes."""
    source = Source(replace(FACTS, instance_type="odd"))
    informer = inform(source)
    for instance_type in ("odd", "odd", "strange", "large"):
        source.told = replace(FACTS, instance_type=instance_type)
        await informer.info()
    told = [line for line in lines() if line["level"] == "warning"]
    assert [(line["instance_type"], line["hint"]) for line in told] == [
        ("odd", "tell it"), ("strange", "tell it"),
    ]  # fmt: skip
    assert {line["event"] for line in told} == {
        "how many disks this node takes is not known, so no limit is told"
    }


@pytest.mark.parametrize(
    "given",
    [{"max_volumes": 7}, {"volume_limit_hint": ""}],
    ids=["the operator has told it", "the provider has no limits"],
)
async def test_a_limit_that_nobody_misses_is_not_warned_of(
    inform: Inform, lines: Lines, given: dict[str, Any]
) -> None:
    """A warning is for what somebody should do."""
    await inform(replace(FACTS, instance_type="odd"), **given).info()
    assert [line["level"] for line in lines()] == ["info"]


async def test_only_what_kubelet_asks_for_counts_as_an_answer(inform: Inform) -> None:
    """Readiness looks as well, and tells kubelet nothing."""
    informer = inform()
    await informer.look()
    before = informer.answered
    info = await informer.info()
    assert (before, informer.answered) == (None, info.node_id)


async def test_a_look_at_who_the_node_is_counts_no_disks(inform: Inform) -> None:
    """Each probe makes one, and the count goes through every mount."""
    counted: list[str] = []
    informer = inform(volume_limit=counted.append)
    assert await informer.look() == "i-1"
    assert counted == []


CHANGES = {
    "id": replace(FACTS, node_id=NodeId("i-2"), source="metadata service"),
    "zone": replace(FACTS, zone="z2", source="metadata service"),
}


@pytest.mark.parametrize("changed", CHANGES.values(), ids=list(CHANGES))
async def test_a_node_that_is_another_one_is_told_once(
    node: Machine, inform: Inform, lines: Lines, changed: NodeFacts
) -> None:
    """With who it was, who it is, and who says so."""
    source = Source(FACTS)
    informer = inform(source)
    await informer.look()
    source.told = changed
    await informer.look()
    await informer.look()
    (told,) = [line for line in lines() if line["level"] == "warning"]
    what = "another one" if changed.node_id != FACTS.node_id else "in another place"
    assert told["event"] == f"this node is {what} now"
    assert (told["instance"], told["zone"], told["by"]) == (
        changed.node_id, changed.zone, "metadata service",
    )  # fmt: skip
    assert (told["former_instance"], told["former_zone"]) == ("i-1", "z1")


async def test_another_answer_under_staged_volumes_is_told_loudly_and_given(
    node: Machine, inform: Inform, lines: Lines
) -> None:
    """Disks are attached to the machine that kubelet knew; which they are is in the log."""
    source = Source(FACTS)
    informer = inform(source)
    node.host.recorded = {VOLUME}
    await informer.info()
    source.told = CHANGES["id"]
    assert (await informer.info()).node_id == "i-2"
    (told,) = [line for line in lines() if line["level"] == "error"]
    assert (told["former"], told["now"], told["volumes"]) == ("i-1", "i-2", [VOLUME])


async def test_another_place_under_staged_volumes_is_no_error(
    node: Machine, inform: Inform, lines: Lines
) -> None:
    """Their disks are attached to this machine all the same; one warning tells what becomes of it."""
    source = Source(FACTS)
    informer = inform(source)
    node.host.recorded = {VOLUME}
    await informer.info()
    source.told = CHANGES["zone"]
    await informer.info()
    (told,) = [line for line in lines() if line["level"] != "info"]
    assert (told["level"], told["former_zone"], told["zone"]) == ("warning", "z1", "z2")
    assert (
        "stays as registered until kubelet asks anew, as when this pod is started" in told["hint"]
    )


async def test_another_answer_without_volumes_is_no_error(inform: Inform, lines: Lines) -> None:
    """Nothing is in the wrong place."""
    source = Source(FACTS)
    informer = inform(source)
    await informer.info()
    source.told = CHANGES["id"]
    await informer.info()
    assert [line for line in lines() if line["level"] == "error"] == []


async def test_a_limit_that_changes_makes_no_other_node(
    node: Machine, inform: Inform, lines: Lines
) -> None:
    """Disks come and go."""
    source = Source(FACTS)
    informer = inform(source)
    node.host.recorded = {VOLUME}
    before = await informer.info()
    source.told = replace(FACTS, attached_serials=frozenset())
    after = await informer.info()
    assert before.max_volumes != after.max_volumes
    assert [line["level"] for line in lines()] == ["info"]


async def test_a_silent_source_is_told(inform: Inform) -> None:
    """Not final: the metadata service may answer the next time."""
    with pytest.raises(Unreachable):
        await inform(Unreachable("no answer")).info()
