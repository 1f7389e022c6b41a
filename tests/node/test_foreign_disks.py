"""Which disks are counted off, while volumes come and go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from diskcsi.model.errors import WrongState
from diskcsi.model.ids import NodeId
from diskcsi.node.foreign import SETTLED_S, ForeignDisks
from diskcsi.node.info import NodeInformer
from diskcsi.ports.host import ForeignNote
from diskcsi.ports.node_facts import NodeFacts
from tests.node.machine import SERIAL, STAGE, VOLUME, Machine, serial_of

NODE = NodeId("i-1")
PLACES = 17
ON_THEIR_WAY = frozenset(f"v{number}" for number in range(10))


@dataclass
class Attached:
    """What a machine's cloud has attached to it."""

    serials: frozenset[str]
    silent: bool = False

    async def facts(self) -> NodeFacts:
        return NodeFacts(
            node_id=NODE, zone="z1", region="r1", instance_type="large",
            attached_serials=None if self.silent else self.serials,
        )  # fmt: skip


def plugin(
    node: Machine, attached: Attached, *, foreign: ForeignDisks | None = None
) -> NodeInformer:
    """A process of the plug-in; one after the other is started on a machine."""
    return NodeInformer(
        source=attached,
        devices=node.host,
        mounts=node.host,
        records=node.host,
        foreign=foreign or ForeignDisks(notes=node.host),
        serial=serial_of,
        segments=lambda known: {"zone": known.zone},
        volume_limit=lambda _: PLACES,
        volume_limit_hint="",
        max_volumes=0,
    )


def noted(*serials: str, node_id: NodeId = NODE) -> ForeignNote:
    return ForeignNote(node_id=node_id, serials=frozenset(serials))


async def limit(informer: NodeInformer) -> int:
    return (await informer.info()).max_volumes


async def test_where_the_driver_runs_first_every_disk_is_foreign(node: Machine) -> None:
    """None of its volumes can be there, and kubelets before 1.34 keep this answer."""
    assert await limit(plugin(node, Attached(frozenset({"system", "data"})))) == PLACES - 2


async def test_volumes_on_their_way_are_not_foreign_to_a_plug_in_that_is_replaced(
    node: Machine,
) -> None:
    """Nothing is staged while it is away, and much may be attached."""
    attached = Attached(frozenset({"system", "data"}))
    before = await limit(plugin(node, attached))
    attached.serials |= ON_THEIR_WAY
    assert await limit(plugin(node, attached)) == before


async def test_a_volume_that_waits_for_its_detach_is_not_foreign(node: Machine) -> None:
    """Unstaged volumes of a node that is drained are detached one after the other."""
    attached = Attached(frozenset({"system", SERIAL}))
    node.host.recorded = {VOLUME}
    informer = plugin(node, attached)
    before = await limit(informer)
    node.host.recorded = set()
    assert [await limit(informer), await limit(plugin(node, attached))] == [before, before]


async def test_a_disk_that_stays_unknown_for_minutes_is_foreign(node: Machine) -> None:
    """Somebody attached it by hand; a successor knows it at once."""
    attached = Attached(frozenset({"system"}))
    informer = plugin(node, attached)
    await informer.info()
    attached.serials |= {"by-hand"}
    early = await limit(informer)
    await asyncio.sleep(SETTLED_S - 1)
    still_early = await limit(informer)
    await asyncio.sleep(1)
    settled = await limit(informer)
    assert (early, still_early, settled) == (PLACES - 1, PLACES - 1, PLACES - 2)
    assert await limit(plugin(node, attached)) == settled


async def test_a_disk_that_was_a_volume_meanwhile_is_not_foreign(node: Machine) -> None:
    """Its minutes begin anew when it is unstaged."""
    attached = Attached(frozenset({"system"}))
    informer = plugin(node, attached)
    await informer.info()
    attached.serials |= {SERIAL}
    for recorded in ({VOLUME}, set()):
        await informer.info()
        await asyncio.sleep(SETTLED_S / 2)
        node.host.recorded = recorded
    await asyncio.sleep(SETTLED_S / 2)
    assert await limit(informer) == PLACES - 1


