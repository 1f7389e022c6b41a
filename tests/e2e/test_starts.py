"""Starts of the driver's parts: which pod is ended so that another one starts."""

from __future__ import annotations

import subprocess
import time

import pytest

from e2e.starts import Parts
from e2e.support.kube import Object
from e2e.support.machines import Machines
from tests.e2e.stand_ins import ListedKube

REGISTERED = '{{"event": "registered with kubelet", "timestamp": "{when}"}}'


def pod(name: str, **metadata: str) -> Object:
    return {"metadata": {"name": name, **metadata}, "spec": {"nodeName": "node"}}


class ReplacingKube(ListedKube):
    """A cluster that has a pod for each one which is deleted, unless it was deleted before."""

    def delete(self, kind: str, *names: str, wait: bool = True) -> None:
        """Another one comes, and this one goes on going."""
        for name in names:
            metadata = self.get(kind + "s", name)["metadata"]
            if "deletionTimestamp" not in metadata:
                self.objects["pods"] = [*self.objects["pods"], pod(f"{name}-next")]
            metadata["deletionTimestamp"] = "now"

    def attempt(
        self, *arguments: str, text: str | None = None, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Each pod's log tells that it is registered."""
        log = REGISTERED.format(when="2026-01-01T00:00:10Z")
        return subprocess.CompletedProcess(arguments, 0, stdout=log, stderr="")


class OneProcess(Machines):
    """A node with one process, which began with the node."""

    def run(self, node: str, *command: str, timeout_s: float = 60) -> str:
        """What is asked of it."""
        if command[0] == "cat":
            return "7 (python) " + " ".join(["0"] * 30)
        return "100" if command[0] == "getconf" else "7"


def test_a_pod_that_is_going_already_is_not_ended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubelet may keep one for long; nothing would start in its place."""
    monkeypatch.setattr(time, "sleep", pytest.fail)
    kube = ReplacingKube(pods=[pod("a", deletionTimestamp="now"), pod("b"), pod("c")])
    Parts(driver=kube, machines=OneProcess(environment={})).node_registered_s()
    assert [one["metadata"]["name"] for one in kube.list("pods")] == ["a", "b", "c", "b-next"]
