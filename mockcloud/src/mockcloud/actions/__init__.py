"""What each API call does, by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mockcloud.actions import attach, disk_reads, disks, instances, places, snapshots, tags
from mockcloud.engine.engine import Engine
from mockcloud.errors import ApiError
from mockcloud.wire.params import Params

Action = Callable[[Engine, Params], Awaitable[dict[str, Any]]]

ACTIONS: Final[dict[str, Action]] = {
    "CreateDisk": disks.create_disk,
    "DeleteDisk": disks.delete_disk,
    "ResizeDisk": disks.resize_disk,
    "DescribeDisks": disk_reads.describe_disks,
    "AttachDisk": attach.attach_disk,
    "DetachDisk": attach.detach_disk,
    "CreateSnapshot": snapshots.create_snapshot,
    "DeleteSnapshot": snapshots.delete_snapshot,
    "DescribeSnapshots": snapshots.describe_snapshots,
    "TagResources": tags.tag_resources,
    "UntagResources": tags.untag_resources,
    "ListTagResources": tags.list_tag_resources,
    "StartInstance": instances.start_instance,
    "StopInstance": instances.stop_instance,
    "DeleteInstance": instances.delete_instance,
    "DescribeInstances": places.describe_instances,
    "DescribeInstanceTypes": places.describe_instance_types,
    "DescribeZones": places.describe_zones,
    "DescribeRegions": places.describe_regions,
}

EFFECTS: Final = (*attach.EFFECTS, *disks.EFFECTS, *snapshots.EFFECTS, *instances.EFFECTS)
"""Everything that a call lets happen later; names of these stand in what is written down."""

WITH_DRY_RUN: Final = frozenset({"DescribeDisks", "DescribeSnapshots", "DescribeInstances"})
"""Calls that may be tried: the answer that all is well is an error, on the real cloud too."""

READS: Final = ("Describe", "List")
"""Beginnings of the names of calls that change nothing."""


class Actor:
    """Carries out calls on one engine, each with the time it takes."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    async def act(self, name: str, params: Params) -> dict[str, Any]:
        """The answer of the action `name`; what is due by then has happened before and after."""
        engine = self._engine
        engine.count_call(name, engine.region_of_call(params))
        with engine.tokens.running(name, params):
            if takes_s := engine.latencies.draw(f"call.{name}"):
                await asyncio.sleep(takes_s)
            await engine.schedule.run_due()
            answer = await ACTIONS[name](engine, params)
            if name in WITH_DRY_RUN and params.boolean("DryRun"):
                raise ApiError(
                    400,
                    "DryRunOperation",
                    "Request validation has been passed with DryRun flag set.",
                )
            await engine.schedule.run_due()
            if not name.startswith(READS):
                await engine.keep()
        return answer
