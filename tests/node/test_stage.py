from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from diskcsi.model.capabilities import VolumeCapability
from diskcsi.model.errors import (
    AlreadyExists,
    InvalidArgument,
    Pending,
    WrongState,
)
from diskcsi.model.ids import VolumeId
from diskcsi.testing.host import GIB
from tests.node.machine import (
    OTHER_SERIAL,
    OTHER_STAGING,
    OTHER_VOLUME,
    PUBLISH,
    RAW,
    RAW_STAGE,
    READER,
    STAGE,
    STAGING,
    TARGET,
    WRITER,
    Machine,
    context,
    machine,
    mounted,
    raw,
)
from tests.rows import row


async def test_a_blank_disk_is_formatted_and_mounted(node: Machine) -> None:
    """The first staging makes the filesystem that is asked for."""
    disk = node.host.plug("one")
    await node.stager.stage(replace(STAGE, capability=mounted("xfs")))
    assert (disk.done, node.host.paths_of(disk)) == (["make xfs"], [STAGING])


async def test_a_volume_that_names_no_filesystem_gets_the_default_one(node: Machine) -> None:
    """An empty type is the driver's choice."""
    disk = node.host.plug("one")
    await node.stager.stage(replace(STAGE, capability=mounted("")))
    assert disk.done == ["make ext4"]


async def test_the_class_may_choose_the_options_of_mkfs(node: Machine) -> None:
    """`mkfsOptions` reaches mkfs word by word."""
    disk = node.host.plug("one")
    await node.stager.stage(replace(STAGE, volume_context={"mkfsOptions": " -N  1000 "}))
    assert disk.done == ["make ext4 -N 1000"]


async def test_a_class_can_not_lead_mkfs_to_another_device(node: Machine) -> None:
    """Volumes older than the schema's rule carry what their class said then."""
    disk = node.host.plug("one")
    with pytest.raises(InvalidArgument, match=r"d-one is not .* '/dev/vdb' is no option's value"):
        await node.stager.stage(replace(STAGE, volume_context={"mkfsOptions": "-F /dev/vdb"}))
    assert (disk.done, node.host.marks) == ([], {})


async def test_a_filesystem_that_is_there_is_kept(node: Machine) -> None:
    """A second staging, after any pause, checks and mounts what the first one made."""
    disk = node.host.plug("one", filesystem="ext4")
    await node.stager.stage(STAGE)
    assert (disk.done, node.host.paths_of(disk)) == (["check ext4"], [STAGING])


async def test_a_filesystem_that_is_there_serves_who_names_none(node: Machine) -> None:
    """An empty type takes what the disk carries, not the default."""
    disk = node.host.plug("one", filesystem="xfs")
    await node.stager.stage(replace(STAGE, capability=mounted("")))
    assert node.host.paths_of(disk) == [STAGING]


async def test_staging_twice_changes_nothing(node: Machine) -> None:
    """Kubelet repeats every call."""
    disk = node.host.plug("one")
    await node.stager.stage(STAGE)
    done = list(disk.done)
    await node.stager.stage(STAGE)
    assert (disk.done, node.host.paths_of(disk)) == (done, [STAGING])


async def test_a_linked_kubelet_directory_is_staged_once(node: Machine) -> None:
    """The kernel shows where the link leads, and a repeat still finds the mount."""
    disk = node.host.plug("one")
    node.host.links["/var/lib/kubelet"] = "/data/kubelet"
    await node.stager.stage(STAGE)
    await node.stager.stage(STAGE)
    assert node.host.paths_of(disk) == [STAGING.replace("/var/lib/", "/data/")]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(mounted(), mounted(flags=["noatime"]), id="flags-added"),
        pytest.param(mounted(flags=["nosuid", "noexec"]), mounted(), id="flags-gone"),
        pytest.param(mounted(), mounted("xfs"), id="filesystem"),
        pytest.param(mounted(), mounted(mode=READER), id="read-only"),
        pytest.param(mounted(), raw(), id="raw"),
        pytest.param(raw(), mounted(), id="mounted"),
    ],
)
async def test_the_same_path_staged_otherwise_is_refused(
    node: Machine, first: VolumeCapability, second: VolumeCapability
) -> None:
    """Row 22: other capability or flags at one path is ALREADY_EXISTS, never a remount."""
    node.host.plug("one")
    await node.stager.stage(replace(STAGE, capability=first))
    before = list(node.host.mounted)
    with pytest.raises(AlreadyExists, match=r"asked for volume d-one.*unstage it first"):
        await node.stager.stage(replace(STAGE, capability=second))
    assert node.host.mounted == before


