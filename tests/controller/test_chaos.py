"""Whole lives of volumes in a cloud that loses, delays and refuses calls at random."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import Final, TypeVar

import pytest

from diskcsi.model.errors import (
    MAYBE_RUNNING,
    DiskError,
    Exhausted,
    Pending,
    Throttled,
    Unreachable,
)
from diskcsi.model.volume import DiskState
from diskcsi.testing.memory import Faults, Latency
from tests.controller.rig import MOUNT, NODE, ORDER, OTHER_NODE, Rig, gib, zones

Done = TypeVar("Done")

RPC_S: Final = 15.0
"""What the sidecars give a call before they make it again."""

PATIENCE_S: Final = 3600.0


class Storm(Faults):
    """Strikes every call with a probability, in every way there is."""

    def __init__(self, random: Random, share: float) -> None:
        super().__init__()
        self._random = random
        self._share = share

    def stir(self, actions: tuple[str, ...]) -> None:
        """Decide what happens to the next call of each of these."""
        self.clear()
        for action in actions:
            while self._random.random() < self._share:
                self._choose()(action)

    def _choose(self) -> Callable[[str], None]:
        return self._random.choice(
            [
                self.lose_reply,
                self.lose_request,
                self.throttle,
                lambda action: self.arrive_late(action, after_s=self._random.uniform(0, 2)),
                lambda action: self.refuse(action, TimeoutError()),
                lambda action: self.refuse(action, Unreachable("the network is down")),
                lambda action: self.refuse(action, Throttled("slow down"), times=3),
                lambda action: self.refuse(action, Pending("busy")),
            ]
        )


CHANGES: Final = (
    "create_disk", "delete_disk", "attach_disk", "detach_disk", "resize_disk", "create_snapshot",
    "delete_snapshot",
)  # fmt: skip
READS: Final = ("find_disks", "get_disks", "find_snapshots", "get_snapshots")


class Sidecar:
    """Makes a call again until it succeeds, as the stock ones do; what it is told must allow that."""

    def __init__(self, rig: Rig, storm: Storm, random: Random) -> None:
        self.rig = rig
        self._storm = storm
        self._random = random
        self.told: list[BaseException] = []
        self.refuses: Callable[[], DiskError | None] = lambda: None
        self.final: tuple[type[DiskError], ...] = ()

    async def insist(self, call: Callable[[Rig], Awaitable[Done]]) -> Done:
        """The result, whatever happens on the way."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                self._storm.stir((*CHANGES, *READS))
                if refusal := self.refuses():
                    self._storm.refuse("create_disk", refusal, times=self._random.randrange(1, 5))
                if self._random.random() < 0.3:
                    self.rig = self.rig.restarted()  # the former process goes on with its flights
                try:
                    async with asyncio.timeout(RPC_S):
                        return await call(self.rig)
                except self.final:
                    raise
                except (DiskError, TimeoutError) as error:
                    self.told.append(error)
                await asyncio.sleep(1)


def weather(rig: Rig, seed: int) -> Sidecar:
    """A slow cloud, a storm over it, and someone who insists."""
    random = Random(seed)
    rig.cloud.state.latency = Latency(
        call_s=0.05, create_s=random.uniform(0, 4), delete_s=random.uniform(0, 2),
        attach_s=random.uniform(0, 6), detach_s=random.uniform(0, 6),
        status_s=random.uniform(0, 1), resize_s=random.uniform(0, 4),
        cut_s=random.uniform(0, 2), upload_s=random.uniform(0, 20), show_s=random.uniform(0, 2),
    )  # fmt: skip
    storm = Storm(random, share=random.choice([0.1, 0.3, 0.5]))
    rig.cloud.faults = storm
    return Sidecar(rig, storm, random)


@pytest.mark.parametrize("seed", range(60))
async def test_a_life_in_a_storm_ends_well(rig: Rig, seed: int) -> None:
    """Everything succeeds in the end, nothing is told as final, and nothing is left."""
    sidecar = weather(rig, seed)
    volume = await sidecar.insist(lambda now: now.create())
    await sidecar.insist(lambda now: now.attach(volume.id, NODE))
    await sidecar.insist(lambda now: now.expander.expand(volume.id, gib(30), MOUNT))
    snapshot = await sidecar.insist(lambda now: now.snapshot(volume.id))
    await sidecar.insist(lambda now: now.detach(volume.id, NODE))
    await sidecar.insist(lambda now: now.attach(volume.id, OTHER_NODE))
    assert [(disk.id, disk.size_gib) for disk in rig.disks()] == [(volume.id, 30)]
    await sidecar.insist(lambda now: now.detach(volume.id, None))
    await sidecar.insist(lambda now: now.snapshotter.delete(snapshot.id))
    await sidecar.insist(lambda now: now.deleter.delete(volume.id))
    await asyncio.sleep(600)
    assert [error for error in sidecar.told if not isinstance(error, MAYBE_RUNNING)] == []
    assert (rig.disks(), rig.cloud.state.snapshots) == ([], {})


@pytest.mark.parametrize("seed", range(30))
async def test_many_volumes_of_one_node_in_a_storm_are_one_disk_each(rig: Rig, seed: int) -> None:
    """They wait for each other, and none is made twice."""
    sidecars = [weather(rig, seed + place) for place in range(4)]

    async def life(place: int) -> None:
        sidecar = sidecars[place]
        volume = await sidecar.insist(lambda now: now.create(name=f"pvc-{place}"))
        await sidecar.insist(lambda now: now.attach(volume.id))

    await asyncio.gather(*(life(place) for place in range(4)))
    await asyncio.sleep(600)
    told = [error for sidecar in sidecars for error in sidecar.told]
    assert [error for error in told if not isinstance(error, MAYBE_RUNNING)] == []
    assert sorted((disk.name, disk.attached_to, disk.state) for disk in rig.disks()) == [
        (f"pvc-{place}", frozenset({NODE}), DiskState.IN_USE) for place in range(4)
    ]


@pytest.mark.parametrize("seed", range(60))
async def test_a_final_refusal_in_a_storm_leaves_no_disk_anywhere(rig: Rig, seed: int) -> None:
    """Zones sell out in the middle of it; whoever is told so may forget the volume."""
    sidecar = weather(rig, seed)
    random = Random(seed)
    sidecar.refuses = lambda: Exhausted("sold out") if random.random() < 0.5 else None
    sidecar.final = (Exhausted,)
    order = replace(
        ORDER, requirement=zones("zone-a", "zone-b"), parameters={"kind": "quick,plain"}
    )
    try:
        volume = await sidecar.insist(lambda now: now.create(order))
    except Exhausted:
        wanted = []
    else:
        wanted = [volume.id]
    await asyncio.sleep(600)
    assert [disk.id for disk in rig.disks()] == wanted
