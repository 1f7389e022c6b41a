"""Starts of the driver's parts: which pod is ended so that another one starts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from e2e.starts import Parts
from e2e.support.kube import Object
from e2e.support.machines import Machines
from tests.e2e.stand_ins import ListedKube

REGISTERED = '{{"event": "registered with kubelet", "timestamp": "{when}"}}'


READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def pod(name: str, **metadata: str) -> Object:
    return {"metadata": {"name": name, **metadata}, "spec": {"nodeName": "node"}, "status": READY}


class ReplacingKube(ListedKube):
    """A cluster that has a pod for each one which is deleted, unless it was deleted before.

    Args:
        watches: the lines that each watch tells.
    """

    def __init__(self, *, watches: Sequence[Sequence[str]] = (), pods: Sequence[Object]) -> None:
        super().__init__(pods=pods)
        self._watches = iter(watches)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A watch that ends when it has told its lines."""
        tell = [sys.executable, "-c", "import sys; print(*sys.argv[1:], sep=chr(10))"]
        return subprocess.Popen([*tell, *next(self._watches)], stdout=subprocess.PIPE, text=True)

    def delete(self, kind: str, *names: str, wait: bool = True) -> None:
        """Another one comes, and this one goes on going."""
        for name in names:
            metadata = self.get(kind, name)["metadata"]
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


@pytest.mark.parametrize("said", ["error: the server is away", ""], ids=["refused", "silent"])
def test_a_watch_that_tells_not_what_is_there_ends_no_controller(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    """Its words are shown, and after a pause another watch sees the start."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    kube = ReplacingKube(
        pods=[pod("a"), pod("b")],
        watches=[[said], ["a true", "b true", "a true", "a-next ", "a-next false", "a-next true"]],
    )
    Parts(driver=kube, machines=OneProcess(environment={})).controller_ready_s()
    assert [one["metadata"]["name"] for one in kube.list("pods")] == ["a", "b", "a-next"]
    assert repr(said) in capsys.readouterr().out
    assert len(pauses) == 1
