"""Making, finding, growing and deleting disks, by the rows of the acceptance table.

Rows of calls that this mock does not serve are left out: 56 (ModifyDiskSpec), 59 (DeleteInstance)
and the second half of 15 (DescribeAvailableResource).
"""

import asyncio
from typing import Any

import pytest
from account import G, H, account
from mockcloud.engine.catalog import provisioned_iops_limit
from mockcloud.errors import ApiError
from mockcloud.hypervisor.base import NoHypervisor

ESSD = {"ZoneId": G, "Size": 20, "DiskCategory": "cloud_essd"}


async def test_row_1_a_disk_is_creating_then_available() -> None:
    """The answer comes before the disk is ready."""
    here = account()
    disk_id = (await here.call("CreateDisk", ESSD))["DiskId"]
    before = await here.status(disk_id)
    await here.passes(5)
    assert (before, await here.status(disk_id)) == ("Creating", "Available")


async def test_row_1_an_id_has_the_form_of_its_region() -> None:
    """The kind, the region's three characters, and twenty in all."""
    disk_id = await account().creates()
    assert disk_id.startswith("d-bp1")
    assert len(disk_id) == len("d-") + 20


async def test_row_1_a_disk_shows_what_was_not_asked_for_too() -> None:
    """Defaults have their values, texts without one are empty, and speeds follow the size."""
    here = account()
    disk = await here.disk(await here.creates())
    assert disk["SerialNumber"] == disk["DiskId"].removeprefix("d-")
    shown = {
        "Portable": True, "DeleteWithInstance": False, "DeleteAutoSnapshot": True, "Size": 20,
        "PerformanceLevel": "PL1", "Type": "data", "DiskChargeType": "PostPaid",
        "MultiAttach": "Disabled", "IOPS": 2800, "Throughput": 130, "InstanceId": "", "Device": "",
        "DetachedTime": "", "AttachedTime": "", "KMSKeyId": "", "BdfId": "", "DiskName": "",
        "ExpiredTime": "2999-09-08T16:00Z", "Tags": {"Tag": []},
        "OperationLocks": {"OperationLock": []}, "MountInstances": {"MountInstance": []},
    }  # fmt: skip
    assert {name: disk[name] for name in shown} == shown


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        pytest.param({"ZoneId": ""}, "400 MissingParameter", id="row_2_no_zone"),
        pytest.param({"Size": ""}, "400 MissingParameter", id="row_3_no_size"),
        pytest.param(
            {"DiskCategory": "cloud_efficiency", "Size": 10},
            "400 InvalidDiskSize.NotSupported",
            id="row_4_too_small",
        ),
        pytest.param(
            {"DiskCategory": "cloud_auto", "Size": 70000},
            "403 InvalidDataDiskSize.ValueNotSupported",
            id="row_4_too_large",
        ),
        pytest.param(
            {"PerformanceLevel": "PL2", "Size": 100},
            "403 OperationDenied.PerformanceLevelNotMatch",
            id="row_5_too_small_for_its_level",
        ),
        pytest.param(
            {"DiskCategory": "cloud_auto", "Size": 3, "ProvisionedIops": 100},
            "400 InvalidProvisionedIops.LimitExceed",
            id="row_6_too_much_provisioned",
        ),
        pytest.param(
            {"ProvisionedIops": 100},
            "400 ProvisionedIopsForDiskCategoryUnsupported",
            id="row_7_category_without_provisioned_iops",
        ),
        pytest.param(
            {"DiskCategory": "cloud_regional_disk_auto"},
            "400 InvalidZoneId.DiskCategoryUnsupported",
            id="row_8_regional_disk_with_zone",
        ),
        pytest.param(
            {f"Tag.{n}.Key": f"k{n}" for n in range(1, 22)},
            "403 QuotaExceed.Tags",
            id="row_17_too_many_tags",
        ),
        pytest.param(
            {"Tag.1.Key": "acs:x"}, "400 InvalidTagKey.Malformed", id="row_17_reserved_key"
        ),
        pytest.param(
            {"Tag.1.Key": "a", "Tag.2.Key": "a"}, "400 Duplicate.TagKey", id="row_17_key_twice"
        ),
        pytest.param({"RegionId": ""}, "400 MissingParameter", id="no_region"),
        pytest.param(
            {"RegionId": "cn-nowhere"}, "404 InvalidRegionId.NotFound", id="unknown_region"
        ),
        pytest.param({"ZoneId": "cn-hangzhou-z"}, "404 InvalidZoneId.NotFound", id="unknown_zone"),
        pytest.param({"DiskName": "1st"}, "400 InvalidDiskName.Malformed", id="bad_name"),
        pytest.param(
            {"Description": "http://x"}, "400 InvalidDescription.Malformed", id="bad_description"
        ),
        pytest.param(
            {"PerformanceLevel": "PL9"}, "400 InvalidPerformanceLevel.Malformed", id="bad_level"
        ),
        pytest.param(
            {"KMSKeyId": "k"}, "400 InvalidParameter.EncryptedIllegal", id="key_without_encryption"
        ),
        pytest.param({"Encrypted": "maybe"}, "400 InvalidParameter", id="odd_boolean"),
        pytest.param(
            {"DiskCategory": "cloud_ssd", "MultiAttach": "Enabled"},
            "403 InvalidParameter.DiskCategoryAndMultiAttachNotMatch",
            id="category_without_multi_attach",
        ),
        pytest.param(
            {"BurstingEnabled": "true"},
            "400 BurstingEnabledForDiskCategoryUnsupported",
            id="category_without_bursting",
        ),
        pytest.param(
            {"DiskCategory": "cloud_auto", "BurstingEnabled": "true", "MultiAttach": "Enabled"},
            "400 BurstingEnabledForMultiAttachDiskUnsupported",
            id="bursting_of_a_shared_disk",
        ),
        pytest.param(
            {"DiskCategory": "cloud_auto", "Size": 3, "BurstingEnabled": "true"},
            "400 InvalidBurstingEnabled.DiskSizeTooSmall",
            id="bursting_of_a_small_disk",
        ),
        pytest.param({"MultiAttach": "Yes"}, "400 InvalidParameter", id="odd_multi_attach"),
        pytest.param(
            {"DiskCategory": "tape"},
            "400 InvalidDataDiskCategory.NotSupported",
            id="unknown_category",
        ),
        pytest.param(
            {"InstanceId": "i-1"},
            "403 InvalidParam.ZoneIdAndInstanceId.Conflict",
            id="zone_and_instance",
        ),
        pytest.param(
            {"InstanceId": "i-1", "ZoneId": ""}, "400 UnsupportedOperation", id="on_an_instance"
        ),
        pytest.param(
            {"SnapshotId": "s-none"}, "404 InvalidSnapshotId.NotFound", id="unknown_snapshot"
        ),
        pytest.param(
            {
                "DiskCategory": "elastic_ephemeral_disk_standard",
                "Size": 64,
                "Encrypted": "true",
            },
            "403 InvalidParameter.EncryptedNotSupported",
            id="encrypted_ephemeral_disk",
        ),
        pytest.param(
            {"Tag.1.Key": "k", "Tag.1.Value": "v" * 129},
            "400 InvalidTagValue.Malformed",
            id="long_tag_value",
        ),
    ],
)
async def test_a_refused_create_makes_nothing(change: dict[str, Any], answer: str) -> None:
    """Each wrong request has its own code, and leaves no disk."""
    here = account()
    assert await here.refused("CreateDisk", {**ESSD, **change}) == answer
    assert await here.count() == 0


