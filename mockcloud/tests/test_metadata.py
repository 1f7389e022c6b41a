"""What a machine may ask of itself, by row 40 of the wire's acceptance table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import aiohttp
import pytest
from mockcloud.app import serving
from mockcloud.engine.clock import FakeClock
from mockcloud.engine.knobs import Knobs
from mockcloud.engine.world import default_world
from wireclient import Wire

MACHINE = "i-bp1mockcloudnode0001"
TTL, TOKEN = "X-aliyun-ecs-metadata-token-ttl-seconds", "X-aliyun-ecs-metadata-token"


@pytest.fixture
async def strict() -> AsyncIterator[Wire]:
    """A cloud whose metadata service answers nobody without a token."""
    clock = FakeClock()
    world = replace(default_world(), knobs=Knobs(metadata_tokens_required=True))
    async with (
        serving(config=world, latencies={}, clock=clock) as cloud,
        aiohttp.ClientSession() as http,
    ):
        yield Wire(cloud, clock, http)


async def asked(
    wire: Wire, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, str]:
    """Status and text."""
    address = f"http://{wire.address}/_imds/{MACHINE}/latest/{path}"
    async with wire.http.request(method, address, headers=headers) as answer:
        return answer.status, await answer.text()


async def token(wire: Wire, ttl: str = "60") -> str:
    """A fresh one."""
    return (await asked(wire, "api/token", {TTL: ttl}, "PUT"))[1]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("meta-data/instance-id", MACHINE),
        ("meta-data/region-id", "cn-hangzhou"),
        ("meta-data/zone-id", "cn-hangzhou-g"),
        ("meta-data/instance/instance-type", "ecs.g6.large"),
    ],
)
async def test_a_machine_learns_what_it_is(wire: Wire, path: str, value: str) -> None:
    """One value each, without a line's end."""
    assert await asked(wire, path) == (200, value)


async def test_the_document_tells_it_all_at_once(wire: Wire) -> None:
    """Its names have hyphens."""
    _, text = await asked(wire, "dynamic/instance-identity/document")
    assert f'"instance-id":"{MACHINE}"' in text


@pytest.mark.parametrize("ttl", ["1", "21600"])
async def test_a_token_lasts_as_long_as_asked(wire: Wire, ttl: str) -> None:
    """It serves until then, and is refused from then on."""
    made = await token(wire, ttl)
    before = (await asked(wire, "meta-data/zone-id", {TOKEN: made}))[0]
    wire.clock.set(wire.clock.time() + int(ttl))
    assert (before, (await asked(wire, "meta-data/zone-id", {TOKEN: made}))[0]) == (200, 401)


async def test_a_token_that_expired_is_forgotten_with_the_next_one(wire: Wire) -> None:
    """A server that runs for months keeps none of them: it would not come back with the time."""
    expired, began = await token(wire, "60"), wire.clock.time()
    wire.clock.set(began + 60)
    await token(wire, "60")
    wire.clock.set(began)
    assert (await asked(wire, "meta-data/zone-id", {TOKEN: expired}))[0] == 401


@pytest.mark.parametrize("ttl", ["0", "21601", "-1", "x", ""])
async def test_row_40_a_token_for_an_odd_time_is_refused(wire: Wire, ttl: str) -> None:
    """One to 21600 seconds are allowed."""
    assert (await asked(wire, "api/token", {TTL: ttl}, "PUT"))[0] == 400


async def test_row_40_a_forwarded_request_gets_no_token(wire: Wire) -> None:
    """A proxy that is fooled must not fetch one."""
    headers = {TTL: "60", "X-Forwarded-For": "192.0.2.7"}
    assert (await asked(wire, "api/token", headers, "PUT"))[0] == 403


async def test_row_40_a_bad_token_is_refused_where_none_is_needed_too(wire: Wire) -> None:
    """Whoever shows one must show a good one."""
    assert (await asked(wire, "meta-data/zone-id", {TOKEN: "bad"}))[0] == 401


async def test_row_40_without_a_token_a_strict_service_refuses(strict: Wire) -> None:
    """With one it answers."""
    refused = (await asked(strict, "meta-data/zone-id"))[0]
    served = (await asked(strict, "meta-data/zone-id", {TOKEN: await token(strict)}))[0]
    assert (refused, served) == (403, 200)


@pytest.mark.parametrize("path", ["", "meta-data/colour", "zone-id", "meta-data/disks/none/id"])
async def test_row_40_an_unknown_path_is_not_found(wire: Wire, path: str) -> None:
    """As is a disk that is not there."""
    assert (await asked(wire, path))[0] == 404


async def test_an_unknown_machine_has_no_metadata(wire: Wire) -> None:
    """Nobody answers for it."""
    address = f"http://{wire.address}/_imds/i-none/latest/meta-data/zone-id"
    async with wire.http.get(address) as answer:
        assert answer.status == 404


async def test_attached_disks_are_listed_by_serial(wire: Wire) -> None:
    """The system disk is first; each has its id below it."""
    made = await wire.call(
        "CreateDisk", RegionId="cn-hangzhou", ZoneId="cn-hangzhou-g", Size="20",
        DiskCategory="cloud_essd",
    )  # fmt: skip
    disk_id = made.json["DiskId"]
    before = (await asked(wire, "meta-data/disks/"))[1].split("\n")
    await wire.call("AttachDisk", InstanceId=MACHINE, DiskId=disk_id)
    after = (await asked(wire, "meta-data/disks/"))[1].split("\n")
    assert after == [*before, f"{disk_id[2:]}/"]
    assert await asked(wire, f"meta-data/disks/{disk_id[2:]}/id") == (200, disk_id)


async def test_a_directory_lists_its_children(wire: Wire) -> None:
    """One on a line, directories with a slash."""
    _, text = await asked(wire, "meta-data/")
    assert {"disks/", "zone-id", "instance-id"} <= set(text.split("\n"))
