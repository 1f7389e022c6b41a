"""What the cloud was asked for the volumes of one scenario, by its call log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final, Self

from e2e.support.cloud import MockCloud
from e2e.support.kube import Object

NAME_TAG: Final = "csi.alibabacloud.com/volume-name"
NAMESPACE_TAG: Final = "csi.storage.k8s.io/pvc/namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The calls since a moment, and of them those for one namespace.

    Attributes:
        calls: all of the cloud's, oldest first.
        namespace: whose claims' disks are meant; a disk's order carries it as a tag.
    """

    calls: Sequence[Object]
    namespace: str

    @classmethod
    def read(cls, *, cloud: MockCloud, since: int, namespace: str) -> Self:
        """The calls after the one of this number."""
        return cls(calls=cloud.calls(since=since), namespace=namespace)

    def begun_before(self, moment_s: float) -> Self:
        """Of these calls, those that had come to the cloud by then, in seconds since the epoch."""
        return replace(
            self,
            calls=[call for call in self.calls if call["at"] - call["duration_s"] <= moment_s],
        )

    def disks(self) -> Mapping[str, frozenset[str]]:
        """By the name of each volume that was ordered, the disks that were made for it.

        An order that is repeated, since its answer was lost, names the disk that it made before.
        """
        found: dict[str, set[str]] = {}
        for call in self._of("CreateDisk"):
            tags = tags_of(call["params"])
            if tags.get(NAMESPACE_TAG) == self.namespace:
                found.setdefault(tags[NAME_TAG], set()).update({call["made"]} - {""})
        return {name: frozenset(ids) for name, ids in found.items()}

    def of_disk(self, disk: str) -> Sequence[Mapping[str, str]]:
        """The parameters of each order that named this disk as made."""
        return [call["params"] for call in self._of("CreateDisk") if call["made"] == disk]

    def grown(self, disk: str) -> int:
        """How many orders to grow this disk were taken."""
        return sum(
            call["params"]["DiskId"] == disk and call["status"] == 200
            for call in self._of("ResizeDisk")
        )

    def given_to(self, disk: str) -> Sequence[str]:
        """The instances that this disk was ordered to, oldest first; refused orders don't count."""
        return [
            call["params"]["InstanceId"]
            for call in self._of("AttachDisk")
            if call["params"]["DiskId"] == disk and call["status"] == 200
        ]

    def made(self) -> Sequence[str]:
        """Every disk that was made for a claim of the namespace."""
        return sorted(disk for disks in self.disks().values() for disk in disks)

    def attached(self) -> frozenset[str]:
        """Of these disks, those that were ordered to an instance."""
        ordered = frozenset(call["params"]["DiskId"] for call in self._of("AttachDisk"))
        return ordered.intersection(self.made())

    def attached_to(self, instance: str) -> frozenset[str]:
        """Every disk, of anybody, that was ordered to this instance."""
        return frozenset(
            call["params"]["DiskId"]
            for call in self._of("AttachDisk")
            if call["params"]["InstanceId"] == instance
        )

    def snapshots(self) -> Sequence[str]:
        """Every snapshot that was made of these disks."""
        disks = self.made()
        made = {
            call["made"] for call in self._of("CreateSnapshot") if call["params"]["DiskId"] in disks
        }
        return sorted(made - {""})

    def more_than_once(self) -> str:
        """Volumes for which more than one disk was made; empty: there is none."""
        doubled = {name: ids for name, ids in self.disks().items() if len(ids) > 1}
        return "; ".join(f"{name}: {', '.join(sorted(ids))}" for name, ids in doubled.items())

    def struck(self, *, action: str, kind: str) -> int:
        """How many calls, of anybody, a fault of this kind has struck.

        Args:
            action: a pattern, as the fault has it.
        """
        return sum(
            call["fault"] == kind and fnmatchcase(call["action"], action) for call in self.calls
        )

    def _of(self, action: str) -> Iterable[Object]:
        return (call for call in self.calls if call["action"] == action)


def tags_of(params: Mapping[str, str]) -> Mapping[str, str]:
    """The tags among a call's parameters, which come as Tag.N.Key and Tag.N.Value."""
    return {
        value: params.get(f"{name.removesuffix('.Key')}.Value", "")
        for name, value in params.items()
        if name.startswith("Tag.") and name.endswith(".Key")
    }
