"""Where a volume may be made: what the scheduler asks for, met with what the class allows.

The order is the caller's (CSI spec, TopologyRequirement): preferred places first, then the other
requisite ones. A class that names zones narrows them; it never widens them.
"""

from __future__ import annotations

from collections.abc import Iterable

from diskcsi.model.errors import Exhausted, InvalidArgument
from diskcsi.model.topology import Requirement, Segments, TopologyKeys


def zones(
    requirement: Requirement,
    *,
    class_zones: tuple[str, ...],
    keys: TopologyKeys,
    region: str,
    default_zone: str,
) -> tuple[str, ...]:
    """The zones to try, best first; never empty.

    Raises:
        InvalidArgument: nothing names a zone.
        Exhausted: the places asked for and the zones of the class have none in common, or lie
            in another region; the scheduler may choose another node.
    """
    asked = _zones_asked_for(requirement, keys=keys, region=region)
    if not asked:
        found = class_zones or ((default_zone,) if default_zone else ())
        if not found:
            raise InvalidArgument(
                "neither the topology nor the class names a zone",
                hint="use a class with volumeBindingMode WaitForFirstConsumer, or name the zone"
                " in the class",
            )
        return found
    if not class_zones:
        return asked
    common = tuple(zone for zone in asked if zone in class_zones)
    if not common:
        raise Exhausted(
            f"the class allows only zone {', '.join(class_zones)},"
            f" but the volume is wanted in zone {', '.join(asked)}",
            hint="run the workload on a node of the class's zone, or use a class without a zone",
        )
    return common


def _zones_asked_for(
    requirement: Requirement, *, keys: TopologyKeys, region: str
) -> tuple[str, ...]:
    places = (*requirement.preferred, *requirement.requisite)
    here = [place for place in places if _in_region(place, keys=keys, region=region)]
    if places and not here:
        asked = sorted({keys.region_of(place) or "" for place in places})
        raise Exhausted(
            f"the volume is wanted in region {', '.join(asked)}, and this driver serves {region}"
        )
    return _unique(keys.zone_of(place) for place in here)


def _in_region(place: Segments, *, keys: TopologyKeys, region: str) -> bool:
    asked = keys.region_of(place)
    return not asked or not region or asked == region


def _unique(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def fits(zone: str, requirement: Requirement, *, keys: TopologyKeys) -> bool:
    """Whether a disk that lives in `zone` can be used from where the caller wants it."""
    wanted = requirement.requisite or requirement.preferred
    asked = _unique(keys.zone_of(place) for place in wanted)
    return not zone or not asked or zone in asked
