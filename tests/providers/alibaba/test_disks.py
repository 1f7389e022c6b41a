from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest
from mockcloud.app import Cloud, serving
from mockcloud.engine.world import default_world
from mockcloud.faults import Fault

from diskcsi.model.errors import (
    AlreadyExists,
    Denied,
    DiskError,
    Exhausted,
    InUse,
    InvalidArgument,
    NotFound,
    OutOfRange,
    Pending,
    Throttled,
    UnknownOutcome,
    WrongState,
)
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.parameters import VolumeParameters
from diskcsi.providers.alibaba.calls import Calls
from diskcsi.providers.alibaba.cloud import EcsCloud
from diskcsi.providers.alibaba.credentials import Credentials, StaticCredentials
from diskcsi.providers.alibaba.disks import NAME_TAG
from diskcsi.providers.alibaba.parameters import volume_parameters
from tests.providers.alibaba.support import (
    ABSENT,
    ELSEWHERE,
    NEIGHBOUR,
    NODE,
    REGION,
    Answer,
    disk_spec,
    scripted,
    sent,
)

CallsTo = Callable[..., Calls]


async def test_a_creation_without_an_id_in_the_answer_has_an_unknown_outcome(
    calls_to: CallsTo,
) -> None:
    """The disk was accepted; a look for its name will tell which it is."""
    async with scripted([Answer(body={"RequestId": "R-1"})]) as api:
        cloud = EcsCloud(calls=calls_to(api.url), region=REGION, cluster_id="")
        with pytest.raises(UnknownOutcome):
            await cloud.create_disk(disk_spec())


async def test_a_disk_carries_the_tags_that_others_look_for(ecs: EcsCloud, world: Cloud) -> None:
    """The cluster's tools and the Go driver find the driver's disks by them."""
    labels = {
        "csi.storage.k8s.io/pvc/name": "data", "csi.storage.k8s.io/pvc/namespace": "shop",
        "csi.storage.k8s.io/pv/name": "pv-1", "csi.storage.k8s.io/other": "not told",
    }  # fmt: skip
    class_ = {"type": "cloud_essd", "diskTags": "team:shop"}
    volume_id = await ecs.create_disk(disk_spec(given=class_, labels=labels))

    assert world.engine.disks[volume_id].tags == {
        "team": "shop", NAME_TAG: "pvc-1", "k8s.aliyun.com": "true",
        "createdby": "alibabacloud-csi-plugin", "ack.aliyun.com": "c-1",
        "csi.storage.k8s.io/pvc/name": "data", "csi.storage.k8s.io/pvc/namespace": "shop",
        "csi.storage.k8s.io/pv/name": "pv-1",
    }  # fmt: skip


async def test_the_order_of_a_class_does_not_change_the_request(ecs: EcsCloud) -> None:
    """The cloud compares a repeated request by its text, tags in their order included."""
    one = disk_spec(given={"type": "cloud_essd", "diskTags": "a:1,b:2", "diskTags/c": "3"})
    other = disk_spec(given={"diskTags/c": "3", "diskTags": "b:2,a:1", "type": "cloud_essd"})

    assert await ecs.create_disk(one) == await ecs.create_disk(other)


async def test_more_tags_than_a_disk_takes_are_refused_before_the_cloud_is_asked(
    ecs: EcsCloud, world: Cloud
) -> None:
    """The message says how many the class may give."""
    class_ = {"type": "cloud_essd", **{f"diskTags/{number}": "x" for number in range(17)}}
    with pytest.raises(InvalidArgument, match="gives 17 tags; beside the driver's own 16"):
        await ecs.create_disk(disk_spec(given=class_))

    assert sent(world, "CreateDisk") == []


async def test_the_name_of_a_claim_that_is_longer_than_a_tag_is_cut(
    ecs: EcsCloud, world: Cloud
) -> None:
    """It is told for people; no volume fails for it."""
    labels = {"csi.storage.k8s.io/pvc/name": "x" * 253}
    volume_id = await ecs.create_disk(disk_spec(labels=labels))

    assert world.engine.disks[volume_id].tags["csi.storage.k8s.io/pvc/name"] == "x" * 128


