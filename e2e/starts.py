"""How long the driver's parts take to be of use, in the cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from e2e.support.kube import Kube, Object, is_ready
from e2e.support.machines import Machines
from e2e.support.waiting import wait_for

FIND_DRIVER: Final = (
    "for p in /proc/[0-9]*; do"
    " tr '\\0' ' ' < $p/cmdline 2>/dev/null |"
    " grep -q '^[^ ]*python[^ ]* [^ ]*diskcsi run .*--run-{part}-service=true' && echo ${{p#/proc/}};"
    " done; true"
)
"""Its main process: the interpreter that runs the command."""

CONTAINER: Final = "diskcsi"


class Parts:
    """The driver's controller and node plug-ins, as processes of the nodes.

    Args:
        driver: the cluster, in the driver's namespace.
    """

    def __init__(self, *, driver: Kube, machines: Machines) -> None:
        self._driver = driver
        self._machines = machines

    def memory_mib(self, part: str) -> float:
        """Resident, of the largest main process of a part: controller or node."""
        found = []
        for node in self._driver.list("nodes"):
            name = node["metadata"]["name"]
            for process in self._processes(name, part):
                status = self._machines.run(name, "cat", f"/proc/{process}/status")
                resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
                found.append(int(resident.split()[1]) / 1024)
        return max(found)

    def node_registered_s(self) -> float:
        """From the start of a node plug-in until kubelet told it that it is registered."""
        return self._start_s("node", self._registered)

    def controller_ready_s(self) -> float:
        """From the start of a controller until kubelet counts its container as ready."""
        return self._start_s("controller", _container_ready)

    def controller_pod_ready_s(self) -> float:
        """The same until its pod is: its sidecars' own starts are in it."""
        return self._start_s("controller", lambda pod: time.time() if is_ready(pod) else 0.0)

    def _start_s(self, part: str, reached: Callable[[Object], float]) -> float:
        """Seconds from the start of a new pod's main process until it has reached its goal."""
        selector = f"app.kubernetes.io/name=diskcsi,app.kubernetes.io/component={part}"
        before = self._driver.list("pods", selector=selector)
        named = {one["metadata"]["name"] for one in before}
        self._driver.delete("pod", before[0]["metadata"]["name"])

        def look() -> tuple[float, str] | None:
            for one in self._driver.list("pods", selector=selector):
                if one["metadata"]["name"] not in named and (when := reached(one)):
                    return when, str(one["spec"]["nodeName"])
            return None

        when_s, node = wait_for(look, what=f"a new {part} is of use")
        return when_s - max(self._began_s(node, one) for one in self._processes(node, part))

    def _registered(self, pod: Object) -> float:
        """When kubelet told the driver so, by the driver's log; 0 while it did not."""
        log = self._driver.attempt("logs", pod["metadata"]["name"]).stdout
        for line in log.splitlines():
            if '"registered with kubelet"' in line:
                return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
        return 0.0

    def _processes(self, node: str, part: str) -> list[str]:
        return self._machines.run(node, "sh", "-c", FIND_DRIVER.format(part=part)).split()

    def _began_s(self, node: str, process: str) -> float:
        """When a process began, in seconds since the epoch."""
        fields = self._machines.run(node, "cat", f"/proc/{process}/stat").rpartition(")")[2].split()
        ticks = int(self._machines.run(node, "getconf", "CLK_TCK"))
        boot_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        return boot_s + int(fields[19]) / ticks


def _container_ready(pod: Object) -> float:
    """Now, if the driver's own container is ready; 0 while it is not."""
    told = pod["status"].get("containerStatuses", [])
    ready = any(one["name"] == CONTAINER and one["ready"] for one in told)
    return time.time() if ready else 0.0
