"""Measures the driver in the cluster: `python -m e2e.bench`; writes build/bench-e2e.json.

The floor of the crowd is the same cluster, sidecars, flags and kubelets with a provider that does
nothing, whose disks are on every node already. What a cloud's latencies add to that should be
those that can't overlap and little more: the attaches, and later the detaches, of the node that has
most of the pods. Single runs on a small machine differ by seconds: floor and real run take turns after
one that is thrown away, and of the pairs the one in the middle counts; of starts likewise.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, TypeAlias

from benchmarks.figures import Figure, table, write
from e2e.cluster.charts import CHARTS, HERE, MOCK_NAMESPACE
from e2e.cluster.kind import CONTROL_PLANE
from e2e.cluster.leftovers import refuse_unusable
from e2e.cluster.lock import alone
from e2e.cluster.place import NAMESPACE, ROOT, Place, here
from e2e.cluster.shell import CommandFailed, Shell, words
from e2e.floor import NAME as FLOOR
from e2e.floor import instant_driver
from e2e.starts import Parts
from e2e.support import crowd
from e2e.support.cloud import MockCloud
from e2e.support.kube import Kube, Object
from e2e.support.machines import Machines
from e2e.support.objects import DRIVER, namespace, storage_class
from e2e.support.waiting import NotSeen, wait_for

PODS: Final = 50
PAIRS: Final = 9
"""Single runs differ by seconds; where systemd makes the pods' cgroups, which it does on cgroup v2, kubelet
at times keeps a dead pod half a minute longer, of either driver."""

STARTS: Final = 9
"""Of a part. They differ by a second: kubelet sees a start when it looks, at whole seconds, and looks after a
controller once it has made the four containers beside."""

BUSY_SHARE: Final = 0.5
"""Of the processors' time: a cluster that has just been made is busy for minutes, one at rest uses less."""

REST_S: Final = 3
"""Over which the share is taken."""

REST_AT_MOST_S: Final = 120
LATENCY_S: Final = 0.5
"""Of an attach and of a detach."""

NAME: Final = "e2e-bench"
RESULT: Final = ROOT / "build" / "bench-e2e.json"
GONE_S: Final = 400
"""For all pods, volumes and attachments to go."""

NO_DISK: Final = "d-none"
"""What a controller asks for to see that endpoint, key and right are there."""

MB: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """One run of the crowd.

    Attributes:
        came_s: from apply to all pods running.
        went_s: from delete to no pod, volume or attachment.
        most: how many of the pods the fullest node had.
        calls: what the cloud was asked for.
        memory_mib: of the driver's main processes while all pods ran, the largest of each part.
        peak_mib: the most that any of them has ever had.
    """

    came_s: float
    went_s: float
    most: int
    calls: int
    memory_mib: Mapping[str, float]
    peak_mib: Mapping[str, float]

    @property
    def serial_s(self) -> float:
        """The latencies that can't overlap: those of the fullest node, one after the other."""
        return self.most * LATENCY_S


Pair: TypeAlias = tuple[Crowd, Crowd]
"""A run of the floor, and the real one right after it."""


