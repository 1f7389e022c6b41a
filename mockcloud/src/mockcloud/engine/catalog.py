"""What the cloud sells: categories of disks with their sizes and speeds, and types of machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

LEVELS: Final = ("PL0", "PL1", "PL2", "PL3")
DEFAULT_LEVEL: Final = "PL1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """IOPS and MB/s by size: `base + per_gib * size`, up to a most."""

    iops_base: int
    iops_per_gib: float
    iops_max: int
    mbps_base: int
    mbps_per_gib: float
    mbps_max: int

    def iops(self, size_gib: int) -> int:
        """Operations a second."""
        return int(min(self.iops_base + self.iops_per_gib * size_gib, self.iops_max))

    def mbps(self, size_gib: int) -> int:
        """Megabytes a second."""
        return int(min(self.mbps_base + self.mbps_per_gib * size_gib, self.mbps_max))


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One category, or one performance level of it.

    Attributes:
        instant: whether a snapshot can be used as soon as it is cut.
        regional: whether a disk belongs to a region and to none of its zones.
    """

    min_gib: int
    max_gib: int
    speed: Speed
    instant: bool = False
    multi_attach: bool = False
    regional: bool = False
    ephemeral: bool = False


def _speed(iops: tuple[int, float, int], mbps: tuple[int, float, int]) -> Speed:
    return Speed(
        iops_base=iops[0], iops_per_gib=iops[1], iops_max=iops[2],
        mbps_base=mbps[0], mbps_per_gib=mbps[1], mbps_max=mbps[2],
    )  # fmt: skip


def _essd(
    low: int, high: int, iops: tuple[int, float, int], mbps: tuple[int, float, int]
) -> Category:
    return Category(
        min_gib=low, max_gib=high, speed=_speed(iops, mbps), instant=True, multi_attach=True
    )


CATEGORIES: Final[dict[tuple[str, str], Category]] = {
    ("cloud", ""): Category(
        min_gib=5, max_gib=2000, speed=_speed((300, 0, 300), (30, 0, 30))
    ),
    ("cloud_efficiency", ""): Category(
        min_gib=20, max_gib=32768, speed=_speed((1800, 8, 5000), (100, 0.15, 140))
    ),
    ("cloud_ssd", ""): Category(
        min_gib=20, max_gib=32768, speed=_speed((1800, 30, 25000), (120, 0.5, 300))
    ),
    ("cloud_essd", "PL0"): _essd(1, 65536, (1800, 12, 10000), (100, 0.25, 180)),
    ("cloud_essd", "PL1"): _essd(20, 65536, (1800, 50, 50000), (120, 0.5, 350)),
    ("cloud_essd", "PL2"): _essd(461, 65536, (1800, 50, 100000), (120, 0.5, 750)),
    ("cloud_essd", "PL3"): _essd(1261, 65536, (1800, 50, 1000000), (120, 0.5, 4000)),
    ("cloud_auto", ""): _essd(1, 65536, (1800, 50, 50000), (120, 0.5, 350)),
    ("cloud_essd_entry", ""): Category(
        min_gib=10, max_gib=32768, speed=_speed((1800, 8, 6000), (100, 0.15, 150)), instant=True
    ),
    ("cloud_regional_disk_auto", ""): Category(
        min_gib=10, max_gib=65536, speed=_speed((1800, 50, 50000), (120, 0.5, 350)),
        instant=True, multi_attach=True, regional=True,
    ),
    ("elastic_ephemeral_disk_standard", ""): Category(
        min_gib=64, max_gib=8192, speed=_speed((0, 100, 820000), (0, 0.8, 4096)), ephemeral=True
    ),
    ("elastic_ephemeral_disk_premium", ""): Category(
        min_gib=64, max_gib=8192, speed=_speed((0, 300, 1000000), (0, 1.6, 4096)), ephemeral=True
    ),
}  # fmt: skip

NAMES: Final = tuple(dict.fromkeys(name for name, _ in CATEGORIES))


def category(name: str, level: str) -> Category:
    """The facts of a category at a level."""
    return CATEGORIES[(name, level if name == "cloud_essd" else "")]


def provisioned_iops_limit(size_gib: int) -> int:
    """How many more operations a second a cloud_auto disk of this size may buy."""
    if size_gib <= 3:  # noqa: PLR2004 - below it none are sold
        return 0
    baseline = max(min(1800 + 50 * size_gib, 50000), 3000)
    return max(min(1000 * size_gib - baseline, 50000), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceType:
    """One type of machine.

    Attributes:
        disks: how many disks it takes, the system disk among them.
        nvme: whether its disks appear as NVMe devices.
        categories: data disks that it takes.
    """

    name: str
    disks: int
    cores: int = 2
    memory_gib: float = 8.0
    nvme: bool = False
    categories: frozenset[str] = field(default_factory=frozenset)

    @property
    def family(self) -> str:
        """As in `ecs.g6` of `ecs.g6.large`."""
        return self.name.rpartition(".")[0]


_OLD: Final = frozenset({"cloud", "cloud_efficiency", "cloud_ssd", "cloud_essd", "cloud_auto",
                         "cloud_essd_entry", "cloud_regional_disk_auto",
                         "elastic_ephemeral_disk_standard", "elastic_ephemeral_disk_premium"})  # fmt: skip
_NEW: Final = frozenset({"cloud_essd", "cloud_auto", "cloud_regional_disk_auto"})

TYPES: Final[dict[str, InstanceType]] = {
    one.name: one
    for one in (
        InstanceType(name="ecs.g6.large", disks=17, categories=_OLD),
        InstanceType(name="ecs.g7.xlarge", disks=17, cores=4, memory_gib=16, categories=_NEW),
        InstanceType(
            name="ecs.u1-c1m4.xlarge", disks=9, cores=4, memory_gib=16,
            categories=frozenset({"cloud_essd", "cloud_auto", "cloud_essd_entry"}),
        ),
        InstanceType(
            name="ecs.g7se.16xlarge", disks=57, cores=64, memory_gib=256, nvme=True,
            categories=frozenset({"cloud_essd", "cloud_auto"}),
        ),
        InstanceType(
            name="ecs.g8i.xlarge", disks=17, cores=4, memory_gib=16, nvme=True, categories=_NEW
        ),
    )
}  # fmt: skip
