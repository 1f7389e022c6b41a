"""The floor of measurements: a second release of the driver, whose provider does nothing.

Its disks are loop devices that every node has before the measurement begins, so that Kubernetes,
the same sidecars with the same flags, and mkfs and mount are all that takes time.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from e2e.cluster import docker
from e2e.cluster.kind import FLOOR_DISKS, Kind
from e2e.cluster.modules import Programs
from e2e.cluster.place import ROOT, Place
from e2e.cluster.shell import CommandFailed, Shell
from e2e.support.kube import Kube
from e2e.support.machines import Machines
from e2e.support.objects import namespace
from e2e.support.release import NAME as RELEASE
from e2e.support.release import driver_name, installing, of_provider

NAME: Final = "e2e-floor"
"""Of the namespace and of the class."""

PROVIDER: Final = ROOT / "e2e" / "instant"
IMAGE: Final = "diskcsi/diskcsi"
SERIAL: Final = "floor"
"""What the serials begin with."""

MAKE: Final = (
    "set -e; mkdir -p {directory}; for serial in {serials}; do"
    " truncate --size=1G {directory}/$serial.img;"
    ' echo "$serial $(losetup --find --show {directory}/$serial.img)"; done'
)
TAKE_AWAY: Final = (
    "losetup --list --noheadings --output NAME,BACK-FILE | while read -r name file; do"
    " case $file in {directory}/*) losetup --detach $name;; esac; done; rm -rf {directory}"
)
LINK: Final = (
    "set -e; mkdir -p /dev/disk/by-id; while read -r serial device; do"
    " ln -sfn ../../${device#/dev/} /dev/disk/by-id/virtio-$serial; done <<'END'\n%s\nEND"
)
UNLINK: Final = f"rm -f /dev/disk/by-id/virtio-{SERIAL}*"


@contextmanager
def instant_driver(*, kube: Kube, place: Place, machines: Machines, disks: int) -> Iterator[str]:
    """Serve a class of disks that are there already, while the block runs; gives its driver's name.

    Args:
        disks: how many there are; each is given once.

    Raises:
        CommandFailed: image or release can't be made; the message has helm's or docker's words.
    """
    serials = [f"{SERIAL}{number:03}" for number in range(disks)]
    nodes = [str(one["metadata"]["name"]) for one in kube.list("nodes")]
    with (
        _own_namespace(kube),
        _devices(machines, nodes, serials),
        tempfile.TemporaryDirectory() as directory,
        installing(
            kube=kube.within(NAME), place=place, image_tag=_image(place), directory=Path(directory)
        ) as install,
    ):
        done = install(of_provider("instant", storage_class=NAME, serials=serials))
        if done.returncode:
            raise CommandFailed(done.stderr)
        for part in (f"daemonset/{RELEASE}-node", f"deployment/{RELEASE}-controller"):
            kube.within(NAME).run("rollout", "status", part, "--timeout=120s", timeout_s=150)
        yield driver_name(NAME)


@contextmanager
def _own_namespace(kube: Kube) -> Iterator[None]:
    kube.apply(namespace(NAME))
    try:
        yield
    finally:
        kube.delete("namespace", NAME)


def _image(place: Place) -> str:
    """The tag of the driver's image with that provider; the nodes have it."""
    shell = Shell(environment=place.environment(), log=place.log)
    shell.run(
        sys.executable, ROOT / "tools" / "images.py", "build", "--base", "auto",
        "--image", "diskcsi", "--provider", PROVIDER, "--tag", "floor",
        "--output", place.work / "floor-image",
    )  # fmt: skip
    tag = docker.tag_by_content(shell, f"{IMAGE}:floor", prefix="floor")
    programs = Programs(directories=(place.programs,))
    Kind(place=place, shell=shell, programs=programs).load(f"{IMAGE}:{tag}")
    return tag


@contextmanager
def _devices(machines: Machines, nodes: Sequence[str], serials: Sequence[str]) -> Iterator[None]:
    """Each of the disks in the `/dev` of all nodes; their files are on one: all share the kernel."""
    script = MAKE.format(directory=FLOOR_DISKS, serials=" ".join(serials))
    _take_away(machines, nodes)  # what a run that was cut off has left
    try:
        made = machines.run(nodes[0], "sh", "-c", script).strip()
        for node in nodes:
            machines.run(node, "sh", "-c", LINK % made)
        yield
    finally:
        _take_away(machines, nodes)


def _take_away(machines: Machines, nodes: Sequence[str]) -> None:
    with ExitStack() as each:  # one that fails keeps none of the others
        for node in nodes:
            each.callback(machines.run, node, "sh", "-c", UNLINK)
        each.callback(machines.run, nodes[0], "sh", "-c", TAKE_AWAY.format(directory=FLOOR_DISKS))
