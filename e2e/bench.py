"""Measures the driver in the cluster: `python -m e2e.bench`; writes build/bench-e2e.json.

The floor of the crowd is the same cluster, sidecars, flags and kubelets with a cloud that does
everything at once. What a real cloud's latencies add to that should be those that can't overlap
and little more: the attaches, and later the detaches, of the node that has most of the pods.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, table, write
from e2e.cluster.charts import CHARTS, HERE, MOCK_NAMESPACE
from e2e.cluster.place import NAMESPACE, ROOT, Place, here
from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube, Object, is_ready
from e2e.support.machines import Machines
from e2e.support.objects import claim, pod, storage_class
from e2e.support.waiting import wait_for

PODS: Final = 50
LATENCY_S: Final = 0.5
"""Of an attach and of a detach."""

NAME: Final = "e2e-bench"
RESULT: Final = ROOT / "build" / "bench-e2e.json"
RUNNING_S: Final = 400
"""For all pods to run, or to go."""

FIND_DRIVER: Final = (
    "for p in /proc/[0-9]*; do"
    " tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^[^ ]*python[^ ]* [^ ]*diskcsi run .*{flag}=true' && echo ${{p#/proc/}};"
    " done; true"
)
"""Its main process: the interpreter that runs the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """One run of the crowd.

    Attributes:
        came_s: from apply to all pods running.
        went_s: from delete to no pod, volume or attachment.
        most: how many of the pods the fullest node had.
        calls: what the cloud was asked for.
        memory_mib: of the driver's main processes while all pods ran, the largest of each part.
    """

    came_s: float
    went_s: float
    most: int
    calls: int
    memory_mib: Mapping[str, float]


