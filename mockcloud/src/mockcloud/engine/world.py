"""What the cloud starts with: regions, zones, machines, keys, and its odd ways.

A world is a TOML file; without one a default world serves.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from mockcloud.engine.catalog import TYPES
from mockcloud.wire.auth import AccessKey

RUNNING: Final = "Running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One instance that is there from the start."""

    id: str
    zone: str
    type: str = "ecs.g6.large"
    status: str = RUNNING
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """Where the real cloud's answer is not known or differs, one may choose.

    Attributes:
        delete_unknown: status for deleting what doesn't exist: 404 or 200.
        token_mismatch_status: 400 or 403.
        token_recorded_on_failure: whether a create that failed spends its token.
        token_ttl_s: how long a token is remembered.
        snapshot_needs_attach: whether a disk must have been attached once to be snapshotted.
        restore_smaller: `enlarge` or `refuse` a disk that is smaller than its snapshot.
        in_use_delete_code: code for deleting a disk that is attached.
        stockout_code: code for a zone that is sold out.
        conflict_code: code for a second attach or detach of a busy machine.
        null_attachments: how an Available disk shows its attachments: `absent`, `empty`, `null`.
        writes_per_minute, reads_per_minute: of one action before it is throttled; 0: no limit.
        throttle_status: 400, 403 or 429.
        parallel_attach, parallel_detach: caps of a machine that is tagged for parallel work.
    """

    delete_unknown: int = 404
    token_mismatch_status: int = 400
    token_recorded_on_failure: bool = False
    token_ttl_s: float = 86400.0
    snapshot_needs_attach: bool = True
    restore_smaller: str = "enlarge"
    in_use_delete_code: str = "IncorrectDiskStatus"
    stockout_code: str = "InvalidDataDiskCategory.ValueNotSupported"
    conflict_code: str = "InvalidOperation.Conflict"
    null_attachments: str = "absent"
    writes_per_minute: int = 500
    reads_per_minute: int = 1000
    throttle_status: int = 400
    parallel_attach: int = 32
    parallel_detach: int = 5


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


class WorldError(ValueError):
    """The world file can't be used; the message says what and where."""


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
    zones = {name: tuple(zones) for name, zones in told.get("regions", base.zones).items()}
    machines = (
        tuple(_made(Machine, one, "an instance") for one in told["instances"])
        if "instances" in told
        else tuple(one for one in base.machines if any(one.zone in z for z in zones.values()))
    )
    keys = tuple(_key(one) for one in told["keys"]) if "keys" in told else base.keys
    world = WorldConfig(
        zones=zones,
        machines=machines,
        keys=keys,
        knobs=_made(Knobs, told.get("knobs", {}), "knobs"),
        sold_out=frozenset(told.get("sold_out", ())),
    )
    for machine in world.machines:
        if not world.region_of(machine.zone):
            raise WorldError(
                f"instance {machine.id} is in zone {machine.zone}, which no region has"
            )
        if machine.type not in TYPES:
            raise WorldError(
                f"instance {machine.id} has type {machine.type}: allowed are {', '.join(TYPES)}"
            )
    return world


def _key(told: Mapping[str, Any]) -> AccessKey:
    changed = dict(told)
    changed["denied"] = frozenset(changed.get("denied", ()))
    key: AccessKey = _made(AccessKey, changed, "a key")
    return key


def _made(kind: type[Any], told: Mapping[str, Any], what: str) -> Any:  # noqa: ANN401 - of `kind`
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
