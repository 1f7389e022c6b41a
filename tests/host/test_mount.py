"""Where a filesystem is mounted, and where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from diskcsi.host.linux.mounts import LinuxMounts
from diskcsi.model.errors import WrongState
from diskcsi.ports.host import Device


async def test_nothing_is_mounted_over_files(tmp_path: Path) -> None:
    """A mount over a directory in use, such as `/etc`, would hide what the machine runs on."""
    (tmp_path / "passwd").write_text("root")
    device = Device(path="/dev/none", number="7:99", size_bytes=1024)
    with pytest.raises(WrongState, match="holds files"):
        await LinuxMounts().mount(device, str(tmp_path), "ext4", [])
