"""What one volume costs the account in calls, and the driver in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.stack import NODE, Stack, create, publish, unpublish
from diskcsi._proto.csi import v1

LEARNING = 7
"""Lives in which the driver learns how long this cloud takes."""

MEASURED = 4
CALLS_LIMIT = 8
CONTROLLER_MIB, NODE_MIB = 64.0, 56.0
SETTLED_S = 60.0
"""The age at which memory is read, after all that a process does once."""


async def measure(stack: Stack) -> Sequence[Figure]:
    """The most calls that a life took once latencies were learned, and resident memory."""
    for number in range(LEARNING):
        await _life(stack, f"learn-{number}")
    calls = [await _life(stack, f"life-{number}") for number in range(MEASURED)]
    await asyncio.sleep(max(0.0, SETTLED_S - stack.age_s()))
    return [
        Figure(name="ECS calls in one life", value=max(calls), unit="calls", limit=CALLS_LIMIT),
        Figure(
            name="resident memory, controller",
            value=_resident_mib(stack.controller_pid),
            unit="MiB",
            limit=CONTROLLER_MIB,
        ),
        Figure(
            name="resident memory, node",
            value=_resident_mib(stack.node_pid),
            unit="MiB",
            limit=NODE_MIB,
        ),
    ]


async def _life(stack: Stack, name: str) -> int:
    before = len(await stack.calls())
    volume_id = await create(stack.controller, name)
    await publish(stack.controller, volume_id, NODE)
    await unpublish(stack.controller, volume_id, NODE)
    await stack.controller.delete_volume(v1.DeleteVolumeRequest(volume_id=volume_id))
    return len(await stack.calls()) - before


def _resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(one for one in status.splitlines() if one.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