async def test_a_name_that_no_tag_can_carry_is_refused(ecs: EcsCloud, world: Cloud) -> None:
    """Cut short it would never be found again, and a repeat would make another disk."""
    with pytest.raises(InvalidArgument, match="more than 128 characters"):
        await ecs.create_disk(disk_spec("x" * 129))

    assert sent(world, "CreateDisk") == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [("pvc-1", "pvc-1"), ("d" * 128, "d" * 128), ("1st", ""), ("数据卷", ""), ("x", ""),
     ("a b", ""), ("a/b", "")],
)  # fmt: skip
async def test_a_disk_is_named_where_the_name_is_allowed(
    ecs: EcsCloud, world: Cloud, name: str, shown: str
) -> None:
    """A name that the cloud would refuse stands in the tag alone."""
    volume_id = await ecs.create_disk(disk_spec(name))

    assert world.engine.disks[volume_id].name == shown


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "cloud_ssd"}, {"DiskCategory": "cloud_ssd"}),
        ({"type": "cloud_essd", "performanceLevel": "PL0"}, {"PerformanceLevel": "PL0"}),
        ({"type": "cloud_essd", "encrypted": "yes", "kmsKeyId": "key-9"},
         {"Encrypted": "true", "KMSKeyId": "key-9"}),
        ({"type": "cloud_essd", "multiAttach": "true"}, {"MultiAttach": "Enabled"}),
        ({"type": "cloud_auto", "provisionedIops": "100", "burstingEnabled": "false"},
         {"ProvisionedIops": "100", "BurstingEnabled": "false"}),
        ({"type": "cloud_essd", "resourceGroupId": "rg-1"}, {"ResourceGroupId": "rg-1"}),
        ({"type": "cloud_essd", "performanceLevel": "PL1", "storageClusterId": "dbsc-1"},
         {"StorageClusterId": "dbsc-1"}),
    ],
)  # fmt: skip
async def test_a_class_is_carried_out(
    ecs: EcsCloud, world: Cloud, given: dict[str, str], expected: dict[str, str]
) -> None:
    """Each key becomes the parameter that it stands for."""
    await ecs.create_disk(disk_spec(given=given))

    call = sent(world, "CreateDisk")[0]
    assert {name: call[name] for name in expected} == expected


@pytest.mark.parametrize(
    "name",
    ["PerformanceLevel", "Encrypted", "KMSKeyId", "MultiAttach", "ProvisionedIops",
     "BurstingEnabled", "SnapshotId", "ResourceGroupId"],
)  # fmt: skip
async def test_what_a_class_does_not_say_is_left_to_the_cloud(
    ecs: EcsCloud, world: Cloud, name: str
) -> None:
    """Its own defaults hold, and categories refuse parameters of others."""
    given = {
        "type": "cloud_ssd",
        "provisionedIops": "9",
        "burstingEnabled": "true",
        "kmsKeyId": "k",
    }
    await ecs.create_disk(disk_spec(given=given))

    assert name not in sent(world, "CreateDisk")[0]


async def test_a_class_of_another_provider_is_refused(ecs: EcsCloud) -> None:
    """Its keys mean nothing here."""
    with pytest.raises(InvalidArgument, match="another provider"):
        await ecs.create_disk(
            disk_spec(parameters=VolumeParameters(kinds=volume_parameters({}).kinds))
        )


async def test_the_same_request_gives_the_same_disk(ecs: EcsCloud, world: Cloud) -> None:
    """The token is made of the name, so a repeat is known for one."""
    assert await ecs.create_disk(disk_spec()) == await ecs.create_disk(disk_spec())
    assert len(world.engine.disks) == 1


async def test_another_request_for_the_name_is_told(ecs: EcsCloud) -> None:
    """The rules then read what is there and compare."""
    await ecs.create_disk(disk_spec())
    with pytest.raises(AlreadyExists):
        await ecs.create_disk(disk_spec(size_gib=40))


