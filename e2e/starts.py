"""How long the driver's parts take to be of use, in the cluster."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Final

from e2e.support.kube import Kube, Object, is_ready
from e2e.support.machines import Machines
from e2e.support.waiting import NotSeen, wait_for

FIND_DRIVER: Final = (
    "for p in /proc/[0-9]*; do"
    " tr '\\0' ' ' < $p/cmdline 2>/dev/null |"
    " grep -q '^[^ ]*python[^ ]* [^ ]*diskcsi run .*--run-{part}-service=true' && echo ${{p#/proc/}};"
    " done; true"
)
"""Its main process: the interpreter that runs the command."""

SELECTOR: Final = "app.kubernetes.io/name=diskcsi,app.kubernetes.io/component="
START_S: Final = 60
"""For a new pod to come and be of use."""

TRIES: Final = 3
"""Starts for one figure, where kubectl's watch tells nothing of a controller that is ready."""

CONTAINER: Final = "diskcsi"


class Parts:
    """The driver's controller and node plug-ins, as processes of the nodes.

    Args:
        driver: the cluster, in the driver's namespace.
    """

    def __init__(self, *, driver: Kube, machines: Machines) -> None:
        self._driver = driver
        self._machines = machines

    def memory_mib(self, part: str, field: str) -> float:
        """Of the largest main process of a part, controller or node.

        Args:
            field: of the kernel's account: VmRSS is what is resident now, VmHWM the most so far.
        """
        found = []
        for node in self._driver.list("nodes"):
            name = node["metadata"]["name"]
            for process in self._processes(name, part):
                status = self._machines.run(name, "cat", f"/proc/{process}/status")
                resident = next(line for line in status.splitlines() if line.startswith(field))
                found.append(int(resident.split()[1]) / 1024)
        return max(found)

    def node_registered_s(self) -> float:
        """From the start of a node plug-in until kubelet told it that it is registered."""
        former = self._end_one("node")

        def look() -> tuple[float, Object] | None:
            for one in self._pods("node"):
                if one["metadata"]["name"] not in former and (when_s := self._registered(one)):
                    return when_s, one
            return None

        when_s, pod = wait_for(look, what="a new node plug-in is registered")
        return when_s - self._began_s(pod, "node")

    def controller_ready_s(self) -> float:
        """From the start of a controller until kubelet counts its container as ready."""
        return self._controller_s(f'.status.containerStatuses[?(@.name=="{CONTAINER}")].ready')

    def controller_pod_ready_s(self) -> float:
        """The same until its pod is: its sidecars' own starts are in it."""
        return self._controller_s('.status.conditions[?(@.type=="Ready")].status')

    def _controller_s(self, path: str) -> float:
        """From the start of a new controller until this of its pod is true.

        A start that the watch told nothing of is not counted, and another one is begun: what was
        not seen when it came has no time.
        """
        for _ in range(TRIES):
            former, seen = self._watched(path)
            if seen is not None:
                name, when_s = seen
                return when_s - self._began_s(self._driver.get("pod", name), "controller")
            wait_for(
                partial(self._one_is_ready, besides=former),
                what="a new controller is ready", timeout_s=START_S,
            )  # fmt: skip
            print("  a start isn't counted: the watch told nothing of it")
        raise NotSeen(f"the watch told of none of {TRIES} new controllers")

    def _watched(self, path: str) -> tuple[set[str], tuple[str, float] | None]:
        """The controllers that were there, and the new one with the time at which this came true.

        It is watched: a look now and then would add the time between two looks.
        """
        said: set[str] = set()
        watch = wait_for(
            lambda: self._began_watch(path, said),
            what="a watch tells of the controllers that are there", timeout_s=START_S,
        )  # fmt: skip
        with _ending(watch):
            former = self._end_one("controller")
            for line in watch.stdout or ():
                name, _, told = line.strip().partition(" ")
                if name not in former and told.lower() == "true":
                    return former, (name, time.time())
                if told.lower() not in {"", "true", "false"}:
                    print(f"  the watch says {line.strip()!r}")
        return former, None

    def _began_watch(self, path: str, said: set[str]) -> subprocess.Popen[str] | None:
        """A watch that tells of the controllers; None: it says something else, which is shown once."""
        there = {_name(one) for one in self._pods("controller")}
        watch = self._driver.start(
            "get", "pods", f"--selector={SELECTOR}controller", "--watch",
            f"--request-timeout={START_S}s",
            f"--output=jsonpath={{.metadata.name}} {{{path}}}{{'\\n'}}",
        )  # fmt: skip
        first = watch.stdout.readline().strip() if watch.stdout else ""
        if first.partition(" ")[0] in there:
            return watch
        with _ending(watch):
            if first not in said:
                print(f"  the watch tells not what is there, it says {first!r}")
            said.add(first)
        return None

    def _one_is_ready(self, *, besides: Collection[str]) -> bool:
        pods = self._pods("controller")
        return any(is_ready(one) for one in pods if one["metadata"]["name"] not in besides)

    def _end_one(self, part: str) -> set[str]:
        """Delete one pod of a part; the names of all that are there now.

        One that was deleted before and is still going would make room for nothing.

        Raises:
            NotSeen: no other one came in time.
        """

        def look() -> tuple[str, set[str]] | None:
            there = self._pods(part)
            staying = [_name(one) for one in there if "deletionTimestamp" not in one["metadata"]]
            return (staying[0], {_name(one) for one in there}) if staying else None

        ended, there = wait_for(look, what=f"a {part} stays", timeout_s=START_S)
        self._driver.delete("pod", ended, wait=False)
        return there

    def _pods(self, part: str) -> Sequence[Object]:
        return self._driver.list("pods", selector=f"{SELECTOR}{part}")

    def _registered(self, pod: Object) -> float:
        """When kubelet told the driver so, by the driver's log; 0 while it did not."""
        log = self._driver.attempt("logs", pod["metadata"]["name"]).stdout
        for line in log.splitlines():
            if '"registered with kubelet"' in line:
                return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
        return 0.0

    def _processes(self, node: str, part: str) -> list[str]:
        return self._machines.run(node, "sh", "-c", FIND_DRIVER.format(part=part)).split()

    def _began_s(self, pod: Object, part: str) -> float:
        """When the youngest process of a part began on the pod's node, in seconds since the epoch."""
        node = pod["spec"]["nodeName"]
        ticks = int(self._machines.run(node, "getconf", "CLK_TCK"))
        boot_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        stats = [
            self._machines.run(node, "cat", f"/proc/{process}/stat").rpartition(")")[2].split()
            for process in self._processes(node, part)
        ]
        return boot_s + max(int(fields[19]) for fields in stats) / ticks


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])


@contextmanager
def _ending(watch: subprocess.Popen[str]) -> Iterator[None]:
    """Have it ended after the block."""
    with watch:
        try:
            yield
        finally:
            watch.terminate()
