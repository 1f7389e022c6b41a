from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from diskcsi.model.capabilities import AccessMode
from diskcsi.model.errors import AlreadyExists, Pending, WrongState
from diskcsi.node.requests import Publish
from tests.node.machine import (
    OTHER_SERIAL,
    OTHER_STAGING,
    OTHER_TARGET,
    OTHER_VOLUME,
    PUBLISH,
    RAW,
    RAW_PUBLISH,
    RAW_STAGE,
    READER,
    SHARED,
    STAGE,
    STAGING,
    TARGET,
    WRITER,
    Machine,
    context,
    mounted,
    raw,
)
from tests.rows import row


async def test_a_staged_volume_is_shown_at_a_target_that_was_missing(node: Machine) -> None:
    """Row 27: the target's parents are made."""
    disk = node.host.plug("one")
    await node.stager.stage(STAGE)
    await node.publisher.publish(PUBLISH)
    assert node.host.paths_of(disk) == [STAGING, TARGET]


@pytest.mark.parametrize("request_", [PUBLISH, RAW_PUBLISH], ids=["mounted", "raw"])
async def test_publishing_twice_changes_nothing(node: Machine, request_: Publish) -> None:
    """Row 23: same target, same arguments."""
    disk = node.host.plug("one")
    await node.publisher.publish(request_)
    await node.publisher.publish(request_)
    assert node.host.paths_of(disk)[1:] == [TARGET]


async def test_a_raw_device_is_shown_as_a_file(node: Machine) -> None:
    """The target is the device itself, not a directory."""
    disk = node.host.plug("one")
    await node.stager.stage(RAW_STAGE)
    await node.publisher.publish(RAW_PUBLISH)
    assert (node.host.paths_of(disk), TARGET in node.host.files) == ([RAW, TARGET], True)


@pytest.mark.parametrize(
    "second",
    [
        replace(PUBLISH, read_only=True),
        replace(PUBLISH, capability=mounted(flags=["noexec"])),
        replace(PUBLISH, capability=mounted("xfs")),
        replace(PUBLISH, capability=raw()),
    ],
    ids=["read-only", "flags", "filesystem", "raw"],
)
async def test_the_same_target_with_other_arguments_is_refused(
    node: Machine, second: Publish
) -> None:
    """Row 23: same target, other arguments is ALREADY_EXISTS."""
    node.host.plug("one")
    await node.publisher.publish(PUBLISH)
    before = list(node.host.mounted)
    with pytest.raises(AlreadyExists):
        await node.publisher.publish(second)
    assert node.host.mounted == before


async def test_a_read_only_raw_target_is_not_taken_for_a_writable_one(node: Machine) -> None:
    """Row 23 holds for raw devices as well."""
    node.host.plug("one")
    await node.publisher.publish(replace(RAW_PUBLISH, read_only=True))
    with pytest.raises(AlreadyExists, match="read-only, which is not what is asked for"):
        await node.publisher.publish(RAW_PUBLISH)


async def test_another_volume_at_the_target_is_refused(node: Machine) -> None:
    """A target shows one volume; the message names its device."""
    node.host.plug("one")
    node.host.plug(OTHER_SERIAL)
    await node.publisher.publish(PUBLISH)
    with pytest.raises(AlreadyExists, match="shows device 252:0, not volume d-two"):
        await node.publisher.publish(
            replace(
                PUBLISH,
                volume_id=OTHER_VOLUME,
                staging_path=OTHER_STAGING,
                publish_context=context(OTHER_SERIAL),
            )
        )


MANY = [mode for mode in AccessMode if mode is SHARED or mode.value.startswith("MULTI_NODE")]


@pytest.mark.parametrize("mode", MANY)
async def test_a_second_target_is_allowed_for_shared_modes(node: Machine, mode: AccessMode) -> None:
    """Row 24: MULTI_NODE_* and SINGLE_NODE_MULTI_WRITER."""
    disk = node.host.plug("one", filesystem="ext4")
    request = replace(PUBLISH, capability=mounted(mode=mode))
    await node.publisher.publish(request)
    await node.publisher.publish(replace(request, target_path=OTHER_TARGET))
    assert node.host.paths_of(disk) == [STAGING, TARGET, OTHER_TARGET]


@pytest.mark.parametrize("mode", [mode for mode in AccessMode if mode not in MANY])
async def test_a_second_target_is_refused_for_single_modes(node: Machine, mode: AccessMode) -> None:
    """Row 24: the message names the first target."""
    node.host.plug("one", filesystem="ext4")
    request = replace(PUBLISH, capability=mounted(mode=mode))
    await node.publisher.publish(request)
    with pytest.raises(WrongState, match=f"published at {TARGET}"):
        await node.publisher.publish(replace(request, target_path=OTHER_TARGET))


async def test_a_staging_seen_below_another_root_is_no_second_target(node: Machine) -> None:
    """A plug-in that sees the machine's files twice sees each mount twice."""
    disk = node.host.plug("one")
    await node.stager.stage(STAGE)
    node.host.mounted.append(replace(node.host.mounted[0], path=f"/host{STAGING}"))
    await node.publisher.publish(replace(PUBLISH, capability=mounted(mode=WRITER)))
    assert TARGET in node.host.paths_of(disk)


async def test_no_staging_path_is_refused(node: Machine) -> None:
    """Row 26: FAILED_PRECONDITION, and the message names the field."""
    with pytest.raises(WrongState, match="staging_target_path is required"):
        await node.publisher.publish(replace(PUBLISH, staging_path=""))


