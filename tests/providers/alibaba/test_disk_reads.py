from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from mockcloud.app import Cloud
from mockcloud.faults import Fault

from diskcsi.model.errors import (
    Unreachable,
)
from diskcsi.model.ids import NodeId, VolumeId
from diskcsi.model.volume import Disk, DiskState
from diskcsi.providers.alibaba.calls import Calls
from diskcsi.providers.alibaba.cloud import EcsCloud
from diskcsi.providers.alibaba.disks import NAME_TAG
from diskcsi.providers.alibaba.parameters import volume_parameters
from tests.providers.alibaba.support import (
    ABSENT,
    ELSEWHERE,
    NODE,
    REGION,
    Answer,
    disk_spec,
    scripted,
    sent,
)

CallsTo = Callable[..., Calls]


async def made(ecs: EcsCloud, count: int) -> list[VolumeId]:
    return [await ecs.create_disk(disk_spec(f"pvc-{number}")) for number in range(count)]


def told_disk(**members: object) -> Answer:
    """A page with one disk of these members, beside those that every disk has."""
    disk = {"DiskId": "d-1", "Size": 20, "Status": "Available", **members}
    return Answer(body={"Disks": {"Disk": [disk]}, "NextToken": ""})


async def read_one(calls_to: CallsTo, answer: Answer) -> Disk:
    async with scripted([answer]) as api:
        cloud = EcsCloud(calls=calls_to(api.url), region=REGION, cluster_id="")
        return (await cloud.get_disks([VolumeId("d-1")]))[VolumeId("d-1")]


async def test_a_disk_is_found_by_its_csi_name(ecs: EcsCloud) -> None:
    """The tag carries the name, for a disk's own name needn't be unique."""
    volume_id = await ecs.create_disk(disk_spec("数据卷 1"))

    assert [disk.id for disk in await ecs.find_disks("数据卷 1")] == [volume_id]


async def test_a_name_that_nothing_has_finds_nothing(ecs: EcsCloud) -> None:
    """An empty answer is an answer."""
    assert list(await ecs.find_disks("pvc-none")) == []


async def test_more_disks_of_one_name_than_a_page_holds_are_all_found(
    ecs: EcsCloud, world: Cloud
) -> None:
    """A tag search is paged as well, and none of its disks may stay unseen."""
    ids = await made(ecs, 105)
    for disk in world.engine.disks.values():
        disk.tags[NAME_TAG] = "shared"

    assert {disk.id for disk in await ecs.find_disks("shared")} == set(ids)


async def test_a_disk_is_told_with_all_that_the_rules_compare(ecs: EcsCloud) -> None:
    """Size, place, serial and kind, as the cloud has them."""
    volume_id = await ecs.create_disk(disk_spec())
    disk = (await ecs.get_disks([volume_id]))[volume_id]

    assert disk == Disk(
        id=volume_id, size_gib=20, state=DiskState.AVAILABLE, name="pvc-1", zone="cn-hangzhou-g",
        serial=volume_id.removeprefix("d-"),
        attributes={"type": "cloud_essd", "performanceLevel": "PL1"},
    )  # fmt: skip


async def test_an_absent_id_is_left_out(ecs: EcsCloud) -> None:
    """Its neighbours are told all the same."""
    volume_id = await ecs.create_disk(disk_spec())

    assert set(await ecs.get_disks([ABSENT, volume_id])) == {volume_id}


@pytest.mark.parametrize(
    "odd", ["", "d-", "pvc-1", "D-1", "d-1 ", 'd-1","d-2', "d-ü", "d-" + "x" * 300, "../d-1"]
)
async def test_a_malformed_id_never_fails_its_neighbours(ecs: EcsCloud, odd: str) -> None:
    """The cloud would refuse the whole batch, so it is not asked for."""
    volume_id = await ecs.create_disk(disk_spec())

    assert set(await ecs.get_disks([VolumeId(odd), volume_id])) == {volume_id}


async def test_nothing_but_malformed_ids_costs_no_call(ecs: EcsCloud, world: Cloud) -> None:
    """An empty list of ids would be asked for in vain."""
    assert await ecs.get_disks([VolumeId("nothing")]) == {}
    assert sent(world, "DescribeDisks") == []


async def test_ids_are_read_in_calls_of_a_hundred(ecs: EcsCloud, world: Cloud) -> None:
    """The API takes no more at once."""
    ids = await made(ecs, 3) + [VolumeId(f"d-absent{number}") for number in range(202)]
    await ecs.get_disks(ids)

    asked = [len(json.loads(call["DiskIds"])) for call in sent(world, "DescribeDisks")]
    assert asked == [100, 100, 5]