@pytest.mark.parametrize("how", ["detached", "staged"])
async def test_what_is_no_longer_foreign_is_forgotten(node: Machine, how: str) -> None:
    """A disk that was attached by hand may be a volume later."""
    node.host.noted = noted("system", SERIAL)
    attached = Attached(frozenset({"system", SERIAL}))
    informer = plugin(node, attached)
    before = await limit(informer)
    if how == "detached":
        attached.serials = frozenset({"system"})
    else:
        node.host.recorded = {VOLUME}
    assert (before, await limit(informer)) == (PLACES - 2, PLACES - 1)
    assert node.host.noted == noted("system")


async def test_a_volume_whose_staging_is_refused_is_not_foreign(node: Machine) -> None:
    """Kubelet throws its record away, and asks again and again; the scheduler counts it already."""
    node.host.noted = noted("system")
    node.host.plug("one").facts.update(signatures=("LVM2_member",))
    informer = plugin(node, Attached(frozenset({"system", "one"})), foreign=node.foreign)
    for _ in range(4):
        with pytest.raises(WrongState, match="is left alone"):
            await node.stager.stage(STAGE)
        counted = await limit(informer)
        await asyncio.sleep(SETTLED_S / 2)
    assert (counted, node.host.noted) == (PLACES - 1, noted("system"))


async def test_a_disk_that_comes_back_by_other_hands_is_foreign(node: Machine) -> None:
    """That it was to be staged once says nothing after its detach."""
    node.host.noted = noted("system")
    attached = Attached(frozenset({"system", "one"}))
    informer = plugin(node, attached, foreign=node.foreign)
    node.foreign.is_volume("one")
    for serials in ({"system", "one"}, {"system"}, {"system", "one"}):
        attached.serials = frozenset(serials)
        await informer.info()
    await asyncio.sleep(SETTLED_S)
    assert await limit(informer) == PLACES - 2


@pytest.mark.parametrize(("machine", "counted"), [(NODE, 3), (NodeId("i-2"), 1)])
async def test_while_nobody_tells_the_disks_the_note_counts(
    node: Machine, machine: NodeId, counted: int
) -> None:
    """A metadata service that is silent for a moment makes no places."""
    node.host.noted = noted("system", "data", "more", node_id=machine)
    assert await limit(plugin(node, Attached(frozenset(), silent=True))) == PLACES - counted


async def test_without_a_question_of_kubelet_disks_are_noticed_too(node: Machine) -> None:
    """A kubelet before 1.34 asks once, and the next time a successor."""
    attached = Attached(frozenset({"system"}))
    informer = plugin(node, attached)
    await informer.info()
    attached.serials |= {"by-hand"}
    assert await informer.watch() == NODE
    await asyncio.sleep(SETTLED_S)
    await informer.watch()
    assert await limit(plugin(node, attached)) == PLACES - 2


async def test_a_watch_is_no_answer_to_kubelet(node: Machine) -> None:
    """Who was told what is known of questions alone."""
    informer = plugin(node, Attached(frozenset({"system"})))
    await informer.watch()
    assert informer.answered is None


async def test_the_note_of_another_machine_is_not_believed(node: Machine) -> None:
    """A machine may be made of another one's system disk."""
    node.host.noted = noted("its-system", node_id=NodeId("i-2"))
    assert await limit(plugin(node, Attached(frozenset({"system"})))) == PLACES - 1
    assert node.host.noted == noted("system")


async def test_what_has_not_changed_is_not_written_again(node: Machine) -> None:
    """Kubelet asks every minute."""
    informer = plugin(node, Attached(frozenset({"system"})))
    for _ in range(3):
        await informer.info()
    assert node.host.calls.count("keep") == 1


async def test_a_note_that_can_not_be_kept_is_told_and_hinders_nobody(node: Machine) -> None:
    """The answer is as true as with it."""
    node.host.fail("keep", WrongState("disk full"))
    with capture_logs() as logs:
        assert await limit(plugin(node, Attached(frozenset({"system"})))) == PLACES - 1
    assert [line["error"] for line in logs if line["log_level"] == "warning"] == ["disk full"]
