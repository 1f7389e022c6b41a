"""What proof and bookkeeping add to the first stage of a volume, beside bare mkfs and mount."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.stack import NODE, Stack, capability, create, publish
from diskcsi._proto.csi import v1

ROUNDS = 7
LIMIT_MS = 60.0
SIZE_GIB = 20
MKFS = ("mkfs.ext4", "-F", "-m0")
"""What the driver calls where a class names no options of its own."""


async def measure(stack: Stack, directory: Path) -> Sequence[Figure]:
    """Median of stages of fresh 20 GiB volumes, over the median of mkfs and mount alone."""
    staged, bare = [], []
    for round_ in range(ROUNDS):
        bare.append(_bare(directory))
        staged.append(await _stage(stack, directory, f"staging-{round_}"))
    floor_ms = statistics.median(bare) * 1000
    return [
        Figure(
            name="NodeStage of a blank ext4 volume",
            value=statistics.median(staged) * 1000,
            unit="ms",
            floor=floor_ms,
            base=floor_ms,
            limit=LIMIT_MS,
        )
    ]


async def _stage(stack: Stack, directory: Path, name: str) -> float:
    volume_id = await create(stack.controller, name, size_gib=SIZE_GIB)
    context = await publish(stack.controller, volume_id, NODE)
    target = str(directory / name)
    begun = time.monotonic()
    await stack.node.node_stage_volume(
        v1.NodeStageVolumeRequest(
            volume_id=volume_id,
            staging_target_path=target,
            volume_capability=capability(),
            publish_context=context,
        )
    )
    taken_s = time.monotonic() - begun
    await stack.node.node_unstage_volume(
        v1.NodeUnstageVolumeRequest(volume_id=volume_id, staging_target_path=target)
    )
    return taken_s


def _bare(directory: Path) -> float:
    image, target = directory / "bare.img", directory / "bare"
    image.touch()
    os.truncate(image, SIZE_GIB * 1024**3)
    target.mkdir(exist_ok=True)
    device = _run("losetup", "--find", "--show", str(image)).strip()
    try:
        begun = time.monotonic()
        _run(*MKFS, device)
        _run("mount", "-t", "ext4", device, str(target))
        taken_s = time.monotonic() - begun
        _run("umount", str(target))
    finally:
        _run("losetup", "--detach", device)
        image.unlink()
    return taken_s


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