async def test_all_disks_of_several_calls_are_told(ecs: EcsCloud) -> None:
    """What comes together is told together."""
    ids = await made(ecs, 105)

    assert set(await ecs.get_disks(ids)) == set(ids)


async def test_a_listing_that_leads_to_itself_ends(calls_to: CallsTo) -> None:
    """A broken page token can't keep a read going for ever."""
    page = Answer(body={"Disks": {"Disk": []}, "NextToken": "same"})
    async with scripted([page]) as api:
        cloud = EcsCloud(calls=calls_to(api.url), region=REGION, cluster_id="")
        with pytest.raises(Unreachable, match="the same page again"):
            await cloud.find_disks("pvc-1")


@pytest.mark.parametrize(
    "members",
    [{}, {"Attachments": None}, {"Attachments": {}}, {"Attachments": {"Attachment": []}},
     {"Attachments": {"Attachment": None}}],
    ids=["absent", "null", "no-list", "empty", "null-list"],
)  # fmt: skip
async def test_no_attachments_are_told_in_five_ways(
    calls_to: CallsTo, members: dict[str, object]
) -> None:
    """The cloud uses all of them, and none of them is an error."""
    assert (await read_one(calls_to, told_disk(**members))).attached_to == frozenset()


async def test_a_disk_that_several_machines_hold_is_known_by_its_attachments(
    calls_to: CallsTo,
) -> None:
    """Its InstanceId is empty, which says nothing."""
    holders = [{"InstanceId": "i-1", "Device": ""}, {"InstanceId": "i-2", "Device": ""}]
    answer = told_disk(
        InstanceId="", MultiAttach="Enabled", Status="In_use", Attachments={"Attachment": holders}
    )
    disk = await read_one(calls_to, answer)

    assert disk.attached_to == {"i-1", "i-2"}


async def test_a_disk_of_the_first_kind_of_sharing_is_not_taken_for_free(
    calls_to: CallsTo,
) -> None:
    """It tells its holders in another list."""
    mounts = {"MountInstance": [{"InstanceId": "i-1"}]}
    answer = told_disk(MultiAttach="LegacyShared", MountInstances=mounts)

    assert (await read_one(calls_to, answer)).attached_to == {"i-1"}


async def test_a_holder_of_a_new_kind_is_a_holder(calls_to: CallsTo) -> None:
    """The cloud invents machines; a disk that one of them holds is not free, and not unreadable."""
    holder = {"InstanceId": "e01-cn-xyz"}
    disk = await read_one(calls_to, told_disk(Attachments={"Attachment": [holder]}))

    assert disk.attached_to == {"e01-cn-xyz"}


@pytest.mark.parametrize(
    ("status", "held", "expected"),
    [
        ("Creating", False, DiskState.CREATING), ("Available", False, DiskState.AVAILABLE),
        ("Attaching", False, DiskState.ATTACHING), ("In_use", True, DiskState.IN_USE),
        ("Detaching", True, DiskState.DETACHING), ("Modifying", False, DiskState.AVAILABLE),
        ("Modifying", True, DiskState.IN_USE), ("ReIniting", True, DiskState.IN_USE),
        ("BrandNew", False, DiskState.AVAILABLE), (None, True, DiskState.IN_USE),
    ],
)  # fmt: skip
async def test_a_status_is_read_and_an_unknown_one_follows_the_attachments(
    calls_to: CallsTo, status: str | None, held: bool, expected: DiskState
) -> None:
    """A state that the cloud invents doesn't hide who holds the disk."""
    holders = [{"InstanceId": "i-1"}] if held else []
    answer = told_disk(Status=status, Attachments={"Attachment": holders})

    assert (await read_one(calls_to, answer)).state is expected


async def test_a_status_that_lags_does_not_hide_the_holder(calls_to: CallsTo) -> None:
    """After an attach the cloud still says Available for a moment."""
    answer = told_disk(Status="Available", Attachments={"Attachment": [{"InstanceId": "i-1"}]})

    assert (await read_one(calls_to, answer)).attached_to == {"i-1"}


async def test_a_disk_without_a_serial_has_none(calls_to: CallsTo) -> None:
    """Old disks show none on the machine; inventing one would find another disk."""
    assert not (await read_one(calls_to, told_disk(SerialNumber=""))).serial


