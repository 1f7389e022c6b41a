"""Volumes grow: under a mount, and while nobody uses them."""

from __future__ import annotations

import pytest

from e2e.cluster.docker import lacks_capability
from e2e.support.data import GIB, SUM, WRITE, WRITING, grow, room, wait_size
from e2e.support.kube import Kube
from e2e.support.objects import claim, pod


@pytest.mark.parametrize("of", ["e2e-wait-xfs", "e2e-wait"])
def test_a_volume_grows_under_a_load(kube: Kube, of: str) -> None:
    """The filesystem grows while a pod writes, and no write fails."""
    if of == "e2e-wait" and lacks_capability():
        pytest.skip("a mounted ext4 grows only with CAP_SYS_RESOURCE, which this machine lacks")
    kube.apply(claim("data", of=of), pod("writer", claims={"data": "/data"}, script=WRITING))
    kube.wait_running("writer")
    grow(kube, "data", "3Gi")
    wait_size(kube, "data", "3Gi")
    assert room(kube, "writer") > 2 * GIB
    lines = int(kube.sh("writer", "wc -l < /data/log"))
    assert lines > 0
    assert kube.sh("writer", "cat /tmp/errors 2>/dev/null || true") == ""


@pytest.mark.parametrize("of", ["e2e-wait-xfs", "e2e-wait"])
def test_a_volume_that_nobody_uses_grows(kube: Kube, of: str) -> None:
    """The disk grows at once, the filesystem when the next pod mounts it, and the data stays."""
    kube.apply(claim("data", of=of), pod("writer", claims={"data": "/data"}))
    kube.wait_running("writer")
    wrote = kube.sh("writer", WRITE)
    kube.delete("pod", "writer")
    grow(kube, "data", "3Gi")
    kube.wait(
        "pvc", "data",
        lambda one: any(
            condition["type"] == "FileSystemResizePending"
            for condition in one["status"].get("conditions", [])
        ),
        what="waits for its filesystem to grow",
    )  # fmt: skip
    kube.apply(pod("reader", claims={"data": "/data"}))
    kube.wait_running("reader")
    wait_size(kube, "data", "3Gi")
    assert room(kube, "reader") > 2 * GIB
    assert kube.sh("reader", SUM) == wrote
