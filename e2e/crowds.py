"""Three crowds in a row leave the same counts: `python -m e2e.crowds`.

Each is fifty pods with a volume, apply to running to gone. What there is of disks, devices, mounts
and objects is counted before the first and after each. With `--break` the cluster is deleted in the
middle of a crowd, as anybody would delete it; the loop devices that it leaves are shown, with whose
they are, and then taken away. With `--raw` some of its volumes are used as devices: over each of those
kubelet has a loop device of its own, which it takes away when the pod ends, and nobody else does.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final

import click

from e2e.cluster.leftovers import refuse_unusable
from e2e.cluster.lock import alone
from e2e.cluster.place import CLUSTER, Place, here
from e2e.cluster.shell import CommandFailed, words
from e2e.support import crowd
from e2e.support.cloud import MockCloud
from e2e.support.counts import Counts, changed, counts
from e2e.support.kube import Kube
from e2e.support.leftovers import KUBELETS, MOCKS, owners_of_devices
from e2e.support.machines import Device, Machines, loop_binding, loop_devices, still_bound
from e2e.support.objects import namespace, storage_class
from e2e.support.waiting import NotSeen, wait_for

NAME: Final = "e2e-crowds"
"""Of the namespace and the class."""

SETTLED_S: Final = 120
"""For the last detach and deletion after the last pod."""

CLEARED_S: Final = 30
"""For the kernel to clear the devices that nobody has open any more; it takes it a moment."""

LOOK_S: Final = 0.05
"""Between looks for devices that are made while the cluster is being deleted."""

TIMES: Final = 3
AT_LEAST_ONE: Final = click.IntRange(min=1)


class Crowds:
    """Crowds in the cluster that `make e2e-up` has made."""

    def __init__(self, *, place: Place, size: int) -> None:
        self._place = place
        self._size = size
        self._kube = Kube(
            kubectl=place.programs / "kubectl", environment=place.environment(), namespace=NAME
        )
        self._cloud = MockCloud(kube=self._kube)
        self._machines = Machines(environment=place.environment())
        self._disks: set[str] = set()
        self._names: set[str] = set()

    def in_a_row(self, times: int) -> bool:
        """Whether each of so many crowds left the counts that were there before the first."""
        before = self._counts()
        _tell("before", before)
        same = True
        with self._namespace():
            for number in range(1, times + 1):
                began_s = time.monotonic()
                crowd.begin(self._kube, self._size, of=NAME)
                crowd.wait_running(self._kube, self._size)
                came_s = time.monotonic() - began_s
                _tell(f"{self._size} pods run", self._counts())
                crowd.wait_gone(self._kube)
                went_s = time.monotonic() - began_s - came_s
                _say(f"crowd {number}: running after {came_s:.0f} s, gone after {went_s:.0f} s")
                same &= self._settled(before, f"after {number}")
        return same

    def broken(self, *, raw: int) -> bool:
        """Whether a cluster that is deleted in the middle of a crowd leaves no loop device.

        Those that it leaves are told, and taken away where this process may do so.

        Args:
            raw: how many of the crowd's volumes are used as devices.
        """
        self._make_namespace()
        crowd.begin(self._kube, self._size, of=NAME, raw=raw)
        wait_for(
            lambda: len(self._volumes()) >= self._size,
            what=f"{self._size} volumes are there", timeout_s=crowd.COME_S,
        )  # fmt: skip
        disks, volumes = frozenset(self._cloud.disks()), self._volumes()
        crowd.wait_running(self._kube, self._size // 2)
        wait_for(
            lambda: list(_devices(disks, volumes).values()).count(KUBELETS) >= raw,
            what=f"kubelet has a device over each of {raw} raw volumes", timeout_s=crowd.COME_S,
        )  # fmt: skip
        there = _devices(disks, volumes)
        _say(f"{crowd.running(self._kube)} of {self._size} pods run; {_by_owner(there)}")
        _say(f"kind delete cluster --name {CLUSTER}")
        with subprocess.Popen(
            [str(self._place.programs / "kind"), "delete", "cluster", "--name", CLUSTER],
            env=self._place.environment(),
        ) as deleting:
            while deleting.poll() is None:
                there |= _devices(disks, volumes)
                time.sleep(LOOK_S)
        there |= _devices(disks, volumes)
        _say(
            f"it ended with {deleting.returncode}; until then there were {len(there)} loop devices"
        )
        if none_left := _cleared(there):
            _say("no loop device is left")
        else:
            _take_away(there)
        return none_left and deleting.returncode == 0

    def _volumes(self) -> frozenset[str]:
        return frozenset(one["metadata"]["name"] for one in self._kube.list("pv"))

    def _settled(self, before: Counts, title: str) -> bool:
        try:
            wait_for(
                lambda: not changed(before, self._counts()), what="the counts of before",
                timeout_s=SETTLED_S,
            )  # fmt: skip
        except NotSeen:
            _say(f"not as before: {changed(before, self._counts())}")
        now = self._counts()
        _tell(title, now)
        return not changed(before, now)

    def _counts(self) -> Counts:
        """Of devices those of disks and volumes that were there at any count."""
        self._disks |= self._cloud.disks().keys()
        self._names |= self._volumes()
        owners = owners_of_devices(loop_devices(), disks=self._disks, volumes=self._names)
        return counts(kube=self._kube, cloud=self._cloud, machines=self._machines, owners=owners)

    @contextmanager
    def _namespace(self) -> Iterator[None]:
        self._make_namespace()
        try:
            yield
        except BaseException:
            _say("taking away what the crowd has made: half a minute")
            raise
        finally:
            self._kube.run("delete", "pod,pvc", "--all", timeout_s=crowd.GO_S)
            self._kube.delete("namespace", NAME)
            self._kube.delete("storageclass", NAME)

    def _make_namespace(self) -> None:
        self._kube.apply(namespace(NAME), storage_class(NAME))


def _devices(disks: Collection[str], volumes: Collection[str]) -> dict[Device, str]:
    """The cluster's loop devices, and whose each is."""
    found = owners_of_devices(loop_devices(), disks=disks, volumes=volumes)
    devices = {}
    for name, owner in found.items():
        with suppress(OSError):  # it went while we looked
            devices[name, loop_binding(name)] = owner
    return devices