async def test_a_later_attempt_is_another_request(ecs: EcsCloud) -> None:
    """Its forerunner's token was spent on a request that made nothing."""
    assert await ecs.create_disk(disk_spec()) != await ecs.create_disk(disk_spec(attempt=1))


async def test_an_unknown_snapshot_is_not_found(ecs: EcsCloud) -> None:
    """There is nothing to restore."""
    with pytest.raises(NotFound):
        await ecs.create_disk(disk_spec(snapshot_id=SnapshotId("s-bp1000000000000000zz")))


async def test_a_sold_out_category_is_exhausted(calls_to: CallsTo) -> None:
    """Nothing was made, so another place or kind can be tried."""
    config = replace(default_world(), sold_out=frozenset({"cn-hangzhou-g/cloud_essd"}))
    key = StaticCredentials(Credentials(key_id=config.keys[0].id, secret=config.keys[0].secret))
    async with serving(config=config, latencies={}) as world:
        calls = calls_to(f"http://127.0.0.1:{world.port}", credentials=key)
        cloud = EcsCloud(calls=calls, region=REGION, cluster_id="")
        with pytest.raises(Exhausted):
            await cloud.create_disk(disk_spec())


async def test_a_size_that_is_not_sold_is_out_of_range(ecs: EcsCloud) -> None:
    """The cloud has the last word on sizes."""
    with pytest.raises(OutOfRange):
        await ecs.create_disk(disk_spec(given={"type": "cloud_ssd"}, size_gib=10))


async def test_an_attached_disk_tells_its_machine(ecs: EcsCloud) -> None:
    """A read after the attach proves it."""
    volume_id = await ecs.create_disk(disk_spec())
    await ecs.attach_disk(volume_id, NODE)

    assert (await ecs.get_disks([volume_id]))[volume_id].attached_to == {NODE}


@pytest.mark.parametrize(
    ("node_id", "expected"),
    [(ELSEWHERE, WrongState), (NodeId("i-bp1nowhere"), NotFound), (NodeId("worker-1"), NotFound)],
)
async def test_an_attach_that_can_not_be_is_refused(
    ecs: EcsCloud, node_id: NodeId, expected: type[DiskError]
) -> None:
    """Another zone, an unknown machine, and a name that is no machine's id."""
    volume_id = await ecs.create_disk(disk_spec())
    with pytest.raises(DiskError) as caught:
        await ecs.attach_disk(volume_id, node_id)

    assert type(caught.value) is expected


async def test_a_held_disk_is_never_taken(ecs: EcsCloud, world: Cloud) -> None:
    """The cloud refuses, and the disk stays where it is."""
    volume_id = await ecs.create_disk(disk_spec())
    await ecs.attach_disk(volume_id, NODE)
    with pytest.raises(InUse):
        await ecs.attach_disk(volume_id, NEIGHBOUR)

    assert (await ecs.get_disks([volume_id]))[volume_id].attached_to == {NODE}


async def test_a_detached_disk_is_free(ecs: EcsCloud) -> None:
    """A read after the detach proves it."""
    volume_id = await ecs.create_disk(disk_spec())
    await ecs.attach_disk(volume_id, NODE)
    await ecs.detach_disk(volume_id, NODE)

    assert (await ecs.get_disks([volume_id]))[volume_id].attached_to == frozenset()


@pytest.mark.parametrize("holder", [None, NEIGHBOUR])
async def test_detaching_from_a_machine_that_does_not_hold_it_is_a_wrong_state(
    ecs: EcsCloud, holder: NodeId | None
) -> None:
    """Free or held by another: nothing is detached, and the rules read which it is."""
    volume_id = await ecs.create_disk(disk_spec())
    if holder:
        await ecs.attach_disk(volume_id, holder)
    with pytest.raises(WrongState):
        await ecs.detach_disk(volume_id, NODE)


async def test_a_deleted_disk_is_absent(ecs: EcsCloud) -> None:
    """It is gone at once."""
    volume_id = await ecs.create_disk(disk_spec())
    await ecs.delete_disk(volume_id)

    assert await ecs.get_disks([volume_id]) == {}


