"""How long many volumes take to attach and to detach, beside what the cloud's own time allows.

A volume's floor is the time that the cloud takes, one call that asks for it and one that reads it.
A node changes one disk at a time, so its floor is the sum over its volumes; nodes work side by
side, so the floor of all is that of the slowest node.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.stack import create, node_name, publish, running, unpublish

CALL_S = 0.05
CONSTANT, SEEDED = "2", "1:6"
LIMITS = {CONSTANT: 1.08, SEEDED: 1.15}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Volumes spread over nodes, and the seconds that the cloud takes for each."""

    volumes: int
    nodes: int
    latency: str

    @property
    def name(self) -> str:
        """For the table."""
        latency = self.latency.replace(":", " to ")
        return f"{self.volumes} volumes on {self.nodes} node{'s' * (self.nodes > 1)}, {latency} s"


LOADS = tuple(
    Load(volumes=volumes, nodes=nodes, latency=latency)
    for latency in LIMITS
    for volumes, nodes in ((10, 1), (100, 20))
)


async def measure(load: Load, directory: Path) -> Sequence[Figure]:
    """Attach all at once, then detach all at once, on a driver that has learned nothing yet."""
    steps = [f"--step={step}={load.latency}" for step in ("attach", "detach")]
    flags = ["--latency=zero", f"--step=call={CALL_S}", *steps]
    async with running(directory, flags, nodes=load.nodes) as stack:
        ids = await asyncio.gather(
            *(create(stack.controller, f"load-{number}") for number in range(load.volumes))
        )
        places = {id_: node_name(place % load.nodes + 1) for place, id_ in enumerate(ids)}
        begun = time.monotonic()
        await asyncio.gather(*(publish(stack.controller, *place) for place in places.items()))
        attached_s = time.monotonic() - begun
        await asyncio.gather(*(unpublish(stack.controller, *place) for place in places.items()))
        detached_s = time.monotonic() - begun - attached_s
        disks = (await stack.state())["disks"]
    return [
        Figure(
            name=f"{step}, {load.name}",
            value=taken_s,
            unit="s",
            floor=floor_s(disks, places, step),
            limit=LIMITS[load.latency],
            of_ratio=True,
        )
        for step, taken_s in (("attach", attached_s), ("detach", detached_s))
    ]


def floor_s(disks: Sequence[Mapping[str, Any]], places: Mapping[str, str], step: str) -> float:
    """The least time in which the nodes could have gone through their disks."""
    per_node: dict[str, float] = defaultdict(float)
    for disk in disks:
        per_node[places[disk["id"]]] += disk["took_s"][step] + 2 * CALL_S
    return max(per_node.values())
