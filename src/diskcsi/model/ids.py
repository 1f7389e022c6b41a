"""The names of things, each its own type, so that a node's id never lands where a disk's belongs."""

from __future__ import annotations

from typing import NewType

VolumeId = NewType("VolumeId", str)
"""A disk in the cloud, and the CSI volume that stands for it: one id for both."""

SnapshotId = NewType("SnapshotId", str)
"""A snapshot in the cloud."""

NodeId = NewType("NodeId", str)
"""The machine a node plug-in runs on, as the cloud names it."""