async def test_a_held_disk_is_not_deleted(ecs: EcsCloud) -> None:
    """In use is told as such."""
    volume_id = await ecs.create_disk(disk_spec())
    await ecs.attach_disk(volume_id, NODE)
    with pytest.raises(InUse):
        await ecs.delete_disk(volume_id)


@pytest.mark.parametrize("volume_id", [ABSENT, VolumeId("pvc-1"), VolumeId("")])
@pytest.mark.parametrize(
    "change",
    [lambda cloud, one: cloud.delete_disk(one), lambda cloud, one: cloud.resize_disk(one, 30),
     lambda cloud, one: cloud.attach_disk(one, NODE), lambda cloud, one: cloud.detach_disk(one, NODE)],
    ids=["delete", "resize", "attach", "detach"],
)  # fmt: skip
async def test_an_absent_or_malformed_id_is_not_found(
    ecs: EcsCloud, volume_id: VolumeId, change: Callable[[EcsCloud, VolumeId], Any]
) -> None:
    """Both stand for nothing; a malformed one is not even asked for."""
    with pytest.raises(NotFound):
        await change(ecs, volume_id)


async def test_a_grown_disk_tells_its_size(ecs: EcsCloud) -> None:
    """Detached or held, it grows while everything runs."""
    volume_id = await ecs.create_disk(disk_spec())
    await ecs.resize_disk(volume_id, 30)

    assert (await ecs.get_disks([volume_id]))[volume_id].size_gib == 30


async def test_growing_to_the_size_it_has_is_no_last_word(ecs: EcsCloud) -> None:
    """An earlier call may have grown it already; a read will tell."""
    volume_id = await ecs.create_disk(disk_spec())
    with pytest.raises(Pending):
        await ecs.resize_disk(volume_id, 20)


async def test_a_lost_reply_to_a_creation_is_an_unknown_outcome(
    ecs: EcsCloud, world: Cloud
) -> None:
    """The disk exists, and nobody was told."""
    world.faults.add(Fault(action="CreateDisk", kind="lose_reply"))
    with pytest.raises(UnknownOutcome):
        await ecs.create_disk(disk_spec())

    assert len(await ecs.find_disks("pvc-1")) == 1


async def test_a_denied_call_names_the_right_that_is_missing(ecs: EcsCloud, world: Cloud) -> None:
    """The cloud's own word on it reaches the person who can grant it."""
    key = default_world().keys[0]
    world.auth.replace_keys({key.id: replace(key, denied=frozenset({"CreateDisk"}))})
    with pytest.raises(Denied) as caught:
        await ecs.create_disk(disk_spec())

    assert caught.value.hint == "grant the RAM action ecs:CreateDisk to the driver's user"


async def test_a_throttled_creation_made_nothing(ecs: EcsCloud, world: Cloud) -> None:
    """It was refused for its rate alone."""
    world.faults.add(Fault(action="CreateDisk", kind="throttle"))
    with pytest.raises(Throttled):
        await ecs.create_disk(disk_spec())

    assert list(await ecs.find_disks("pvc-1")) == []


async def test_no_call_tells_anything_in_its_url(ecs: EcsCloud, world: Cloud) -> None:
    """From the first creation to the last read, the cloud's log of addresses holds a slash."""
    volume_id = await ecs.create_disk(disk_spec())
    await ecs.attach_disk(volume_id, NODE)
    await ecs.get_disks([volume_id])

    assert {call.target for call in world.calls.since(0)} == {"/"}


def _form(text: str) -> dict[str, str]:
    return dict(parse_qsl(text))


async def test_the_token_of_a_creation_is_made_of_the_name(calls_to: CallsTo) -> None:
    """Another process, and the Go driver, derive the same one."""
    async with scripted([Answer(body={"DiskId": "d-1"})]) as api:
        cloud = EcsCloud(calls=calls_to(api.url), region=REGION, cluster_id="")
        await cloud.create_disk(disk_spec("pvc-7"))

    assert _form(api.forms[0])["ClientToken"] == "n:pvc-7"
