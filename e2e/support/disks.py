"""A claim's disk as the cloud has it: its state, and the orders that brought it there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeAlias

from e2e.support.cloud import MockCloud
from e2e.support.data import disk_of
from e2e.support.kube import Kube
from e2e.support.orders import Orders


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudDisk:
    """One disk, by the cloud's own state and its call log.

    Attributes:
        status: in the cloud's words.
        nodes: that have it, by name.
        made: how many orders have named it as made.
        grown: how many orders to grow it were taken.
    """

    status: str
    nodes: frozenset[str]
    size_gib: int
    made: int = 1
    grown: int = 0

    @classmethod
    def of_claim(cls, name: str, *, kube: Kube, cloud: MockCloud, orders: Orders) -> Self:
        """The disk of the claim's volume, as it is now; what was ordered, since the scenario began."""
        disk, state = disk_of(kube, name), cloud.state()
        (told,) = [one for one in state["disks"] if one["id"] == disk]
        names = {one["id"]: one["name"] for one in state["instances"]}
        return cls(
            status=told["status"],
            nodes=frozenset(names[one] for one in told["attached_to"]),
            size_gib=told["size_gib"],
            made=len(orders.of_disk(disk)),
            grown=orders.grown(disk),
        )


CloudDisks: TypeAlias = Callable[[str], CloudDisk]
"""Tells it of a claim, by the claim's name."""


def in_use(node: str, *, size_gib: int = 1, grown: int = 0) -> CloudDisk:
    """What the cloud must tell of a disk that was ordered once, and that one node has."""
    return CloudDisk(status="In_use", nodes=frozenset({node}), size_gib=size_gib, grown=grown)


def free(*, size_gib: int = 1, grown: int = 0) -> CloudDisk:
    """The same of a disk that no node has."""
    return CloudDisk(status="Available", nodes=frozenset(), size_gib=size_gib, grown=grown)
