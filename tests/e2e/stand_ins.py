"""A cluster and a cloud with what they were given, and the objects to give them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube, Object


class ListedKube(Kube):
    """A cluster that has the objects it was given, by kind."""

    def __init__(self, **objects: Sequence[Object]) -> None:
        super().__init__(kubectl=Path("unused"), environment={}, namespace="mine")
        self.objects = objects

    def within(self, namespace: str) -> Kube:
        """Namespaces make no difference here."""
        return self

    def list(self, kind: str, *, selector: str = "") -> Sequence[Object]:
        """Of this kind, by its singular as well, as kubectl takes both."""
        return self.objects.get(kind, self.objects.get(f"{kind}s", ()))

    def get(self, kind: str, name: str) -> Object:
        """The one of this name."""
        return next(one for one in self.list(kind) if one["metadata"]["name"] == name)


class StatedCloud(MockCloud):
    """A cloud with a state that was given."""

    def __init__(
        self,
        *,
        disks: Sequence[Object] = (),
        snapshots: Sequence[Object] = (),
        instances: Sequence[Object] = (),
    ) -> None:
        super().__init__(kube=ListedKube())
        self.told = {"disks": disks, "snapshots": snapshots, "instances": instances}

    def state(self) -> dict[str, Sequence[Object]]:
        """That state."""
        return self.told


def volume(name: str, *, namespace: str, disk: str) -> Object:
    return {
        "metadata": {"name": name},
        "spec": {"claimRef": {"namespace": namespace}, "csi": {"volumeHandle": disk}},
    }


def disk(name: str, *, namespace: str = "mine") -> Object:
    return {"id": name, "tags": {"csi.storage.k8s.io/pvc/namespace": namespace}}


def call(
    action: str, made: str = "", *, fault: str = "", status: int = 200, at: float = 1,
    duration_s: float = 0, **params: str,
) -> Object:  # fmt: skip
    return {
        "at": at, "duration_s": duration_s,
        "action": action, "made": made, "fault": fault, "status": status, "code": "",
        "lost": False, "params": params,
    }  # fmt: skip


def order(name: str, made: str = "", *, namespace: str = "mine") -> Object:
    """A CreateDisk for a volume of this name."""
    tags = {"csi.alibabacloud.com/volume-name": name, "csi.storage.k8s.io/pvc/namespace": namespace}
    numbered = enumerate(tags.items(), start=1)
    params = {
        f"Tag.{number}.{part}": text
        for number, (key, value) in numbered
        for part, text in (("Key", key), ("Value", value))
    }
    return {**call("CreateDisk", made), "params": params}
