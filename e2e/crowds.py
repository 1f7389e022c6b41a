"""Three crowds in a row leave the same counts: `python -m e2e.crowds`.

Each is fifty pods with a volume, apply to running to gone. What there is of disks, devices, mounts
and objects is counted before the first and after each. With `--break` the cluster is deleted in the
middle of a crowd, as anybody would delete it, and the loop devices that it leaves are shown.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from e2e.cluster.place import CLUSTER, Place, here
from e2e.support import crowd
from e2e.support.cloud import MockCloud
from e2e.support.counts import KUBELET_DEVICES, Counts, changed, counts
from e2e.support.kube import Kube
from e2e.support.leftovers import disk_devices
from e2e.support.machines import Machines, loop_devices
from e2e.support.objects import namespace, storage_class
from e2e.support.waiting import NotSeen, wait_for

NAME: Final = "e2e-crowds"
"""Of the namespace and the class."""

SETTLED_S: Final = 120
"""For the last detach and deletion after the last pod; and for the kernel after the cluster."""


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

    def broken(self) -> bool:
        """Whether a cluster that is deleted in the middle of a crowd leaves no loop device."""
        self._make_namespace()
        crowd.begin(self._kube, self._size, of=NAME)
        crowd.wait_running(self._kube, self._size // 2)
        disks = {disk.removeprefix("d-") for disk in self._cloud.disks()}
        _say(f"{crowd.running(self._kube)} of {self._size} pods run, {len(disks)} disks are there")
        _say(f"kind delete cluster --name {CLUSTER}")
        subprocess.run(
            [str(self._place.programs / "kind"), "delete", "cluster", "--name", CLUSTER],
            check=True, env=self._place.environment(),
        )  # fmt: skip
        try:
            wait_for(lambda: not _left(disks), what="no loop device is left", timeout_s=SETTLED_S)
        except NotSeen:
            _say("left:\n" + "\n".join(f"  {one}" for one in _left(disks)))
            return False
        _say("no loop device is left")
        return True

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
        return counts(
            kube=self._kube, cloud=self._cloud, machines=self._machines, files=loop_devices()
        )

    @contextmanager
    def _namespace(self) -> Iterator[None]:
        self._make_namespace()
        try:
            yield
        finally:
            self._kube.run("delete", "pod,pvc", "--all", timeout_s=crowd.GO_S)
            self._kube.delete("namespace", NAME)
            self._kube.delete("storageclass", NAME)

    def _make_namespace(self) -> None:
        self._kube.apply(namespace(NAME), storage_class(NAME))


def _left(disks: set[str]) -> list[str]:
    """Loop devices over the disks' files, wherever the kernel sees them now, and kubelet's own."""
    files = loop_devices()
    ours = disk_devices(files).keys()
    return [
        f"{name} over {file}"
        for name, file in sorted(files.items())
        if name in ours or KUBELET_DEVICES in file or any(f"/{disk}." in file for disk in disks)
    ]


def _tell(title: str, found: Counts) -> None:
    _say(f"{title:<16}" + ", ".join(f"{what} {number}" for what, number in found.items()))


def _say(what: str) -> None:
    print(what, flush=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--times", default=3, help="How many crowds in a row.")
@click.option("--pods", default=50, help="How many pods a crowd has.")
@click.option("--break", "broken", is_flag=True, help="Delete the cluster amid one crowd instead.")
def main(*, times: int, pods: int, broken: bool) -> None:
    """Run crowds, print what there is before and after each; 1 where something is left."""
    crowds = Crowds(place=here(), size=pods)
    sys.exit(0 if (crowds.broken() if broken else crowds.in_a_row(times)) else 1)


if __name__ == "__main__":
    main(prog_name="python -m e2e.crowds")
