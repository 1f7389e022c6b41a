"""What the cloud starts with: regions, zones, machines, keys, and its odd ways.

A world is a TOML file; without one a default world serves.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from mockcloud.engine.catalog import NAMES, TYPES
from mockcloud.engine.knobs import Knobs, WorldError
from mockcloud.wire.auth import AccessKey

RUNNING: Final = "Running"
STATUSES: Final = ("Pending", "Starting", RUNNING, "Stopping", "Stopped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One instance that is there from the start."""

    id: str
    zone: str
    type: str = "ecs.g6.large"
    status: str = RUNNING
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldConfig:
    """What the cloud starts with.

    Attributes:
        zones: zones by region.
        sold_out: `zone/category` pairs without stock.
    """

    zones: Mapping[str, tuple[str, ...]]
    machines: tuple[Machine, ...]
    keys: tuple[AccessKey, ...]
    knobs: Knobs = field(default_factory=Knobs)
    sold_out: frozenset[str] = frozenset()

    def region_of(self, zone: str) -> str:
        """The region that a zone belongs to; empty when it is unknown."""
        return next((region for region, zones in self.zones.items() if zone in zones), "")


DEFAULT_ZONES: Final = {
    "cn-hangzhou": ("cn-hangzhou-g", "cn-hangzhou-h"),
    "cn-beijing": ("cn-beijing-a", "cn-beijing-b"),
    "cn-huhehaote": ("cn-huhehaote-a", "cn-huhehaote-b"),
}
DEFAULT_KEY: Final = AccessKey(id="mockcloud-key-id", secret="mockcloud-key-secret")  # noqa: S106


def default_world() -> WorldConfig:
    """Three regions, three machines in each, one key pair."""
    prefixes = {"cn-hangzhou": "bp1", "cn-beijing": "2ze", "cn-huhehaote": "hp3"}
    machines = [
        Machine(id=f"i-{prefixes[region]}mockcloudnode000{place}", zone=zone)
        for region, (first, second) in DEFAULT_ZONES.items()
        for place, zone in enumerate((first, first, second), start=1)
    ]
    return WorldConfig(zones=DEFAULT_ZONES, machines=tuple(machines), keys=(DEFAULT_KEY,))


def parse_world(text: str) -> WorldConfig:
    """A world from TOML; whatever it leaves out comes from the default world.

    Raises:
        WorldError: it is no TOML, has unknown keys, or contradicts itself.
    """
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WorldError(f"no TOML: {error}") from error
    _refuse_unknown(told, {"regions", "instances", "keys", "knobs", "sold_out"}, "the world")
    base = default_world()
    zones = _zones(told["regions"]) if "regions" in told else base.zones
    machines = (
        tuple(_made(Machine, one, "an instance") for one in _tables(told, "instances"))
        if "instances" in told
        else tuple(one for one in base.machines if any(one.zone in z for z in zones.values()))
    )
    keys = tuple(_key(one) for one in _tables(told, "keys")) if "keys" in told else base.keys
    world = WorldConfig(
        zones=zones,
        machines=machines,
        keys=keys,
        knobs=_made(Knobs, told.get("knobs", {}), "knobs"),
        sold_out=frozenset(_texts(told.get("sold_out", []), "sold_out")),
    )
    _check(world)
    return world


def _check(world: WorldConfig) -> None:
    if not world.keys:
        raise WorldError("keys is empty: nobody could call this cloud")
    ids = [machine.id for machine in world.machines]
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        raise WorldError(f"instances {', '.join(twice)} are there twice")
    for machine in world.machines:
        _check_machine(world, machine)
    for pair in world.sold_out:
        zone, _, category = pair.partition("/")
        if not world.region_of(zone) or category.partition("/")[0] not in NAMES:
            raise WorldError(f"sold_out has {pair!r}: allowed are ZONE/CATEGORY of this world")


def _check_machine(world: WorldConfig, machine: Machine) -> None:
    if not world.region_of(machine.zone):
        raise WorldError(f"instance {machine.id} is in zone {machine.zone}, which no region has")
    for name, value, allowed in (
        ("type", machine.type, tuple(TYPES)),
        ("status", machine.status, STATUSES),
    ):
        if value not in allowed:
            raise WorldError(
                f"instance {machine.id} has {name} {value}: allowed are {', '.join(allowed)}"
            )


def _zones(told: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(told, dict) or not told:
        raise WorldError("regions is no table: allowed is REGION = [ZONE, ...]")
    return {region: tuple(_texts(zones, f"region {region}")) for region, zones in told.items()}


def _texts(told: object, what: str) -> list[str]:
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        raise WorldError(f"{what} is {told!r}: allowed is a list of texts")
    return told


def _tables(told: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    tables = told[name]
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise WorldError(f"{name} is no list of tables: write each as [[{name}]]")
    return tables


def _key(told: Mapping[str, Any]) -> AccessKey:
    changed = dict(told)
    changed["denied"] = frozenset(_texts(changed.get("denied", []), "denied of a key"))
    key: AccessKey = _made(AccessKey, changed, "a key")
    if key.token_expires is not None and key.token_expires.tzinfo is None:
        raise WorldError(f"token_expires of key {key.id} has no time zone: end it with Z")
    return key


def _made(kind: type[Any], told: Mapping[str, Any], what: str) -> Any:  # noqa: ANN401 - of `kind`
    if not isinstance(told, Mapping):
        raise WorldError(f"{what} is {told!r}: allowed is a table")
    _refuse_unknown(told, {item.name for item in fields(kind)}, what)
    try:
        return kind(**told)
    except TypeError as error:
        raise WorldError(f"{what}: {error}") from error


def _refuse_unknown(told: Mapping[str, Any], known: set[str], what: str) -> None:
    if unknown := sorted(set(told) - known):
        raise WorldError(
            f"{what} has unknown keys {', '.join(unknown)}; allowed are {', '.join(sorted(known))}"
        )