class Bench:
    """Measures in the cluster that `make e2e-up` has made."""

    def __init__(self, *, place: Place) -> None:
        self._place = place
        self._shell = Shell(environment=place.environment(), log=place.log)
        self._kube = Kube(
            kubectl=place.programs / "kubectl", environment=place.environment(), namespace=NAME
        )
        self._cloud = MockCloud(kube=self._kube)
        self._machines = Machines(environment=place.environment())
        self._parts = Parts(driver=self._kube.within(NAMESPACE), machines=self._machines)

    def figures(self) -> list[Figure]:
        """All of them, and the cluster as it was before."""
        with ExitStack() as after:  # one that fails keeps none of the others
            after.callback(self._kube.delete, "storageclass", NAME)
            after.callback(self._kube.delete, "namespace", NAME)
            after.callback(self._latency)
            self._kube.apply(namespace(NAME), storage_class(NAME))
            starts = self._starts()  # nodes tidy up for minutes after a crowd
            return [*self._crowds(), *starts, self._image()]

    def _crowds(self) -> list[Figure]:
        _say(f"{PODS} pods with a driver that does nothing, which warm all up and don't count ...")
        self._floor()
        return _crowd_figures([self._pair(turn) for turn in range(1, PAIRS + 1)])

    def _pair(self, turn: int) -> Pair:
        _say(f"{turn} of {PAIRS}: {PODS} pods with a driver that does nothing ...")
        floor = self._floor()
        _say(f"{turn} of {PAIRS}: {PODS} pods; attach and detach take the cloud {LATENCY_S} s ...")
        self._latency("latency=zero", f"steps.attach={LATENCY_S}", f"steps.detach={LATENCY_S}")
        return floor, self._crowd(of=NAME, driver=DRIVER)

    def _floor(self) -> Crowd:
        """A crowd of its own driver, whose disks are made for it: each is given once."""
        with instant_driver(
            kube=self._kube, place=self._place, machines=self._machines, disks=PODS
        ) as driver:
            return self._crowd(of=FLOOR, driver=driver)

    def _crowd(self, *, of: str, driver: str) -> Crowd:
        since, began_s = self._cloud.last_call(), time.monotonic()
        crowd.begin(self._kube, PODS, of=of)
        crowd.wait_running(self._kube, PODS)
        came_s = time.monotonic() - began_s
        nodes = Counter(one["spec"]["nodeName"] for one in self._kube.list("pods"))
        memory = self._memory("VmRSS")
        began_s = time.monotonic()
        self._kube.delete("pod", "--all", wait=False)
        self._kube.delete("pvc", "--all", wait=False)
        wait_for(lambda: self._all_gone(driver), what="all is gone", timeout_s=GONE_S)
        went_s = time.monotonic() - began_s
        calls = [call for call in self._cloud.calls(since=since) if not _is_check(call)]
        actions = Counter(str(call["action"]) for call in calls)
        _say(
            f"  {came_s:.1f} s to all running, {went_s:.1f} s to all gone, at most"
            f" {max(nodes.values())} on a node; calls: "
            + ", ".join(f"{name} {times}" for name, times in actions.most_common())
        )
        return Crowd(
            came_s=came_s, went_s=went_s, most=max(nodes.values()),
            calls=len(calls), memory_mib=memory, peak_mib=self._memory("VmHWM"),
        )  # fmt: skip

    def _memory(self, field: str) -> Mapping[str, float]:
        return {part: self._parts.memory_mib(part, field) for part in ("controller", "node")}

    def _all_gone(self, driver: str) -> bool:
        return not (
            self._kube.list("pods")
            or any(one["spec"]["attacher"] == driver for one in self._kube.list("volumeattachment"))
            or any(
                one["spec"].get("csi", {}).get("driver") == driver for one in self._kube.list("pv")
            )
        )

    def _starts(self) -> list[Figure]:
        _say("measuring starts of the node plug-in and of the controller ...")
        pod_ready_s = self._parts.controller_pod_ready_s()
        _say(f"  a controller's pod with the sidecars' own starts: {pod_ready_s:.2f} s to ready")
        return [
            Figure(name="node: container start to registered in CSINode",
                   value=self._middle("node", self._parts.node_registered_s), unit="s", limit=2),
            Figure(name="controller: container start to ready",
                   value=self._middle("controller", self._parts.controller_ready_s), unit="s", limit=2),
        ]  # fmt: skip

    def _middle(self, part: str, start_s: Callable[[], float]) -> float:
        took_s = []
        for _ in range(STARTS):
            self._rest()
            took_s.append(start_s())
        _say(f"  {STARTS} starts of a {part}: {', '.join(f'{one:.2f}' for one in took_s)} s")
        return median(took_s)

    def _rest(self) -> None:
        """Wait until the machine has time to spare, so that a start is measured and not what else runs."""
        shares: list[float] = []

        def rests() -> bool:
            shares.append(self._machines.busy_share(CONTROL_PLANE, over_s=REST_S))
            return shares[-1] <= BUSY_SHARE

        try:
            wait_for(rests, what="the machine rests", timeout_s=REST_AT_MOST_S)
        except NotSeen:
            _say(
                f"  the machine doesn't rest: {shares[-1]:.0%} of it is busy, and starts take longer"
            )

    def _image(self) -> Figure:
        tool = ROOT / "tools" / "images.py"
        told = self._shell.run(sys.executable, tool, "sizes", "--image=diskcsi", "--json")
        (sizes,) = json.loads(told)
        _say(f"  the tools' own packages in the image: {sizes['tools'] / MB:.1f} MB")
        return Figure(
            name="image: Python parts above the base", value=sizes["python"] / MB, unit="MB",
            limit=90,
        )  # fmt: skip

    def _latency(self, *values: str) -> None:
        """Restart the cloud with other times, or with those of the scenarios."""
        told = json.loads(self._helm("get", "values", "mockcloud", "--output=json"))
        flags = [f"--set-string={one}" for one in (f"image.tag={told['image']['tag']}", *values)]
        self._helm(
            "upgrade", "mockcloud", str(CHARTS / "mockcloud"), "--wait",
            f"--values={HERE / 'values' / 'mockcloud.yaml'}", *flags,
        )  # fmt: skip
        nodes = len(self._kube.list("nodes"))
        wait_for(lambda: self._cloud.connected() == nodes, what="all agents are back")

    def _helm(self, *arguments: str) -> str:
        helm = self._place.programs / "helm"
        return self._shell.run(helm, *arguments, f"--namespace={MOCK_NAMESPACE}")


