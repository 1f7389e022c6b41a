"""Many pods with a volume each, that come and go together."""

from __future__ import annotations

from typing import Final

from e2e.support.kube import Kube, is_ready
from e2e.support.objects import DRIVER, IDLE, claim, pod
from e2e.support.waiting import wait_for

COME_S: Final = 300
"""Until fifty pods run on two cores: the images are there, the disks take turns at their nodes."""

GO_S: Final = 300

KEEPING: Final = """
dd if=/dev/urandom of=/data/file bs=64k count=1 conv=fsync 2>/dev/null
sha256sum /data/file > /tmp/sum
trap 'exit 0' TERM
sleep 1000000 & wait
"""
"""What a pod does that has bytes of its own and keeps their checksum elsewhere."""

KEPT: Final = "until [ -s /tmp/sum ]; do sleep 0.1; done; sha256sum -c /tmp/sum"
"""Fails unless these bytes are still there."""


def begin(kube: Kube, size: int, *, of: str, raw: int = 0, script: str = IDLE) -> None:
    """Ask for as many pods with a volume of this class each, and don't wait.

    The first `raw` of them have it as a device, the others at /data, where their script finds it.

    Every node tells its limit first: of one whose plug-in was replaced just now the scheduler knows
    none, and it would give that node more than it takes.
    """
    wait_for(lambda: not _unlimited(kube), what="every node tells how many volumes it takes")
    names = [f"member-{number}" for number in range(size)]
    kube.apply(
        *(claim(name, of=of, mode="Block") for name in names[:raw]),
        *(claim(name, of=of) for name in names[raw:]),
    )
    kube.apply(
        *(pod(name, devices={name: "/dev/disk0"}) for name in names[:raw]),
        *(pod(name, claims={name: "/data"}, script=script) for name in names[raw:]),
    )


def _unlimited(kube: Kube) -> list[str]:
    return [
        node["metadata"]["name"]
        for node in kube.list("csinode")
        if not any(
            one["name"] == DRIVER and one.get("allocatable")
            for one in node["spec"]["drivers"] or ()
        )
    ]


def running(kube: Kube) -> int:
    """How many pods of the namespace run."""
    return sum(is_ready(one) for one in kube.list("pods"))


def wait_running(kube: Kube, size: int) -> None:
    """Return when as many run."""
    wait_for(
        lambda: running(kube) >= size,
        what=f"{size} pods run",
        timeout_s=COME_S,
        instead=lambda: f"{running(kube)} run",
    )


def check_bytes(kube: Kube) -> None:
    """See that each pod of the namespace, of those that keep bytes, has its own.

    Raises:
        KubectlFailed: one has not; the message tells which.
    """
    for one in kube.list("pods"):
        kube.sh(one["metadata"]["name"], KEPT)


def wait_gone(kube: Kube) -> None:
    """Delete all of them, with their claims, and return when their volumes are gone too."""
    volumes = {one["spec"]["volumeName"] for one in kube.list("pvc")}
    kube.run("delete", "pod,pvc", "--all", timeout_s=GO_S)

    def left() -> set[str]:
        return volumes & {one["metadata"]["name"] for one in kube.list("pv")}

    wait_for(lambda: not left(), what="the volumes are gone", timeout_s=GO_S, instead=left)
