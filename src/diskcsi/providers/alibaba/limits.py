"""How many disks a type of machine takes, its system disk among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DISKS: Final[Mapping[str, int]] = {
    "ecs.ebmg5.24xlarge": 17,
    "ecs.g6.large": 17,
    "ecs.g7.xlarge": 17,
    "ecs.g7se.16xlarge": 57,
    "ecs.ic5.large": 17,
    "ecs.s6-c1m2.16xlarge": 17,
    "ecs.t1.xsmall": 17,
    "ecs.u1-c1m4.xlarge": 9,
}
"""DiskQuantity of the types for which an answer of DescribeInstanceTypes, or the user guide, is
published; ECS prints no list of all. Families differ and so do sizes within one, so of any other
type nothing is told: guessing too high would overfill a node, guessing too low would leave it half
empty. There the operator says it, for the type or for the node."""

UNKNOWN_HINT: Final = (
    "tell the type's DiskQuantity by the setting disk_quantities, as TYPE=NUMBER, or how many volumes"
    " this node takes by MAX_VOLUMES_PERNODE; where instance_type is empty here, tell that first, by"
    " the setting of this name or the Node's label"
)