@pytest.mark.parametrize(
    ("size_gib", "most"), [(3, 0), (4, 1000), (100, 50000), (2000, 50000), (50, 45700)]
)
def test_row_6_provisioned_iops_have_a_limit_by_size(size_gib: int, most: int) -> None:
    """A thousand a GiB without what is there anyway, and never above fifty thousand."""
    assert provisioned_iops_limit(size_gib) == most


async def test_row_8_a_regional_disk_is_in_no_zone() -> None:
    """It is made without a zone, and shows none."""
    here = account()
    disk_id = await here.creates(DiskCategory="cloud_regional_disk_auto", ZoneId=None)
    assert (await here.disk(disk_id))["ZoneId"] == ""


async def test_row_9_the_same_request_again_gives_the_same_disk() -> None:
    """A token makes a create safe to repeat."""
    here = account()
    first = await here.call("CreateDisk", ESSD, ClientToken="t")
    second = await here.call("CreateDisk", ESSD, ClientToken="t")
    assert (second, await here.count()) == (first, 1)


TWO_TAGS = {"Tag.1.Key": "a", "Tag.2.Key": "b"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"Size": 40}, id="row_10_other_size"),
        pytest.param({"Tag.1.Key": "b", "Tag.2.Key": "a"}, id="row_11_other_order_of_tags"),
    ],
)
@pytest.mark.parametrize("status", [400, 403])
async def test_a_spent_token_fits_no_other_request(change: dict[str, object], status: int) -> None:
    """The request counts as it was sent."""
    here = account(token_mismatch_status=status)
    request = {**ESSD, **TWO_TAGS, "ClientToken": "t"}
    await here.creates(request)
    answer = await here.refused("CreateDisk", {**request, **change})
    assert (answer, await here.count()) == (f"{status} IdempotentParameterMismatch", 1)


async def test_a_token_is_forgotten_after_its_time() -> None:
    """A day later the same token makes another disk."""
    here = account()
    first = await here.creates(ClientToken="t")
    await here.passes(24 * 3600 + 1)
    assert await here.creates(ClientToken="t") != first