class Bench:
    """Measures in the cluster that `make e2e-up` has made."""

    def __init__(self, *, place: Place) -> None:
        self._place = place
        self._kube = Kube(
            kubectl=place.programs / "kubectl", environment=place.environment(), namespace=NAME
        )
        self._driver = self._kube.within(NAMESPACE)
        self._cloud = MockCloud(kube=self._kube)
        self._machines = Machines(environment=place.environment())

    def figures(self) -> list[Figure]:
        """All of them, and the cluster as it was before."""
        self._kube.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}},
            storage_class(NAME),
        )
        try:
            self._latency("latency=zero")
            _say("measuring with a cloud that does everything at once ...")
            floor = self._crowd()
            self._latency("latency=zero", f"steps.attach={LATENCY_S}", f"steps.detach={LATENCY_S}")
            _say(f"measuring with a cloud whose attach and detach take {LATENCY_S} s each ...")
            real = self._crowd()
            return [*self._crowd_figures(floor, real), *self._starts()]
        finally:
            self._latency()
            self._kube.delete("namespace", NAME)
            self._kube.delete("storageclass", NAME)

    def _crowd_figures(self, floor: Crowd, real: Crowd) -> list[Figure]:
        serial_s = real.most * LATENCY_S
        return [
            Figure(
                name=f"{PODS} pods: time beyond a cloud without latency, to all running",
                value=real.came_s - floor.came_s, unit="s", floor=serial_s, of_ratio=True,
                limit=1.15,
            ),
            Figure(
                name=f"{PODS} pods: the same, to all gone",
                value=real.went_s - floor.went_s, unit="s", floor=serial_s, of_ratio=True,
                limit=1.15,
            ),
            Figure(name="memory of the controller", value=real.memory_mib["controller"],
                   unit="MiB", limit=72),
            Figure(name="memory of the node plug-in", value=real.memory_mib["node"],
                   unit="MiB", limit=60),
            Figure(name="ECS calls a volume life", value=real.calls / PODS, unit="calls", limit=8),
        ]  # fmt: skip

    def _crowd(self) -> Crowd:
        names = [f"member-{number}" for number in range(PODS)]
        claims = [claim(name, of=NAME) for name in names]
        pods = [pod(name, claims={name: "/data"}) for name in names]
        for one in pods:
            one["spec"]["terminationGracePeriodSeconds"] = 0
        since, began_s = self._cloud.last_call(), time.monotonic()
        self._kube.apply(*claims, *pods)
        wait_for(self._all_run, what="all pods run", timeout_s=RUNNING_S)
        came_s = time.monotonic() - began_s
        nodes = Counter(one["spec"]["nodeName"] for one in self._kube.list("pods"))
        memory = {
            "controller": max(self._memory_mib("run-controller-service")),
            "node": max(self._memory_mib("run-node-service")),
        }
        began_s = time.monotonic()
        self._kube.delete("pod", "--all", wait=False)
        self._kube.delete("pvc", "--all", wait=False)
        wait_for(self._all_gone, what="all is gone", timeout_s=RUNNING_S)
        went_s = time.monotonic() - began_s
        calls = self._cloud.calls(since=since)
        actions = Counter(str(call["action"]) for call in calls)
        _say(f"  calls: {', '.join(f'{name} {times}' for name, times in actions.most_common())}")
        return Crowd(
            came_s=came_s, went_s=went_s, most=max(nodes.values()),
            calls=len(calls), memory_mib=memory,
        )  # fmt: skip

    def _all_run(self) -> bool:
        return sum(is_ready(one) for one in self._kube.list("pods")) == PODS

    def _all_gone(self) -> bool:
        return not self._kube.list("pods") and not any(
            one["spec"].get("storageClassName") == NAME for one in self._kube.list("pv")
        )

    def _memory_mib(self, flag: str) -> list[float]:
        found = []
        for node in self._kube.list("nodes"):
            name = node["metadata"]["name"]
            script = FIND_DRIVER.format(flag=f"--{flag}")
            for process in self._machines.run(name, "sh", "-c", script).split():
                status = self._machines.run(name, "cat", f"/proc/{process}/status")
                resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
                found.append(int(resident.split()[1]) / 1024)
        return found

    def _starts(self) -> list[Figure]:
        _say("measuring starts of the node plug-in and of the controller ...")
        return [
            Figure(name="node: container start to registered in CSINode",
                   value=self._start_s("node", self._registered), unit="s", limit=2),
            Figure(name="controller: container start to ready",
                   value=self._start_s("controller", _ready), unit="s", limit=2),
        ]  # fmt: skip

    def _start_s(self, part: str, reached: Callable[[Object], float]) -> float:
        """Seconds from the start of a new pod's main process until it has reached its goal."""
        selector = f"app.kubernetes.io/name=diskcsi,app.kubernetes.io/component={part}"
        before = self._driver.list("pods", selector=selector)
        old = before[0]
        named = {one["metadata"]["name"] for one in before}
        self._driver.delete("pod", old["metadata"]["name"])

        def look() -> tuple[float, str] | None:
            for one in self._driver.list("pods", selector=selector):
                if one["metadata"]["name"] not in named and (when := reached(one)):
                    return when, str(one["spec"]["nodeName"])
            return None

        when, node = wait_for(look, what=f"a new {part} is of use")
        script = FIND_DRIVER.format(flag=f"--run-{part}-service")
        processes = self._machines.run(node, "sh", "-c", script).split()
        return when - max(self._began_s(node, process) for process in processes)

    def _registered(self, pod: Object) -> float:
        """When kubelet told the driver so, by the driver's log; 0 while it did not."""
        log = self._driver.attempt("logs", pod["metadata"]["name"]).stdout
        for line in log.splitlines():
            if '"registered with kubelet"' in line:
                return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
        return 0.0

    def _began_s(self, node: str, process: str) -> float:
        """When a process began, in seconds since the epoch."""
        fields = self._machines.run(node, "cat", f"/proc/{process}/stat").rpartition(")")[2].split()
        ticks = int(self._machines.run(node, "getconf", "CLK_TCK"))
        boot_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        return boot_s + int(fields[19]) / ticks

    def _latency(self, *values: str) -> None:
        """Restart the cloud with other times, or with those of the scenarios."""
        told = json.loads(self._helm("get", "values", "mockcloud", "--output=json"))
        flags = [f"--set-string={one}" for one in (f"image.tag={told['image']['tag']}", *values)]
        self._helm(
            "upgrade", "mockcloud", str(CHARTS / "mockcloud"), "--wait",
            f"--values={HERE / 'values' / 'mockcloud.yaml'}", *flags,
        )  # fmt: skip

    def _helm(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._place.programs / "helm"), *arguments, f"--namespace={MOCK_NAMESPACE}"],
            check=False, capture_output=True, text=True, env=self._place.environment(),
        )  # fmt: skip
        if done.returncode:
            sys.exit(done.stderr)
        return done.stdout


def _ready(pod: Object) -> float:
    """Now, if all of its containers are ready; 0 while they are not."""
    return time.time() if is_ready(pod) else 0.0


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print and write; 1 where a promise is missed."""
    figures = Bench(place=here()).figures()
    print(table(figures))
    write(figures, Path(RESULT))
    print(f"written to {RESULT.relative_to(ROOT)}", file=sys.stderr)
    return 0 if all(figure.held for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
