"""Files that scenarios write and find again, and the room that volumes have."""

from __future__ import annotations

import json
from typing import Final

from e2e.support.kube import Kube, Object

WRITE: Final = (
    "dd if=/dev/urandom of=/data/file bs=1M count=8 conv=fsync 2>/dev/null; sha256sum /data/file"
)
"""Write a file to the disk, and tell its checksum."""

SUM: Final = "sha256sum /data/file"

WRITE_DEVICE: Final = (
    "dd if=/dev/urandom of=/tmp/a bs=1M count=4; dd if=/tmp/a of=/dev/disk0 conv=fsync;"
    " sha256sum < /tmp/a"
)
"""The same with a device, /dev/disk0."""

SUM_DEVICE: Final = "dd if=/dev/disk0 bs=1M count=4 2>/dev/null | sha256sum"

GIB: Final = 1024**3

WRITING: Final = """
trap 'exit 0' TERM
i=0
while true; do
  i=$((i + 1))
  echo $i >> /data/log && sync /data/log || echo "write $i failed" >> /tmp/errors
done
"""
"""A load: each line is on the disk before the next."""


def grow(kube: Kube, name: str, size: str) -> None:
    """Ask for more room."""
    wish = {"spec": {"resources": {"requests": {"storage": size}}}}
    kube.run("patch", "pvc", name, f"--patch={json.dumps(wish)}")


def wait_size(kube: Kube, name: str, size: str) -> None:
    """Return when the claim tells the room that it has."""
    kube.wait(
        "pvc", name, lambda one: one["status"].get("capacity", {}).get("storage") == size,
        what=f"has {size}", timeout_s=180,
    )  # fmt: skip


def room(kube: Kube, name: str) -> int:
    """The bytes of the filesystem at /data."""
    return int(kube.sh(name, "df -k /data | awk 'END {print $2}'")) * 1024


def volume_of(kube: Kube, claim_name: str) -> str:
    """The name of a claim's volume."""
    return str(kube.get("pvc", claim_name)["spec"]["volumeName"])


def disk_of(kube: Kube, claim_name: str) -> str:
    """The id of a claim's disk."""
    return str(kube.get("pv", volume_of(kube, claim_name))["spec"]["csi"]["volumeHandle"])


def check_kept(kube: Kube, pod_name: str, *, again: Object | None = None) -> None:
    """Write a file in a pod, and see that the next pod on the volume finds it.

    Args:
        again: the pod to make anew; None: its owner makes it.
    """
    wrote = kube.sh(pod_name, WRITE)
    kube.delete("pod", pod_name)
    if again is not None:
        kube.apply(again)
    kube.wait_running(pod_name)
    assert kube.sh(pod_name, SUM) == wrote
