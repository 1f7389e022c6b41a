from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from diskcsi.host.linux.devices import LinuxDevices
from diskcsi.host.linux.identity import Identity
from diskcsi.model.errors import Pending, WrongState
from tests.rows import row


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine's `/dev` and `/sys`, empty."""
    (tmp_path / "dev/disk/by-id").mkdir(parents=True)
    (tmp_path / "sys/block").mkdir(parents=True)
    (tmp_path / "sys/dev/block").mkdir(parents=True)
    return tmp_path


def _identity(root: Path, *sources: str) -> Identity:
    return Identity(
        device_root=root / "dev",
        sysfs_root=root / "sys",
        sources=sources or ("virtio", "nvme", "loop"),
    )


def _tell(root: Path, name: str, **facts: str) -> None:
    for where, text in facts.items():
        path = root / "sys/block" / name / where.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def _link(root: Path, name: str, target: str) -> None:
    (root / "dev" / target).touch()
    (root / "dev/disk/by-id" / name).symlink_to(root / "dev" / target)


@pytest.mark.parametrize(
    ("name", "facts", "serial"),
    [
        ("vdb", {"serial": "bp1one"}, "bp1one"),
        ("vdb", {"serial": ""}, None),
        ("vdb", {"size": "8"}, None),
        ("nvme1n1", {"device__serial": "bp1one  "}, "bp1one"),
        ("nvme1n1", {"serial": "bp1one"}, None),
        ("sda", {"device__vendor": "x"}, None),
    ],
)
def test_a_device_tells_its_serial_in_its_own_place(
    root: Path, name: str, facts: dict[str, str], serial: str | None
) -> None:
    """Virtio in its block directory, nvme in its controller's."""
    _tell(root, name, **facts)
    assert _identity(root).serial(name) == serial


@pytest.mark.parametrize("name", ["vdb", "nvme1n1", "loop3"])
def test_a_kind_that_is_switched_off_tells_nothing(root: Path, name: str) -> None:
    """Only the sources of the settings count."""
    _tell(root, name, serial="one", device__serial="one", loop__backing_file="/x/one.img")
    _link(root, "virtio-one", name)
    assert _identity(root, "none").serial(name) is None


@pytest.mark.parametrize(
    ("backing", "link", "target", "serial"),
    [
        ("/disks/one.img", "virtio-one", "loop3", "one"),
        ("/disks/one.img", "nvme-A_Block_Storage_one", "loop3", "one"),
        ("/disks/one.img", "virtio-one", "loop4", None),
        ("/disks/one.img", "virtio-two", "loop3", None),
        ("/disks/one.raw", "virtio-one", "loop3", None),
        ("/disks/one.img (deleted)", "virtio-one", "loop3", None),
        ("/disks/.img", "virtio-", "loop3", None),
    ],
    ids=[
        "agree",
        "agree-as-nvme",
        "other-device",
        "other-serial",
        "no-image",
        "deleted",
        "no-name",
    ],
)
def test_a_loop_device_needs_two_facts_that_agree(
    root: Path, backing: str, link: str, target: str, serial: str | None
) -> None:
    """Its file's name and a link of this machine's own directory; one alone is not enough."""
    _tell(root, "loop3", loop__backing_file=backing)
    _link(root, link, target)
    assert _identity(root).serial("loop3") == serial


def test_a_loop_device_of_another_machine_tells_nothing(root: Path, tmp_path: Path) -> None:
    """Machines that share a kernel see each other's loop devices, but not each other's links."""
    _tell(root, "loop3", loop__backing_file="/disks/one.img")
    other = tmp_path / "other/disk/by-id"
    other.mkdir(parents=True)
    (root / "dev/loop3").touch()
    (other / "virtio-one").symlink_to(root / "dev/loop3")
    assert _identity(root).serial("loop3") is None


@row("stale-device-link")
def test_stale_links_lead_nowhere(root: Path) -> None:
    """One that dangles is left out, one to itself too."""
    by_id = root / "dev/disk/by-id"
    (by_id / "virtio-gone").symlink_to(root / "dev/vdz")
    (by_id / "virtio-loop").symlink_to(by_id / "virtio-loop")
    _link(root, "virtio-there", "vdb")
    links = ["virtio-gone", "virtio-loop", "virtio-none", "virtio-there"]
    assert list(_identity(root).linked(links)) == ["vdb"]


def test_a_hidden_path_of_a_device_is_not_a_second_device(root: Path) -> None:
    """Nvme multipath shows each path with the device's own serial."""
    _tell(root, "nvme0n1", device__serial="one", hidden="0")
    _tell(root, "nvme0c0n1", device__serial="one", hidden="1")
    assert _identity(root).names() == ["nvme0n1"]


def test_a_machine_without_sysfs_has_no_devices(tmp_path: Path) -> None:
    """Wrong settings give an empty list, and the caller says what was looked for."""
    assert _identity(tmp_path).names() == []


def _devices(root: Path, *own: str, wait_s: float = 2.0) -> LinuxDevices:
    return LinuxDevices(identity=_identity(root), own_paths=own, wait_s=wait_s, random=Random(1))


async def test_a_search_ends_at_its_deadline_and_tells_what_is_there(root: Path) -> None:
    """The message lists the serials that were seen."""
    _tell(root, "vdb", serial="other")
    _tell(root, "vdc", size="8")
    with pytest.raises(Pending, match=r"serial one appeared in 0.1 s; there are vdb with other"):
        await _devices(root, wait_s=0.1).find("one", ["virtio-one"])


async def test_a_search_among_no_serials_says_so(root: Path) -> None:
    """The hint names the setting that may leave out a kind of device."""
    with pytest.raises(Pending, match=r"none that tell a serial.*identity_sources"):
        await _devices(root, wait_s=0.1).find("one", [])


async def test_a_device_without_a_node_yet_is_waited_for(root: Path) -> None:
    """The kernel's directory comes before the node."""
    _tell(root, "vdb", serial="one", dev="252:16", size="8")
    with pytest.raises(Pending):
        await _devices(root, wait_s=0.1).find("one", [])


def _number_behind(path: Path) -> str:
    device = path.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


@pytest.mark.parametrize("layers", ["disk", "partition", "mapping"])
async def test_the_machines_own_disk_is_never_handed_out(
    root: Path, tmp_path: Path, layers: str
) -> None:
    """Nor when the machine lives on a partition of it, or on a mapping over that."""
    numbered = root / "sys/dev/block" / _number_behind(tmp_path)
    _tell(root, "vda", serial="system", vda3__partition="3")
    block = root / "sys/block"
    if layers == "mapping":
        (block / "dm-0/slaves").mkdir(parents=True)
        (block / "dm-0/slaves/vda3").symlink_to(block / "vda/vda3")
    own = {"disk": "vda", "partition": "vda/vda3", "mapping": "dm-0"}[layers]
    numbered.symlink_to(block / own)
    with pytest.raises(WrongState, match="vda has serial system and holds the machine's own files"):
        await _devices(root, str(tmp_path)).find("system", [])
