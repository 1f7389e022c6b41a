"""What the local provider can be told."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from diskcsi.ports.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """One directory of disks, and the nodes that may hold them."""

    directory: str = setting(
        default="/var/lib/diskcsi-local",
        env=("DISKCSI_LOCAL_DIRECTORY",),
        help="where disks, snapshots and nodes' device directories are",
    )
    node_id: str = setting(
        default="", env=("KUBE_NODE_NAME",), help="this node's id; the host's name by default"
    )
    nodes: tuple[str, ...] = setting(
        default=(),
        env=("DISKCSI_LOCAL_NODES",),
        help="ids of all nodes that share this kernel; by default this one alone",
    )
    zone: str = setting(default="local", help="the one zone that disks and nodes are in")

    def __post_init__(self) -> None:
        if not Path(self.directory).is_absolute():
            raise ValueError(f"directory is {self.directory!r}: allowed is an absolute path")
        for node in (self.this_node, *self.nodes):
            if "/" in node or node in ("", ".", ".."):
                raise ValueError(f"node {node!r}: allowed are names that a directory can have")

    @property
    def this_node(self) -> str:
        """The node that this process is for."""
        return self.node_id or platform.node()

    @property
    def every_node(self) -> frozenset[str]:
        """The nodes that disks attach to."""
        return frozenset(self.nodes or (self.this_node,))