@pytest.mark.parametrize(
    "flags",
    [
        ("discard", "noatime"),
        ("noatime", "nodiratime"),
        ("noatime,nosuid",),
        ("rw", "relatime", "defaults"),
        ("barrier=1", "data=ordered", "commit=30"),
    ],
)
async def test_flags_that_the_kernel_shows_otherwise_are_no_difference(
    node: Machine, flags: tuple[str, ...]
) -> None:
    """A repeat with equal flags is equal, however the mount table words them."""
    disk = node.host.plug("one")
    request = replace(STAGE, capability=mounted(flags=flags))
    await node.stager.stage(request)
    await node.stager.stage(request)
    assert node.host.paths_of(disk) == [STAGING]


async def test_another_disk_at_the_staging_path_is_refused(node: Machine) -> None:
    """What is mounted there is compared by its device."""
    node.host.plug("one")
    node.host.plug(OTHER_SERIAL)
    await node.stager.stage(
        replace(STAGE, volume_id=OTHER_VOLUME, publish_context=context(OTHER_SERIAL))
    )
    with pytest.raises(AlreadyExists, match="holds ext4 of device 252:16"):
        await node.stager.stage(STAGE)


@pytest.mark.parametrize("capability", [mounted(), raw()], ids=["mounted", "raw"])
@pytest.mark.parametrize("first", [mounted(), raw()], ids=["held-mounted", "held-raw"])
@row("two-volumes-one-device")
async def test_two_volumes_never_share_a_device(
    node: Machine, capability: VolumeCapability, first: VolumeCapability
) -> None:
    """The second one is refused, whatever the serials say."""
    disk = node.host.plug("one")
    await node.stager.stage(
        replace(STAGE, volume_id=OTHER_VOLUME, staging_path=OTHER_STAGING, capability=first)
    )
    done, before = list(disk.done), list(node.host.mounted)
    with pytest.raises(WrongState, match=f"d-one is mounted at {OTHER_STAGING}"):
        await node.stager.stage(replace(STAGE, capability=capability))
    assert (disk.done, node.host.mounted) == (done, before)


async def test_a_staged_volume_is_staged_wherever_it_was_published(node: Machine) -> None:
    """Other orchestrators than kubelet have paths of their own."""
    node.host.plug("one")
    await node.stager.stage(STAGE)
    await node.publisher.publish(replace(PUBLISH, target_path="/srv/task-7/data"))
    before = list(node.host.mounted)
    await node.stager.stage(STAGE)
    assert node.host.mounted == before


DOUBTS: dict[str, dict[str, object]] = {
    "head": {"head_is_zero": False},
    "head-unread": {"head_is_zero": None},
    "tail": {"tail_is_zero": False},
    "tail-unread": {"tail_is_zero": None},
    "signatures": {"signatures": ("LVM2_member",)},
    "signatures-unread": {"signatures": None},
    "content-unread": {"filesystem": None},
    "partitions": {"partitions": ("vda1",)},
    "partitions-unread": {"partitions": None},
    "holders": {"holders": ("dm-0",)},
    "holders-unread": {"holders": None},
    "mounts": {"mounts": ("/mnt",)},
    "mounts-unread": {"mounts": None},
    "in-use": {"exclusive": False},
    "use-unknown": {"exclusive": None},
    "smaller": {"size_bytes": 19 * GIB},
    "larger": {"size_bytes": 21 * GIB},
    "size-unread": {"size_bytes": None},
    "serial": {"serial": "two"},
    "serial-unread": {"serial": None},
    "table": {"filesystem": "gpt", "signatures": ("gpt", "PMBR")},
    "mbr": {"filesystem": "dos", "signatures": ("dos",)},
    "swap": {"filesystem": "swap", "signatures": ("swap",)},
    "luks": {"filesystem": "crypto_LUKS", "signatures": ("crypto_LUKS",)},
    "two-filesystems": {"filesystem": "ext4", "signatures": ("ext4", "xfs")},
    "tools-disagree": {"filesystem": "ext4", "signatures": ()},
    "filesystem-with-partitions": {
        "filesystem": "ext4",
        "signatures": ("ext4",),
        "partitions": ("vda1",),
    },
    "filesystem-held": {"filesystem": "ext4", "signatures": ("ext4",), "holders": ("md0",)},
    "filesystem-in-use": {"filesystem": "ext4", "signatures": ("ext4",), "exclusive": False},
}


