"""The categories of disks that ECS sells, and in which sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from diskcsi.model.sizes import SizeRange

LEVELS: Final = ("PL0", "PL1", "PL2", "PL3")

SIZES: Final[Mapping[tuple[str, str], SizeRange]] = {
    ("cloud", ""): SizeRange(min_gib=5, max_gib=2000),
    ("cloud_efficiency", ""): SizeRange(min_gib=20, max_gib=32768),
    ("cloud_ssd", ""): SizeRange(min_gib=20, max_gib=32768),
    ("cloud_essd", ""): SizeRange(min_gib=20, max_gib=65536),
    ("cloud_essd", "PL0"): SizeRange(min_gib=1, max_gib=65536),
    ("cloud_essd", "PL1"): SizeRange(min_gib=20, max_gib=65536),
    ("cloud_essd", "PL2"): SizeRange(min_gib=461, max_gib=65536),
    ("cloud_essd", "PL3"): SizeRange(min_gib=1261, max_gib=65536),
    ("cloud_auto", ""): SizeRange(min_gib=1, max_gib=65536),
    ("cloud_essd_entry", ""): SizeRange(min_gib=10, max_gib=32768),
    ("cloud_essd_xc0", ""): SizeRange(min_gib=40, max_gib=65536),
    ("cloud_essd_xc1", ""): SizeRange(min_gib=40, max_gib=65536),
    ("cloud_pperf", ""): SizeRange(),  # private clouds, which publish no sizes
    ("cloud_sperf", ""): SizeRange(),
}
"""What each category is sold in (ECS user guide, "Block storage")."""

UNSERVED: Final[Mapping[str, str]] = {
    "cloud_regional_disk_auto": "a disk of a whole region",
    "elastic_ephemeral_disk_standard": "a disk that is bound to one machine",
    "elastic_ephemeral_disk_premium": "a disk that is bound to one machine",
}
"""Categories that need another placement than by zone, and what they are."""

CATEGORIES: Final = tuple(dict.fromkeys(name for name, _ in SIZES))
DEFAULT_CATEGORIES: Final = ("cloud_ssd", "cloud_efficiency")
MULTI_ATTACH_CATEGORIES: Final = frozenset({"cloud_essd", "cloud_auto"})
