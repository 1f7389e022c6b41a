from __future__ import annotations

import dataclasses

import pytest
from mockcloud.engine.catalog import TYPES
from mockcloud.engine.knobs import CHOICES, Knobs, WorldError
from mockcloud.engine.latency import ranges
from mockcloud.engine.world import default_world, parse_world

WORLD = """
sold_out = ["z-1/cloud_ssd"]
[regions]
r = ["z-1", "z-2"]
[[instances]]
id = "i-1"
zone = "z-1"
type = "ecs.g8i.xlarge"
status = "Stopped"
tags = { supportConcurrencyAttach = "true" }
[[keys]]
id = "k"
secret = "s"
denied = ["DeleteDisk"]
token = "t"
token_expires = 2030-01-01T00:00:00Z
[knobs]
delete_unknown = 200
token_ttl_s = 60
"""


def test_a_world_is_what_its_file_says() -> None:
    """Regions, machines, keys, stock and knobs."""
    world = parse_world(WORLD)
    (machine,), (key,) = world.machines, world.keys
    assert world.zones == {"r": ("z-1", "z-2")}
    assert (machine.id, machine.type, machine.status) == ("i-1", "ecs.g8i.xlarge", "Stopped")
    assert (key.id, sorted(key.denied)) == ("k", ["DeleteDisk"])
    assert world.sold_out == {"z-1/cloud_ssd"}
    assert world.knobs == Knobs(delete_unknown=200, token_ttl_s=60)


def test_what_a_file_leaves_out_is_as_by_default() -> None:
    """An empty file is the default world."""
    assert parse_world("") == default_world()


def test_the_default_world_has_the_regions_that_pages_speak_of() -> None:
    """A file is needed for none of them; each has two zones and machines in both."""
    world = default_world()
    assert {"cn-hangzhou", "cn-beijing", "cn-huhehaote"} <= set(world.zones)
    assert {one.zone for one in world.machines} == {
        z for zones in world.zones.values() for z in zones
    }


def test_the_default_machines_take_the_default_categories() -> None:
    """Those that a driver of ECS asks for when nothing is told."""
    wanted = {"cloud_ssd", "cloud_efficiency", "cloud_essd", "cloud_auto"}
    assert all(wanted <= TYPES[one.type].categories for one in default_world().machines)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("x = ", "no TOML"),
        ("colour = 'red'", "colour"),
        ("[knobs]\nspeed = 1", "speed"),
        ("[knobs]\ndelete_unknown = 500", "delete_unknown is 500: allowed are 404, 200"),
        ("[knobs]\nsnapshot_needs_attach = 1", "snapshot_needs_attach"),
        ("[knobs]\ntoken_ttl_s = 'day'", "token_ttl_s"),
        ("knobs = 3", "knobs"),
        ("regions = ['r']", "REGION = \\[ZONE"),
        ("[regions]\nr = 'z-1'", "region r"),
        ("[[instances]]\nid = 'i'", "zone"),
        ("[[instances]]\nid = 'i'\nzone = 'mars'", "zone mars"),
        ("[[instances]]\nid = 'i'\nzone = 'cn-hangzhou-g'\ntype = 'pc'", "type pc"),
        ("[[instances]]\nid = 'i'\nzone = 'cn-hangzhou-g'\nstatus = 'Odd'", "status Odd"),
        ("[[instances]]\nid = 'i'\nzone = 'cn-hangzhou-g'\nsize = 1", "size"),
        ("[[instances]]\nid = 'i'\nzone = 'cn-hangzhou-g'\n" * 2, "i are there twice"),
        ("instances = 'i'", "instances"),
        ("keys = []", "keys is empty"),
        ("[[keys]]\nid = 'k'", "secret"),
        ("[[keys]]\nid = 'k'\nsecret = 's'\ntoken_expires = 2030-01-01T00:00:00", "time zone"),
        ("sold_out = ['mars/cloud_ssd']", "mars/cloud_ssd"),
        ("sold_out = ['cn-hangzhou-g/tape']", "tape"),
        ("sold_out = 'x'", "list of texts"),
    ],
)
def test_a_world_that_can_not_be_is_refused_by_name(text: str, word: str) -> None:
    """The message says what is wrong, and with what."""
    with pytest.raises(WorldError, match=word):
        parse_world(text)


def test_a_key_never_shows_its_secret() -> None:
    """Not in a trace either."""
    assert "mockcloud-key-secret" not in repr(default_world())


@pytest.mark.parametrize("name", sorted(CHOICES))
def test_the_first_choice_of_a_knob_is_its_default(name: str) -> None:
    """So that a list of choices tells it."""
    assert CHOICES[name][0] == getattr(Knobs(), name)


def test_every_knob_is_told_of() -> None:
    """Its contract names each."""
    assert not [one.name for one in dataclasses.fields(Knobs) if one.name not in str(Knobs.__doc__)]


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"speed": "1"}, "no knob 'speed': allowed are delete_unknown"),
        ({"snapshot_needs_attach": "yes"}, "allowed are true, false"),
        ({"parallel_attach": "many"}, "allowed is a number"),
        ({"throttle_status": "500"}, "allowed are 400, 403, 429"),
    ],
)
def test_a_knob_of_the_command_line_is_read_strictly(given: dict[str, str], word: str) -> None:
    """Nothing is taken for what it isn't."""
    with pytest.raises(WorldError, match=word):
        Knobs().changed(given)


def test_knobs_of_the_command_line_change_those_of_the_world() -> None:
    """The others stay."""
    knobs = Knobs(parallel_attach=2).changed({"snapshot_needs_attach": "false"})
    assert knobs == Knobs(parallel_attach=2, snapshot_needs_attach=False)


@pytest.mark.parametrize(
    ("profile", "steps", "word"),
    [
        ("slow", {}, "'slow'"),
        ("fast", {"nap": "1"}, "'nap'"),
        ("fast", {"attach": "soon"}, "attach=soon"),
        ("fast", {"attach": "5:2"}, "the lower first"),
        ("fast", {"attach": "-1"}, "from 0"),
        ("fast", {"attach": "nan"}, "from 0"),
    ],
)
def test_a_latency_that_can_not_be_is_refused(
    profile: str, steps: dict[str, str], word: str
) -> None:
    """With the step and what is allowed."""
    with pytest.raises(ValueError, match=word):
        ranges(profile, steps)


def test_single_steps_change_a_profile() -> None:
    """One number, or two; the others stay."""
    told = ranges("fast", {"attach": "2", "call.AttachDisk": "0.1:0.2"})
    assert (told["attach"], told["call.AttachDisk"], told["detach"]) == (
        (2, 2),
        (0.1, 0.2),
        (0.3, 0.7),
    )