@pytest.mark.parametrize("doubt", DOUBTS)
@row("unreadable-probe")
async def test_a_doubtful_device_is_left_alone(node: Machine, doubt: str) -> None:
    """One fact missing or against it, and nothing is touched."""
    disk = node.host.plug("one")
    disk.facts.update(DOUBTS[doubt])
    with pytest.raises(WrongState, match=r"of disk d-one is left alone: .*nothing on it was"):
        await node.stager.stage(STAGE)
    assert (disk.done, node.host.mounted) == ([], [])


@row("wrong-filesystem")
async def test_another_filesystem_than_asked_for_is_refused(node: Machine) -> None:
    """The disk keeps what it carries."""
    disk = node.host.plug("one", filesystem="xfs")
    with pytest.raises(WrongState, match="carries xfs, and ext4 is asked for"):
        await node.stager.stage(STAGE)
    assert (disk.done, node.host.mounted) == ([], [])


async def test_a_filesystem_that_is_not_served_is_refused_by_name(node: Machine) -> None:
    """The message lists what can be asked for, and no device was looked at."""
    node.host.plug("one")
    with pytest.raises(InvalidArgument, match=r"'zfs' is not served; allowed are ext2, ext3"):
        await node.stager.stage(replace(STAGE, capability=mounted("zfs")))
    assert node.host.calls == []


async def test_ext_filesystems_are_one_family(node: Machine) -> None:
    """A tool may call an old ext4 by its parent's name."""
    disk = node.host.plug("one", filesystem="ext3")
    await node.stager.stage(STAGE)
    assert node.host.paths_of(disk) == [STAGING]


async def test_a_disk_without_a_serial_is_refused(node: Machine) -> None:
    """Nothing else tells disks apart for sure."""
    with pytest.raises(InvalidArgument, match="d-one tells no serial"):
        await node.stager.stage(replace(STAGE, publish_context={"serialNumber": ""}))


@row("stale-device-link")
async def test_a_device_that_comes_late_is_waited_for(
    node: Machine, tasks: asyncio.TaskGroup
) -> None:
    """The serial counts, and the disk may take its time."""
    staging = tasks.create_task(node.stager.stage(STAGE))
    await asyncio.sleep(12)
    disk = node.host.plug("one")
    await staging
    assert node.host.paths_of(disk) == [STAGING]


async def test_a_device_that_never_comes_is_not_final(node: Machine) -> None:
    """The attach may still be on its way, so kubelet is to try again."""
    node.host.plug("two")
    with pytest.raises(Pending, match="no device with serial one"):
        await node.stager.stage(STAGE)


@row("upgrade-rollback-mounted")
async def test_an_attachment_older_than_the_size_is_mounted(node: Machine) -> None:
    """Unknown keys are ignored, and a missing size forbids only mkfs."""
    disk = node.host.plug("one", filesystem="ext4")
    await node.stager.stage(
        replace(STAGE, publish_context={"serialNumber": "one", "type": "cloud_ssd", "x": "y"})
    )
    assert node.host.paths_of(disk) == [STAGING]


@pytest.mark.parametrize("size", ["", "20Gi", "-1", "\u00b2"])
@row("upgrade-rollback-mounted")
async def test_a_blank_disk_of_unknown_size_is_not_formatted(node: Machine, size: str) -> None:
    """Without the size the proof is not whole."""
    disk = node.host.plug("one")
    told = {"serialNumber": "one", "sizeBytes": size}
    with pytest.raises(
        WrongState, match=r"tells no size to compare; .*detach the volume and attach"
    ):
        await node.stager.stage(replace(STAGE, publish_context=told))
    assert disk.done == []


