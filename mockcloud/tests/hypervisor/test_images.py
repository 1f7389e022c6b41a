"""Files of disks: what a filesystem takes."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from mockcloud.hypervisor.images import GIB, Images


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Images]:
    """On a filesystem whose files end at 100 GiB: the process' own limit has the same error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 * GIB, before[1]))
    yield Images(root=tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("size_gib", "fits"), [(1, True), (100, True), (101, False)])
def test_a_file_is_as_long_as_its_filesystem_takes(
    images: Images, size_gib: int, *, fits: bool
) -> None:
    """To ask leaves nothing."""
    assert images.fits(size_gib) is fits
    assert list(images.disks.iterdir()) == []
