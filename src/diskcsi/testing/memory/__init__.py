"""A cloud in memory: an honest provider whose time is the loop's, and whose faults are scripted."""

from __future__ import annotations

from diskcsi.testing.memory.cloud import MemoryCall, MemoryCloud
from diskcsi.testing.memory.faults import Faults
from diskcsi.testing.memory.provider import (
    MEMORY_PROVIDER,
    MEMORY_RULES,
    REGION_KEY,
    ZONE_KEY,
    MemorySettings,
    memory_kind,
    memory_rules,
)
from diskcsi.testing.memory.timeline import Latency

__all__ = [
    "MEMORY_PROVIDER",
    "MEMORY_RULES",
    "REGION_KEY",
    "ZONE_KEY",
    "Faults",
    "Latency",
    "MemoryCall",
    "MemoryCloud",
    "MemorySettings",
    "memory_kind",
    "memory_rules",
]