async def test_a_blank_disk_is_not_formatted_for_a_reader(node: Machine) -> None:
    """Who may not write doesn't make a filesystem."""
    disk = node.host.plug("one")
    with pytest.raises(WrongState, match="is blank, and it is asked for read-only"):
        await node.stager.stage(replace(STAGE, capability=mounted(mode=READER)))
    assert disk.done == []


async def test_a_reader_gets_the_filesystem_unchanged(node: Machine) -> None:
    """No check, no growth, and a mount that can't write."""
    disk = node.host.plug("one", filesystem="ext4")
    disk.size_bytes = 30 * GIB
    await node.stager.stage(replace(STAGE, capability=mounted(mode=READER)))
    assert (disk.done, node.host.mounted[0].read_only) == ([], True)


@row("dirty-filesystem")
async def test_a_failed_check_mounts_nothing(node: Machine) -> None:
    """Damage that needs a person stops the staging, with the tool's words."""
    disk = node.host.plug("one", filesystem="ext4")
    node.host.fail("check", WrongState("e2fsck ended with 4: UNEXPECTED INCONSISTENCY"))
    with pytest.raises(WrongState, match="UNEXPECTED INCONSISTENCY"):
        await node.stager.stage(STAGE)
    assert node.host.paths_of(disk) == []


@pytest.mark.parametrize("where", ["class", "node"])
@row("dirty-filesystem")
async def test_checks_can_be_switched_off(tasks: asyncio.TaskGroup, where: str) -> None:
    """By the volume's class, or for the whole node."""
    node = machine(tasks, check_filesystems=where != "node")
    disk = node.host.plug("one", filesystem="ext4")
    await node.stager.stage(
        replace(STAGE, volume_context={"omitfsck": "true"} if where == "class" else {})
    )
    assert disk.done == []


@pytest.mark.parametrize(
    ("fs_type", "may_grow_ext", "done"),
    [
        ("ext4", True, ["check ext4", "grow ext4"]),
        ("ext4", False, ["check ext4", "grow ext4"]),
        ("xfs", False, ["check xfs", "grow xfs"]),
    ],
    ids=["ext4-mounted", "ext4-at-rest", "xfs-mounted"],
)
@row("restore-larger")
async def test_a_filesystem_smaller_than_its_disk_grows(
    node: Machine, fs_type: str, may_grow_ext: bool, done: list[str]
) -> None:
    """Staging fills the device, before or after mounting."""
    node.host.may_grow_ext = may_grow_ext
    disk = node.host.plug("one", filesystem=fs_type)
    disk.size_bytes = 30 * GIB
    await node.stager.stage(
        replace(STAGE, capability=mounted(fs_type), publish_context=context(size_gib=30))
    )
    assert (disk.done, disk.filesystem_bytes) == (done, 30 * GIB)


@row("console-changes")
async def test_a_disk_that_grew_since_its_attachment_is_mounted(node: Machine) -> None:
    """Larger than told is growth, not another disk."""
    disk = node.host.plug("one", filesystem="xfs")
    disk.size_bytes = 30 * GIB
    await node.stager.stage(replace(STAGE, capability=mounted("xfs")))
    assert disk.filesystem_bytes == 30 * GIB


async def test_a_disk_smaller_than_told_is_refused(node: Machine) -> None:
    """A disk can't shrink, so this is another one."""
    disk = node.host.plug("one", size_gib=10, filesystem="ext4")
    with pytest.raises(WrongState, match="bytes, expected"):
        await node.stager.stage(STAGE)
    assert disk.done == []


@row("node-reboot-staged")
async def test_a_restarted_machine_stages_its_volumes_again(node: Machine) -> None:
    """Directories are left over, the data too."""
    disk = node.host.plug("one")
    await node.stager.stage(STAGE)
    node.host.reboot()
    disk.done.clear()
    await node.stager.stage(STAGE)
    assert (disk.done, node.host.paths_of(disk)) == (["check ext4"], [STAGING])


@row("node-reboot-staged")
async def test_a_mount_that_lost_its_device_is_replaced(node: Machine) -> None:
    """A disk that came back by another number is mounted anew."""
    lost = node.host.plug("one")
    node.host.plug(None)
    await node.stager.stage(STAGE)
    node.host.unplug(lost)
    back = node.host.plug("one", filesystem="ext4")
    back.number = "252:99"
    await node.stager.stage(STAGE)
    assert [mount.number for mount in node.host.mounted] == ["252:99"]


