"""Volumes grow: under a mount, and while nobody uses them."""

from __future__ import annotations

import hashlib

import pytest

from e2e.cluster.docker import lacks_capability
from e2e.support.data import GIB, SUM, WRITE, WRITING, grow, room, wait_size
from e2e.support.disks import CloudDisks, free, in_use
from e2e.support.kube import Kube
from e2e.support.objects import claim, pod
from e2e.support.waiting import wait_for


def sum_of_lines(count: int) -> str:
    """What sha256sum tells of the first lines of the load, each of which is its number."""
    text = "".join(f"{number}\n" for number in range(1, count + 1))
    return f"{hashlib.sha256(text.encode()).hexdigest()}  -"


@pytest.mark.parametrize("of", ["e2e-wait-xfs", "e2e-wait"])
def test_a_volume_grows_under_a_load(kube: Kube, cloud_disk: CloudDisks, of: str) -> None:
    """Disk and filesystem grow while a pod writes, no write fails, and what was there stays."""
    if of == "e2e-wait" and lacks_capability():
        pytest.skip("a mounted ext4 grows only with CAP_SYS_RESOURCE, which this machine lacks")
    kube.apply(claim("data", of=of), pod("writer", claims={"data": "/data"}, script=WRITING))
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE)
    grow(kube, "data", "3Gi")
    wait_size(kube, "data", "3Gi")
    assert room(kube, "writer") > 2 * GIB
    assert cloud_disk("data") == in_use(kube.node_of("writer"), size_gib=3, grown=1)
    lines = int(kube.sh("writer", "wc -l < /data/log"))
    wait_for(lambda: int(kube.sh("writer", "wc -l < /data/log")) > lines, what="it writes on")
    assert kube.sh("writer", "cat /tmp/errors 2>/dev/null || true") == ""
    assert kube.sh("writer", f"head -n {lines} /data/log | sha256sum") == sum_of_lines(lines)
    assert kube.sh("writer", SUM) == wrote


@pytest.mark.parametrize("of", ["e2e-wait-xfs", "e2e-wait"])
def test_a_volume_that_nobody_uses_grows(kube: Kube, cloud_disk: CloudDisks, of: str) -> None:
    """The disk grows at once, the filesystem when the next pod mounts it, and the data stays."""
    kube.apply(claim("data", of=of), pod("writer", claims={"data": "/data"}))
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE)
    kube.delete("pod", "writer")
    wait_for(lambda: cloud_disk("data") == free(), what="the disk is free")
    grow(kube, "data", "3Gi")
    kube.wait(
        "pvc", "data",
        lambda one: any(
            condition["type"] == "FileSystemResizePending"
            for condition in one["status"].get("conditions", [])
        ),
        what="waits for its filesystem to grow",
    )  # fmt: skip
    assert cloud_disk("data") == free(size_gib=3, grown=1)
    kube.apply(pod("reader", claims={"data": "/data"}))
    kube.wait_running("reader")
    wait_size(kube, "data", "3Gi")
    assert room(kube, "reader") > 2 * GIB
    assert kube.sh("reader", SUM) == wrote
    assert cloud_disk("data") == in_use(kube.node_of("reader"), size_gib=3, grown=1)