def _crowd_figures(pairs: Sequence[Pair]) -> list[Figure]:
    """Of what takes time the pair in the middle, of what is used the most."""
    real = [real for _, real in pairs]
    for part in ("controller", "node"):
        _say(
            f"  the most memory that a {part} ever had: {max(one.peak_mib[part] for one in real):.1f} MiB"
        )
    return [
        _beyond("to all running", pairs, lambda one: one.came_s),
        _beyond("to all gone", pairs, lambda one: one.went_s),
        Figure(name="memory of the controller", unit="MiB", limit=72,
               value=max(one.memory_mib["controller"] for one in real)),
        Figure(name="memory of the node plug-in", unit="MiB", limit=60,
               value=max(one.memory_mib["node"] for one in real)),
        Figure(name="ECS calls a volume life", unit="calls", limit=8,
               value=max(one.calls for one in real) / PODS),
    ]  # fmt: skip


def _beyond(what: str, pairs: Sequence[Pair], took_s: Callable[[Crowd], float]) -> Figure:
    figures = [
        Figure(
            name=f"{PODS} pods: time beyond a driver that does nothing, {what}",
            value=took_s(real) - took_s(floor), unit="s", floor=real.serial_s, of_ratio=True,
            limit=1.15,
        )
        for floor, real in pairs
    ]  # fmt: skip
    figures.sort(key=lambda figure: figure.compared)
    _say(f"  {what}, pair by pair: {', '.join(f'{one.compared:.2f}' for one in figures)}")
    return figures[len(figures) // 2]


def _is_check(call: Object) -> bool:
    """Whether a controller only asked if it would be answered; it does so for all volumes or none."""
    return NO_DISK in str(call["params"].get("DiskIds", ""))


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print and write; 1 where a promise is missed."""
    place = here()
    with alone(place):
        refuse_unusable(place)
        figures = Bench(place=place).figures()
    print(table(figures))
    write(figures, Path(RESULT))
    print(f"written to {RESULT.relative_to(ROOT)}", file=sys.stderr)
    return 0 if all(figure.held for figure in figures) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (CommandFailed, AssertionError) as error:  # the second is every failure of `support`
        sys.exit(f"\n{words(error)}")
