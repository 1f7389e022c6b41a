"""How many disks a type of machine takes, its system disk among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DISKS: Final[Mapping[str, int]] = {
    "ecs.g6.large": 17,
    "ecs.g7.xlarge": 17,
    "ecs.u1-c1m4.xlarge": 9,
    "ecs.g7se.16xlarge": 57,
    "ecs.g8i.xlarge": 17,
}
"""DiskQuantity of types whose figure is published. Guessing would overfill a node, so of any other
type nothing is told, and MAX_VOLUMES_PERNODE says it (ECS API, DescribeInstanceTypes)."""


def disk_limit(instance_type: str) -> int | None:
    """Its figure, None when it is not known here."""
    return DISKS.get(instance_type)
