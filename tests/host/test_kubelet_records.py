from __future__ import annotations

import json
from pathlib import Path

import pytest

from diskcsi.host.linux.kubelet import LinuxKubeletRecords
from diskcsi.model.errors import WrongState

CSI = "plugins/kubernetes.io/csi"


def _record(root: Path, place: str, **told: str) -> None:
    path = root / CSI / place / "vol_data.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(told))


async def test_records_of_every_kind_of_volume_are_found(tmp_path: Path) -> None:
    """Filesystems, as new and as old kubelets stage them, and raw devices."""
    for place, volume_id in (("disk.x/0a1b", "d-1"), ("pv/pvc-2", "d-2")):
        _record(tmp_path, place, driverName="disk.x", volumeHandle=volume_id)
    _record(tmp_path, "volumeDevices/pvc-3/data", driverName="disk.x", volumeHandle="d-3")
    records = LinuxKubeletRecords(root=tmp_path, driver="disk.x")
    assert await records.staged() == {"d-1", "d-2", "d-3"}


async def test_records_of_other_drivers_are_left_out(tmp_path: Path) -> None:
    """Their disks are not ours, though kubelet keeps them in one place."""
    _record(tmp_path, "pv/pvc-1", driverName="disk.y", volumeHandle="d-1")
    _record(tmp_path, "disk.y/0a1b", driverName="disk.y", volumeHandle="d-2")
    assert await LinuxKubeletRecords(root=tmp_path, driver="disk.x").staged() == frozenset()


async def test_a_record_that_a_crash_has_torn_counts_as_none(tmp_path: Path) -> None:
    """Whatever a crash left of it; the others count."""
    _record(tmp_path, "disk.x/whole", driverName="disk.x", volumeHandle="d-1")
    _record(tmp_path, "disk.x/keyless", driverName="disk.x")
    _record(tmp_path, "disk.x/torn")
    (tmp_path / CSI / "disk.x/torn/vol_data.json").write_text("{")
    assert await LinuxKubeletRecords(root=tmp_path, driver="disk.x").staged() == {"d-1"}


@pytest.mark.parametrize("unreadable", ["disk.x/other/vol_data.json", "pv"])
async def test_what_can_not_be_read_is_no_word_that_nothing_is_staged(
    tmp_path: Path, unreadable: str
) -> None:
    """A node that may have volumes must not be taken for an empty one."""
    _record(tmp_path, "disk.x/whole", driverName="disk.x", volumeHandle="d-1")
    hindrance = tmp_path / CSI / unreadable
    hindrance.parent.mkdir(exist_ok=True)
    hindrance.symlink_to(hindrance)  # the kernel refuses a link to itself, to root as well
    with pytest.raises(WrongState, match=f"can't be read: .*{unreadable}"):
        await LinuxKubeletRecords(root=tmp_path, driver="disk.x").staged()


async def test_a_directory_that_goes_while_it_is_looked_at_counts_as_none(tmp_path: Path) -> None:
    """Kubelet takes it away when a volume is unstaged; a stray file is no record either."""
    _record(tmp_path, "disk.x/whole", driverName="disk.x", volumeHandle="d-1")
    (tmp_path / CSI / "disk.x/empty").mkdir()
    (tmp_path / CSI / "disk.x/file").touch()
    assert await LinuxKubeletRecords(root=tmp_path, driver="disk.x").staged() == {"d-1"}


async def test_a_machine_without_kubelet_has_no_records(tmp_path: Path) -> None:
    """As where the driver is tried out by hand."""
    records = LinuxKubeletRecords(root=tmp_path / "none", driver="disk.x")
    assert await records.staged() == frozenset()
