"""A provider: the one object that owns everything of its vendor.

It is found by an entry point of the group `diskcsi.providers`. Nothing outside it knows a key, a
label, a code or a path of its cloud.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:  # a provider is loaded before the socket answers; the rules' types can wait
    from diskcsi.model.ids import VolumeId
    from diskcsi.model.parameters import SnapshotParameters, VolumeParameters
    from diskcsi.model.schema import Schema
    from diskcsi.model.topology import Segments, TopologyKeys
    from diskcsi.model.volume import Disk
    from diskcsi.ports.cloud import CallObserver, CloudProvider
    from diskcsi.ports.cluster import Cluster
    from diskcsi.ports.node_facts import NodeFacts, NodeFactsSource

SPI_VERSION: Final = 1
"""Raised by one when a provider written for the former number would no longer work."""

SettingsT = TypeVar("SettingsT")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSlots:
    """How many attaches and detaches one node takes at once; detaches go first.

    Attributes:
        attach: attaches at once.
        detach: detaches at once.
        shared: attaches and detaches share `attach` slots; `detach` is then not used.
    """

    attach: int = 1
    detach: int = 1
    shared: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRules:
    """How a disk is recognized on a node.

    Attributes:
        serial: the serial that the device must show, from the volume's id and the publish
            context; empty when this disk has none, which the node refuses.
        by_id_patterns: names of links in `disk/by-id` with `{serial}` in them, as hints.
    """

    serial: Callable[[VolumeId, Mapping[str, str]], str]
    by_id_patterns: tuple[str, ...] = ("virtio-{serial}",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a provider decides for the rules, once its settings are known.

    Attributes:
        volume_schema: the keys of a StorageClass, for checks and for the reference.
        volume_parameters: a StorageClass, parsed; raises InvalidArgument.
        snapshot_parameters: a snapshot class, parsed; raises InvalidArgument.
        topology: the keys that name zones and regions.
        region: the region of the cloud that is opened; empty when there are none.
        default_zone: where a disk goes when neither class nor topology names a zone; empty:
            such a request is refused.
        segments: the topology that a node tells.
        devices: how a disk is recognized on a node.
        slots: how many attaches and detaches one node takes at once.
        volume_limit: how many disks a machine type takes, its system disk among them; None when
            unknown.
        volume_limit_hint: how the operator tells a limit that is unknown, for the node's log;
            empty: nobody misses it, as where machines take any number.
        publish_context: what the controller tells the node of an attached disk, so that it
            recognizes the device; the rules add the size.
    """

    volume_schema: Schema
    volume_parameters: Callable[[Mapping[str, str]], VolumeParameters]
    snapshot_parameters: Callable[[Mapping[str, str]], SnapshotParameters]
    topology: TopologyKeys
    segments: Callable[[NodeFacts], Segments]
    devices: DeviceRules
    region: str = ""
    default_zone: str = ""
    slots: NodeSlots = field(default_factory=NodeSlots)
    volume_limit: Callable[[str], int | None] = lambda instance_type: None  # noqa: ARG005
    volume_limit_hint: str = ""
    publish_context: Callable[[Disk], Mapping[str, str]] = lambda disk: {
        "serialNumber": disk.serial
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider(Generic[SettingsT]):
    """One vendor's plug-in.

    Attributes:
        spi_version: the `SPI_VERSION` that it was written for, as a number: taken from the driver
            that is installed it would always fit.
        name: the value of `--provider`.
        driver_name: the default CSI driver name (CSI spec, GetPluginInfo: domain notation).
        settings_type: a frozen dataclass of `setting` fields; the app fills it from flags,
            environment and file; it checks itself when built and raises ValueError.
        rules: from settings to what the rules need; raises ValueError on a bad setting.
        open_cloud: opens the cloud for the controller; tells the observer of every call. It
            does no call itself: a cloud that can't be reached must not stop the start.
        node_facts: where a node's facts come from: metadata first, then settings.
        node_facts_in_cluster: the same with the Node object in between; called in place of
            `node_facts` where the operator lets the node read it. None: this cloud puts nothing
            there that tells a node.
    """

    spi_version: int
    name: str
    driver_name: str
    settings_type: type[SettingsT]
    rules: Callable[[SettingsT], Rules]
    open_cloud: Callable[[SettingsT, CallObserver], AbstractAsyncContextManager[CloudProvider]]
    node_facts: Callable[[SettingsT], AbstractAsyncContextManager[NodeFactsSource]]
    node_facts_in_cluster: (
        Callable[[SettingsT, Cluster], AbstractAsyncContextManager[NodeFactsSource]] | None
    ) = None


AnyProvider = Provider[Any]
"""A provider whose settings class is not known statically, as the registry finds it."""