async def test_numbers_may_come_as_text(calls_to: CallsTo) -> None:
    """The API has done so."""
    assert (await read_one(calls_to, told_disk(Size="20"))).size_gib == 20


@pytest.mark.parametrize(
    "body",
    [
        {"Disks": {"Disk": [{"DiskId": "d-1"}]}},
        {"Disks": {"Disk": [{"Size": 20}]}},
        {"Disks": {"Disk": [{"DiskId": "d-1", "Size": "big"}]}},
        {"Disks": {"Disk": [None]}},
        {"Disks": ["d-1"]},
        {"Disks": {"Disk": [{"DiskId": "d-1", "Size": 1, "Attachments": {"Attachment": [{}]}}]}},
        {"Disks": {"Disk": [{"DiskId": "d-1", "Size": 1, "Tags": {"Tag": ["a"]}}]}},
    ],
)
async def test_an_odd_disk_makes_the_read_fail_and_not_the_disk_absent(
    calls_to: CallsTo, body: dict[str, object]
) -> None:
    """Absence is success for a delete, so it is never concluded from what can't be read."""
    async with scripted([Answer(body=body)]) as api:
        cloud = EcsCloud(calls=calls_to(api.url), region=REGION, cluster_id="")
        with pytest.raises(Unreachable, match="can't be read"):
            await cloud.get_disks([VolumeId("d-1")])


@pytest.mark.parametrize(
    ("node_id", "zone"),
    [(NODE, "cn-hangzhou-g"), (ELSEWHERE, "cn-hangzhou-h")],
)
async def test_a_machine_tells_its_zone(ecs: EcsCloud, node_id: NodeId, zone: str) -> None:
    """Its place decides which disks it takes."""
    node = await ecs.get_node(node_id)

    assert node is not None
    assert node.zone == zone


@pytest.mark.parametrize("node_id", ["i-bp1nowhere", "worker-1", "", "i-"])
async def test_an_unknown_machine_is_none(ecs: EcsCloud, node_id: str) -> None:
    """Absent and malformed ids are one."""
    assert await ecs.get_node(NodeId(node_id)) is None


async def test_a_lost_answer_to_a_read_is_asked_for_again(ecs: EcsCloud, world: Cloud) -> None:
    """Nobody notices."""
    world.faults.add(Fault(action="DescribeDisks", kind="lose_reply"))

    assert list(await ecs.find_disks("pvc-1")) == []


async def test_the_check_is_one_read(ecs: EcsCloud, world: Cloud) -> None:
    """It proves endpoint, key and right, and costs next to nothing."""
    await ecs.check()

    assert [call.action for call in world.calls.since(0)] == ["DescribeDisks"]


async def test_the_check_fails_when_the_key_is_refused(ecs: EcsCloud, world: Cloud) -> None:
    """Readiness says so before a volume does."""
    world.auth.replace_keys({})
    with pytest.raises(Unreachable, match="InvalidAccessKeyId"):
        await ecs.check()


async def test_a_restored_disk_names_its_snapshot(calls_to: CallsTo) -> None:
    """A repeat of the request compares it."""
    disk = await read_one(calls_to, told_disk(SourceSnapshotId="s-1"))

    assert disk.source_snapshot_id == "s-1"


@pytest.mark.parametrize("members", [{}, {"Encrypted": False}, {"Encrypted": None}])
async def test_a_plain_disk_does_not_fit_a_class_that_encrypts(
    calls_to: CallsTo, members: dict[str, object]
) -> None:
    """Data that must be encrypted is never put on a plain disk that happens to have the name."""
    disk = await read_one(calls_to, told_disk(Category="cloud_ssd", **members))
    wanted = volume_parameters({"type": "cloud_ssd", "encrypted": "true"})

    assert wanted.mismatch(disk) == "it is not encrypted"


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({"encrypted": "true"}, True), ({"encrypted": "true", "kmsKeyId": "key-1"}, True),
        ({"encrypted": "true", "kmsKeyId": "key-2"}, False), ({}, True),
    ],
)  # fmt: skip
async def test_an_encrypted_disk_fits_by_its_key(
    calls_to: CallsTo, given: dict[str, str], fits: bool
) -> None:
    """An account may encrypt every disk, so encryption that nobody asked for is no misfit."""
    answer = told_disk(Category="cloud_ssd", Encrypted=True, KMSKeyId="key-1")
    disk = await read_one(calls_to, answer)

    assert (volume_parameters({"type": "cloud_ssd", **given}).mismatch(disk) == "") is fits