@row("node-reboot-staged")
async def test_a_lost_staging_is_restored(node: Machine) -> None:
    """Kubelet publishes without staging again, and the same data appears."""
    disk = node.host.plug("one")
    await node.publisher.publish(PUBLISH)
    node.host.reboot()
    disk.done.clear()
    await node.publisher.publish(PUBLISH)
    assert (disk.done, node.host.paths_of(disk)) == (["check ext4"], [STAGING, TARGET])


@row("node-reboot-staged")
async def test_mounts_that_lost_their_device_are_replaced(node: Machine) -> None:
    """Staging and target both show the disk that came back."""
    lost = node.host.plug("one")
    await node.publisher.publish(PUBLISH)
    node.host.unplug(lost)
    back = node.host.plug("one", filesystem="ext4")
    back.number = "252:99"
    await node.publisher.publish(PUBLISH)
    assert [mount.number for mount in node.host.mounted] == ["252:99", "252:99"]


async def test_another_disk_at_the_staging_path_is_not_published(node: Machine) -> None:
    """The wrong-disk guard: the device behind the staging says its serial once more."""
    disk = node.host.plug("one")
    await node.stager.stage(STAGE)
    disk.serial = OTHER_SERIAL
    with pytest.raises(WrongState, match=r"shows device 252:0, which is not volume d-one"):
        await node.publisher.publish(PUBLISH)
    assert node.host.paths_of(disk) == [STAGING]


@pytest.mark.parametrize(
    "request_",
    [replace(PUBLISH, read_only=True), replace(PUBLISH, capability=mounted(mode=READER))],
    ids=["by-request", "by-mode"],
)
async def test_a_read_only_target_cannot_write(node: Machine, request_: Publish) -> None:
    """Both ways to ask for it give a mount without writes."""
    node.host.plug("one", filesystem="ext4")
    await node.publisher.publish(request_)
    assert node.host.mounted[-1].read_only


async def test_a_writable_target_stands_beside_a_read_only_one(node: Machine) -> None:
    """Reading only is a matter of the target, not of the volume."""
    node.host.plug("one")
    await node.publisher.publish(PUBLISH)
    await node.publisher.publish(replace(PUBLISH, target_path=OTHER_TARGET, read_only=True))
    assert [mount.read_only for mount in node.host.mounted] == [False, False, True]


@pytest.mark.parametrize("request_", [PUBLISH, RAW_PUBLISH], ids=["mounted", "raw"])
async def test_unpublishing_removes_the_target(node: Machine, request_: Publish) -> None:
    """Row 27: mount and path are gone, the staging stays; a repeat is fine."""
    disk = node.host.plug("one")
    await node.publisher.publish(request_)
    await node.publisher.unpublish(PUBLISH.volume_id, TARGET)
    await node.publisher.unpublish(PUBLISH.volume_id, TARGET)
    left = TARGET in node.host.files | node.host.directories
    assert (len(node.host.paths_of(disk)), left) == (1, False)


async def test_a_target_behind_a_link_is_found_again(node: Machine) -> None:
    """A repeat makes no second mount, and unpublishing finds the one there is."""
    disk = node.host.plug("one")
    node.host.links["/var/lib/kubelet"] = "/data/kubelet"
    await node.publisher.publish(PUBLISH)
    await node.publisher.publish(PUBLISH)
    await node.publisher.unpublish(PUBLISH.volume_id, TARGET)
    assert node.host.paths_of(disk) == [STAGING.replace("/var/lib/", "/data/")]


async def test_a_busy_target_is_told(node: Machine) -> None:
    """A process that still writes is not cut off."""
    node.host.plug("one")
    await node.publisher.publish(PUBLISH)
    node.host.busy.add(TARGET)
    with pytest.raises(WrongState, match="busy"):
        await node.publisher.unpublish(PUBLISH.volume_id, TARGET)


async def test_a_target_with_files_of_its_own_is_not_removed(node: Machine) -> None:
    """What a workload wrote below a lost mount is somebody's data."""
    node.host.filled.add(TARGET)
    with pytest.raises(WrongState, match="can't be removed"):
        await node.publisher.unpublish(PUBLISH.volume_id, TARGET)


async def test_two_targets_are_published_one_after_the_other(
    node: Machine, tasks: asyncio.TaskGroup
) -> None:
    """Two pods that start together must not both pass a rule for one of them."""
    node.host.plug("one")
    await node.stager.stage(STAGE)
    single = replace(PUBLISH, capability=mounted(mode=WRITER))
    gate = node.host.hold("bind")
    first = tasks.create_task(node.publisher.publish(single))
    await asyncio.sleep(1)
    tasks.create_task(_released(gate))
    with pytest.raises(WrongState, match="allows one target only"):
        await node.publisher.publish(replace(single, target_path=OTHER_TARGET))
    await first


async def _released(gate: asyncio.Event) -> None:
    await asyncio.sleep(1)
    gate.set()


@row("duplicate-calls-differ")
async def test_the_same_target_asked_for_otherwise_meanwhile_is_not_final(
    node: Machine, tasks: asyncio.TaskGroup
) -> None:
    """The second call must not get the first one's answer."""
    node.host.plug("one")
    await node.stager.stage(STAGE)
    gate = node.host.hold("bind")
    first = tasks.create_task(node.publisher.publish(PUBLISH))
    await asyncio.sleep(1)
    with pytest.raises(Pending, match="other arguments"):
        await node.publisher.publish(replace(PUBLISH, read_only=True))
    gate.set()
    await first
