"""What must be the same after a scenario as before it."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube
from e2e.support.machines import loop_devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """Names of what exists of our making, in the cluster, in the cloud and in the kernel."""

    volumes: frozenset[str]
    attachments: frozenset[str]
    contents: frozenset[str]
    disks: frozenset[str]
    snapshots: frozenset[str]
    devices: frozenset[str]

    @classmethod
    def seen(cls, *, kube: Kube, cloud: MockCloud) -> Leftovers:
        """Those of this moment."""
        state = cloud.state()
        return cls(
            volumes=_names(kube, "pv"),
            attachments=_names(kube, "volumeattachment"),
            contents=_names(kube, "volumesnapshotcontent"),
            disks=frozenset(str(disk["id"]) for disk in state["disks"]),
            snapshots=frozenset(str(one["id"]) for one in state["snapshots"]),
            devices=frozenset(
                name for name, file in loop_devices().items() if "/mockcloud/" in file
            ),
        )

    def beyond(self, before: Leftovers) -> str:
        """What is there now and was not before, in words; empty when nothing is."""
        return "; ".join(
            f"{name}: {', '.join(sorted(more))}"
            for name in self.__dataclass_fields__
            if (more := getattr(self, name) - getattr(before, name))
        )


def _names(kube: Kube, kind: str) -> frozenset[str]:
    return frozenset(one["metadata"]["name"] for one in kube.list(kind))
