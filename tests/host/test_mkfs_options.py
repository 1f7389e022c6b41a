"""What a class says to mkfs, on real devices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diskcsi.model.errors import InvalidArgument
from tests.host.loops import Machine

pytestmark = pytest.mark.host

LEADING_ELSEWHERE = {
    "btrfs-device": ("btrfs", "-f {path}"),
    "btrfs-device-long": ("btrfs", "--force {path}"),
    "xfs-log": ("xfs", "-f -l logdev={path},size=64m"),
    "xfs-realtime": ("xfs", "-f -r rtdev={path}"),
    "xfs-name": ("xfs", "-f -d name={path}"),
    "ext4-journal": ("ext4", "-F -J device={path}"),
    "ext4-device": ("ext4", "-F {path}"),
}


@pytest.mark.parametrize("how", LEADING_ELSEWHERE)
async def test_no_option_writes_to_a_second_device(node: Machine, how: str) -> None:
    """Its bytes stay, and so do the disk's own."""
    fs_type, text = LEADING_ELSEWHERE[how]
    disk, other = node.plug("disk"), node.plug("other")
    await node.filesystems.make(other.device, "ext4", None)
    before = (disk.digest(), other.digest())
    request = disk.stage(node.staging, fs_type)
    options = {"mkfsOptions": text.format(path=other.path)}
    with pytest.raises(InvalidArgument):
        await node.stager.stage(replace(request, volume_context=options))
    assert (disk.digest(), other.digest()) == before


@pytest.mark.parametrize(
    ("fs_type", "text"),
    [
        ("ext4", "-qF -m 0 -b 4096 -O ^64bit -E lazy_itable_init=0 -J size=8 -L data"),
        ("xfs", "-f -K -d agcount=2 -l size=64m,lazy-count=1 -i size=512 -m reflink=0 -L data"),
        ("btrfs", "-f -K -n 16k -m single -d single --csum xxhash -L data"),
    ],
)
async def test_options_that_are_allowed_reach_the_tool(
    node: Machine, fs_type: str, text: str
) -> None:
    """Each mkfs takes what the rule lets through."""
    request = node.plug("tuned").stage(node.staging, fs_type)
    await node.stager.stage(replace(request, volume_context={"mkfsOptions": text}))
    assert node.mounts() == [str(node.staging)]