def _left(there: Mapping[Device, str]) -> Mapping[Device, str]:
    return {device: there[device] for device in still_bound(there)}


def _cleared(there: Mapping[Device, str]) -> bool:
    """Whether the kernel clears all of them in time; those that are left are told."""
    try:
        wait_for(
            lambda: not _left(there), what="no loop device is left", timeout_s=CLEARED_S,
        )  # fmt: skip
    except NotSeen:
        left, files = _left(there), loop_devices()
        _say(f"left: {_by_owner(left)}")
        for (name, _), owner in sorted(left.items()):
            _say(f"  {name}, {owner}, over {files.get(name, 'nothing by now')}")
        return False
    return True


def _take_away(there: Mapping[Device, str]) -> None:
    """Detach kubelet's, which the kernel keeps; with them the mock's below go by themselves."""
    for (name, _), owner in sorted(_left(there).items()):
        if owner == KUBELETS:
            command = ["losetup", "--detach", f"/dev/{name}"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            _say(f"{' '.join(command)} {done.stderr}".rstrip())
    if _cleared(there):
        _say("without kubelet's no loop device is left")


def _by_owner(devices: Mapping[Device, str]) -> str:
    counted = Counter(devices.values())
    return ", ".join(f"{counted[owner]} loop devices are {owner}" for owner in (MOCKS, KUBELETS))


def _tell(title: str, found: Counts) -> None:
    _say(f"{title:<16}" + ", ".join(f"{what} {number}" for what, number in found.items()))


def _say(what: str) -> None:
    print(what, flush=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--times", type=AT_LEAST_ONE, help="How many crowds in a row, if not three.")
@click.option("--pods", default=50, type=AT_LEAST_ONE, help="How many pods a crowd has.")
@click.option("--break", "broken", is_flag=True, help="Delete the cluster amid one crowd instead.")
@click.option(
    "--raw", default=0, type=click.IntRange(min=0),
    help="With --break: how many have their volume as a device.",
)  # fmt: skip
def main(*, times: int | None, pods: int, broken: bool, raw: int) -> None:
    """Run crowds, print what there is before and after each; 1 where something is left."""
    if times and broken:
        raise click.UsageError("--times doesn't go with --break: there is no cluster for another")
    if raw and not broken:
        raise click.UsageError("--raw goes with --break: without it all volumes are filesystems")
    if raw > pods:
        raise click.UsageError(f"--raw {raw} is more than there are pods, --pods {pods}")
    place = here()
    with alone(place):
        refuse_unusable(place)
        crowds = Crowds(place=place, size=pods)
        sys.exit(
            0 if (crowds.broken(raw=raw) if broken else crowds.in_a_row(times or TIMES)) else 1
        )


if __name__ == "__main__":
    try:
        main(prog_name="python -m e2e.crowds")
    except (CommandFailed, AssertionError) as error:  # the second is every failure of `support`
        sys.exit(f"\n{words(error)}")