async def test_a_mount_with_a_made_up_number_is_no_orphan(node: Machine) -> None:
    """Filesystems over several devices have numbers that no device has."""
    node.host.plug("one")
    await node.stager.stage(STAGE)
    node.host.mounted[0] = replace(node.host.mounted[0], number="0:45")
    with pytest.raises(AlreadyExists):
        await node.stager.stage(STAGE)
    assert len(node.host.mounted) == 1


async def test_a_lost_staging_is_restored_beside_running_pods(node: Machine) -> None:
    """Without a check: the filesystem is alive at a pod's path."""
    disk = node.host.plug("one", filesystem="ext4")
    await node.stager.stage(STAGE)
    node.host.mounted[0] = replace(node.host.mounted[0], path=TARGET)
    disk.done.clear()
    await node.stager.stage(STAGE)
    assert (disk.done, node.host.paths_of(disk)) == ([], [TARGET, STAGING])


async def test_a_raw_device_is_staged_as_a_file(node: Machine) -> None:
    """Whatever is on it is the workload's own: nothing is judged but the disk's identity."""
    disk = node.host.plug("one", filesystem="LVM2_member")
    await node.stager.stage(RAW_STAGE)
    await node.stager.stage(RAW_STAGE)
    assert (disk.done, node.host.paths_of(disk)) == ([], [RAW])


@pytest.mark.parametrize(
    "facts", [{"serial": "two"}, {"serial": None}, {"size_bytes": None}, {"size_bytes": GIB}]
)
async def test_a_raw_device_that_is_not_the_disk_is_refused(
    node: Machine, facts: dict[str, object]
) -> None:
    """Serial and size count for raw devices as well."""
    node.host.plug("one").facts.update(facts)
    with pytest.raises(WrongState, match="is not disk d-one"):
        await node.stager.stage(RAW_STAGE)
    assert node.host.mounted == []


async def test_a_raw_device_needs_a_free_staging_path(node: Machine) -> None:
    """A filesystem of another volume at the path would be written below."""
    node.host.plug("one")
    node.host.plug(OTHER_SERIAL)
    await node.stager.stage(
        replace(STAGE, volume_id=OTHER_VOLUME, publish_context=context(OTHER_SERIAL))
    )
    with pytest.raises(AlreadyExists):
        await node.stager.stage(RAW_STAGE)


async def test_a_failed_mount_is_told_and_leaves_nothing(node: Machine) -> None:
    """The next call starts from the truth."""
    disk = node.host.plug("one", filesystem="ext4")
    node.host.fail("mount", WrongState("mount ended with 32: bad superblock"))
    with pytest.raises(WrongState, match="bad superblock"):
        await node.stager.stage(STAGE)
    assert node.host.paths_of(disk) == []


async def test_a_single_writer_may_be_staged(node: Machine) -> None:
    """Modes that differ only in their targets are equal for staging."""
    disk = node.host.plug("one")
    await node.stager.stage(replace(STAGE, capability=mounted(mode=WRITER)))
    assert node.host.paths_of(disk) == [STAGING]


async def test_mount_flags_appear_in_no_log_and_no_error(node: Machine) -> None:
    """They may hold secrets, whether the call succeeds or is refused."""
    node.host.plug("one")
    secret = mounted(flags=["password=canary", "noatime"])
    with capture_logs() as logs:
        await node.stager.stage(replace(STAGE, capability=secret))
        with pytest.raises(AlreadyExists) as refused:
            await node.stager.stage(replace(STAGE, capability=mounted("xfs", flags=["key=canary"])))
    assert (logs != [], "canary" in f"{logs}{refused.value}") == (True, False)


@pytest.mark.parametrize("volume_id", ["../../etc", "..", ".", "a/b", "d-\0"])
async def test_an_odd_id_leads_to_no_other_place(node: Machine, volume_id: str) -> None:
    """A raw device's file stays in its staging directory, and unstaging looks nowhere else."""
    disk = node.host.plug("one")
    odd = replace(RAW_STAGE, volume_id=VolumeId(volume_id))
    await node.stager.stage(odd)
    (path,) = node.host.paths_of(disk)
    await node.stager.unstage(odd.volume_id, STAGING)
    assert (path.rpartition("/")[0], node.host.mounted) == (STAGING, [])
