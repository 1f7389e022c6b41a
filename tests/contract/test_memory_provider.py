from __future__ import annotations

import asyncio

import pytest

from diskcsi.model.errors import Denied, InvalidArgument
from diskcsi.ports.cloud import CloudCall
from diskcsi.ports.settings import settings_of
from diskcsi.testing.memory import (
    MEMORY_PROVIDER,
    MEMORY_RULES,
    REGION_KEY,
    ZONE_KEY,
    Latency,
    MemoryCloud,
    MemorySettings,
)


async def test_the_provider_opens_a_cloud_that_tells_of_its_calls() -> None:
    """Action, kind and code, as a real one would."""
    told: list[CloudCall] = []
    async with MEMORY_PROVIDER.open_cloud(MemorySettings(), told.append) as cloud:
        await cloud.check()
    assert [(call.action, call.mutating, call.code) for call in told] == [("check", False, "OK")]


async def test_the_provider_tells_where_its_node_is() -> None:
    """From its settings; there is no machine to ask."""
    settings = MemorySettings(node_id="node-3", zone="zone-b")
    async with MEMORY_PROVIDER.node_facts(settings) as source:
        facts = await source.facts()
    assert (facts.node_id, MEMORY_RULES.segments(facts)) == (
        "node-3",
        {ZONE_KEY: "zone-b", REGION_KEY: "region-1"},
    )


def test_its_settings_explain_themselves() -> None:
    """Every field is declared."""
    assert set(settings_of(MemorySettings)) == {"region", "default_zone", "node_id", "zone"}


@pytest.mark.parametrize(("kind", "limit"), [("small", 4), ("large", 16), ("unknown", None)])
def test_its_machines_take_a_number_of_disks(kind: str, limit: int | None) -> None:
    """None where it isn't known."""
    assert MEMORY_RULES.volume_limit(kind) == limit


def test_its_classes_are_parsed_strictly() -> None:
    """As every provider's are."""
    with pytest.raises(InvalidArgument, match="colour"):
        MEMORY_RULES.volume_parameters({"color": "red"})


@pytest.mark.looptime
async def test_time_passes_by_the_loops_clock() -> None:
    """Nothing runs in the background, and nothing is early."""
    cloud = MemoryCloud(latency=Latency(call_s=2.0))
    await cloud.check()
    assert asyncio.get_running_loop().time() == pytest.approx(2.0)


async def test_an_error_without_a_code_is_told_by_its_kind() -> None:
    """The observer never learns nothing."""
    told: list[CloudCall] = []
    cloud = MemoryCloud(observer=told.append)
    cloud.faults.refuse("check", Denied("no"))
    with pytest.raises(Denied):
        await cloud.check()
    assert told[0].code == "Denied"
