"""All that the author of a provider imports; whatever is not here may change without notice.

A provider is one `Provider` object that an entry point of the group `diskcsi.providers` names. The
how-to "Write a provider" builds one; the contract suite in `diskcsi.testing` proves it.

`SPI_VERSION` rises when a provider written before would no longer work. A name is taken away only
after a release in which using it warned.
"""

from __future__ import annotations

from diskcsi.model.capabilities import EVERY_CAPABILITY, Capability
from diskcsi.model.errors import (
    AlreadyExists,
    Denied,
    DiskError,
    Exhausted,
    InUse,
    InvalidArgument,
    InvalidToken,
    NodeBusy,
    NotFound,
    OutOfRange,
    Pending,
    Throttled,
    UnknownOutcome,
    Unreachable,
    Unsupported,
    WrongState,
)
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.parameters import DiskKind, SnapshotParameters, VolumeParameters
from diskcsi.model.schema import Key, Refused, Schema, boolean, comma_list, integer, one_of
from diskcsi.model.sizes import GIB, SizeRange
from diskcsi.model.topology import Segments, TopologyKeys
from diskcsi.model.volume import (
    Disk,
    DiskSpec,
    DiskState,
    Node,
    Snapshot,
    SnapshotPage,
    SnapshotSpec,
)
from diskcsi.ports.cloud import CallObserver, CloudCall, CloudProvider, NoSnapshots
from diskcsi.ports.cluster import Cluster, ClusterNode
from diskcsi.ports.node_facts import NodeFacts, NodeFactsSource
from diskcsi.ports.provider import SPI_VERSION, DeviceRules, NodeSlots, Provider, Rules
from diskcsi.ports.settings import setting

__all__ = [
    "EVERY_CAPABILITY",
    "GIB",
    "SPI_VERSION",
    "AlreadyExists",
    "CallObserver",
    "Capability",
    "CloudCall",
    "CloudProvider",
    "Cluster",
    "ClusterNode",
    "Denied",
    "DeviceRules",
    "Disk",
    "DiskError",
    "DiskKind",
    "DiskSpec",
    "DiskState",
    "Exhausted",
    "InUse",
    "InvalidArgument",
    "InvalidToken",
    "Key",
    "NoSnapshots",
    "Node",
    "NodeBusy",
    "NodeFacts",
    "NodeFactsSource",
    "NodeId",
    "NodeSlots",
    "NotFound",
    "OutOfRange",
    "Pending",
    "Provider",
    "Refused",
    "Rules",
    "Schema",
    "Segments",
    "SizeRange",
    "Snapshot",
    "SnapshotId",
    "SnapshotPage",
    "SnapshotParameters",
    "SnapshotSpec",
    "Throttled",
    "TopologyKeys",
    "UnknownOutcome",
    "Unreachable",
    "Unsupported",
    "VolumeId",
    "VolumeParameters",
    "WrongState",
    "boolean",
    "comma_list",
    "integer",
    "one_of",
    "setting",
]
