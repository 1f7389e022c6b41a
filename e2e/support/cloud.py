"""The cloud's own view, through the API server: what it has, what it was asked, its faults."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from e2e.support.kube import Kube, Object

NAMESPACE: Final = "mockcloud"
SERVICE: Final = "mockcloud"
PORT: Final = 8090


class MockCloud:
    """Asks the mock in the cluster; it has no account and needs no key for that.

    Args:
        namespace: of the mock, where it is not the one that the cluster's own driver calls.
    """

    def __init__(self, *, kube: Kube, namespace: str = NAMESPACE) -> None:
        self._kube = kube
        self._base = f"/api/v1/namespaces/{namespace}/services/{SERVICE}:{PORT}/proxy/_mock"

    def state(self) -> Mapping[str, Any]:
        """Disks, snapshots and instances, and the devices that it holds."""
        found: Mapping[str, Any] = json.loads(self._kube.run("get", "--raw", f"{self._base}/state"))
        return found

    def disks(self) -> Mapping[str, Object]:
        """The disks by id."""
        return {disk["id"]: disk for disk in self.state()["disks"]}

    def instances(self) -> Mapping[str, Object]:
        """The instances by id."""
        return {one["id"]: one for one in self.state()["instances"]}

    def connected(self) -> int:
        """How many nodes' agents are there; the others are known from before, and may come back."""
        return sum(one["connected_since"] is not None for one in self.state()["agents"])

    def calls(self, *, since: int = 0) -> Sequence[Object]:
        """What was asked, oldest first, after the call of this number."""
        found: Sequence[Object] = json.loads(
            self._kube.run("get", "--raw", f"{self._base}/calls?since={since}")
        )
        return found

    def last_call(self) -> int:
        """The number of the latest call."""
        return int(self.state()["last_call"])

    def add_fault(self, **fault: Any) -> None:  # noqa: ANN401 - the mock's own fields
        """Let calls go wrong from now on."""
        self._kube.run(
            "create", "--raw", f"{self._base}/faults", "--filename=-", text=json.dumps(fault)
        )

    def clear_faults(self) -> None:
        """Let all calls go as they should."""
        self._kube.run("delete", "--raw", f"{self._base}/faults")