class _Slow(NoHypervisor):
    """Makes no disk before it may."""

    def __init__(self) -> None:
        self.asked, self.may = asyncio.Event(), asyncio.Event()

    async def create(self, serial: str, size_gib: int) -> None:
        self.asked.set()
        await self.may.wait()


async def test_row_12_a_token_in_flight_is_refused_and_the_first_call_goes_on() -> None:
    """The second call neither joins nor disturbs the first."""
    slow = _Slow()
    here = account(hypervisor=slow)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(here.call("CreateDisk", ESSD, ClientToken="t"))
        await slow.asked.wait()
        answer = await here.refused("CreateDisk", ESSD, ClientToken="t")
        slow.may.set()
    assert answer == "403 LastTokenProcessing"
    assert first.result()["DiskId"] in here.engine.disks


async def test_row_13_a_failed_create_may_spend_its_token() -> None:
    """Another category with that token is refused, and there is no disk to find."""
    here = account(sold_out=frozenset({f"{G}/cloud_essd"}), token_recorded_on_failure=True)
    await here.refused("CreateDisk", ESSD, ClientToken="t")
    other = {**ESSD, "DiskCategory": "cloud_auto", "ClientToken": "t"}
    answer = await here.refused("CreateDisk", other)
    assert (answer, await here.count()) == ("400 IdempotentParameterMismatch", 0)


async def test_row_13_a_failed_create_leaves_its_token_usable_by_default() -> None:
    """Another category with that token is a new request."""
    here = account(sold_out=frozenset({f"{G}/cloud_essd"}))
    await here.refused("CreateDisk", ESSD, ClientToken="t")
    assert await here.creates(DiskCategory="cloud_auto", ClientToken="t")


@pytest.mark.parametrize("token", ["x" * 65, "盘"])
async def test_row_14_a_token_of_a_wrong_form_is_refused(token: str) -> None:
    """At most 64 characters, all of them ASCII."""
    here = account()
    answer = await here.refused("CreateDisk", ESSD, ClientToken=token)
    assert (answer, await here.count()) == ("403 InvalidClientToken.Malformed", 0)


@pytest.mark.parametrize(
    ("knobs", "answer"),
    [
        ({}, "403 InvalidDataDiskCategory.ValueNotSupported"),
        ({"stockout_code": "OperationDenied.NoStock"}, "403 OperationDenied.NoStock"),
        (
            {"stockout_code": "InvalidDiskCategory.NotSupported"},
            "400 InvalidDiskCategory.NotSupported",
        ),
    ],
)
async def test_row_15_a_category_may_be_sold_out_in_a_zone(
    knobs: dict[str, Any], answer: str
) -> None:
    """The cloud is known to say it in more than one way."""
    here = account(sold_out=frozenset({f"{G}/cloud_essd"}), **knobs)
    assert await here.refused("CreateDisk", ESSD) == answer


async def test_row_15_the_other_zone_still_sells_it() -> None:
    """A zone without stock says nothing of its neighbour."""
    here = account(sold_out=frozenset({f"{G}/cloud_essd"}))
    assert await here.creates(ZoneId=H)


async def test_row_16_a_category_has_a_quota_in_a_zone() -> None:
    """What is used and what is asked for are counted together."""
    here = account(disk_capacity_gib=50)
    await here.creates(Size=40)
    assert await here.refused("CreateDisk", ESSD) == "400 QuotaExceed.DiskCapacity"


async def test_a_disk_that_this_machine_can_not_keep_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cloud has no such limit; an order is to end all the same, and to tell of it."""
    monkeypatch.setattr(NoHypervisor, "fits", lambda _, size_gib: size_gib < 40)
    here = account()
    await here.creates(Size=39)
    with pytest.raises(ApiError, match="its file system takes none of 40 GiB") as refused:
        await here.call("CreateDisk", ESSD, Size=40)
    assert (refused.value.code, len(here.engine.disks)) == ("QuotaExceed.DiskCapacity", 1)


async def test_row_18_a_new_disk_shows_up_a_while_later() -> None:
    """A search may miss a disk that was just made, and never loses it again."""
    here = account(steps={"describe_lag": "2"})
    disk_id = (await here.call("CreateDisk", ESSD))["DiskId"]
    seen = []
    for _ in range(4):
        seen.append(await here.disk(disk_id) is not None)
        await here.passes(1)
    assert seen == [False, False, True, True]


@pytest.mark.parametrize(
    ("category", "level", "size_gib"),
    [
        ("cloud_essd", "PL1", 20),
        ("cloud_essd", "PL1", 65536),
        ("cloud_essd", "PL2", 461),
        ("cloud_auto", "", 1),
        ("cloud_efficiency", "", 32768),
    ],
)
async def test_a_category_sells_its_smallest_and_largest_size(
    category: str, level: str, size_gib: int
) -> None:
    """The bounds belong to what is sold."""
    here = account()
    told = {"DiskCategory": category, "PerformanceLevel": level, "Size": size_gib}
    assert (await here.disk(await here.creates(told)))["Size"] == size_gib
