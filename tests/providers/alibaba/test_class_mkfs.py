from __future__ import annotations

import pytest

from diskcsi.model.errors import InvalidArgument
from diskcsi.providers.alibaba.parameters import volume_parameters


@pytest.mark.parametrize("options", ["-f /dev/loop2", "-l logdev=loop2", "-J device=loop2"])
def test_a_class_that_names_mkfs_another_device_is_refused_at_the_door(options: str) -> None:
    """No disk is made for it, and the message tells what each filesystem allows."""
    with pytest.raises(
        InvalidArgument, match=r"key 'mkfsOptions' has the value .*mkfs of xfs may be given -f"
    ):
        volume_parameters({"mkfsOptions": options})


@pytest.mark.parametrize("options", ["-m 0", "-K -d su=64k,sw=4", "--csum xxhash"])
def test_options_of_any_served_filesystem_pass_the_door(options: str) -> None:
    """The class alone doesn't tell which one it will be; the node judges exactly."""
    assert volume_parameters({"mkfsOptions": options}).context == {"mkfsOptions": options}
