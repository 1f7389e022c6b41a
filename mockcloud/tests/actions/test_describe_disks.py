from __future__ import annotations

import json
from typing import Any

import pytest
from account import I1, I2, Account, H, account
from mockcloud.engine.clock import utc


async def disks(lab: Account, count: int) -> list[str]:
    """New disks' ids."""
    return [await created(lab) for _ in range(count)]


async def created(lab: Account, told: dict[str, str] | None = None) -> str:
    """The id of a disk that is being made."""
    usual = {"ZoneId": "cn-hangzhou-g", "Size": 20, "DiskCategory": "cloud_essd"}
    return str((await lab.call("CreateDisk", {**usual, **(told or {})}))["DiskId"])


async def listed(lab: Account, told: dict[str, Any]) -> list[str]:
    """The ids that a search lists."""
    answer = await lab.call("DescribeDisks", told)
    return [disk["DiskId"] for disk in answer["Disks"]["Disk"]]


async def test_row_19_an_empty_list_of_ids_matches_nothing() -> None:
    """It is a filter, not the absence of one."""
    lab = account()
    await disks(lab, 3)
    answer = await lab.call("DescribeDisks", DiskIds="[]")
    assert answer["Disks"] == {"Disk": []}


async def test_row_20_more_than_a_hundred_ids_are_refused() -> None:
    """The hundred and first is too many."""
    lab = account()
    ids = json.dumps([f"d-{number}" for number in range(101)])
    answer = await lab.refused("DescribeDisks", DiskIds=ids)
    assert answer == "403 InvalidDiskIds.Malformed"


async def test_row_20_unknown_ids_are_silently_absent() -> None:
    """Of a hundred ids the sixty that exist are answered."""
    lab = account()
    ids = await disks(lab, 60) + [f"d-{number}" for number in range(40)]
    assert len(await listed(lab, {"DiskIds": json.dumps(ids), "PageSize": 100})) == 60


@pytest.mark.parametrize("text", ["d-1,d-2", '"d-1"', "{}", "[1]"])
async def test_row_21_ids_that_are_no_json_list_are_refused(text: str) -> None:
    """A comma list is not one."""
    lab = account()
    answer = await lab.refused("DescribeDisks", DiskIds=text)
    assert answer == "400 InvalidParameter.DiskIds"


async def test_row_22_pages_by_token_hold_ten_at_least() -> None:
    """A smaller size is moved to ten without a word, and the last page has no token."""
    lab = account()
    await disks(lab, 25)
    sizes, token = [], ""
    while True:
        answer = await lab.call("DescribeDisks", MaxResults=5, NextToken=token)
        sizes.append(len(answer["Disks"]["Disk"]))
        token = answer["NextToken"]
        if not token:
            break
    assert sizes == [10, 10, 5]


async def test_row_23_pages_by_token_hold_five_hundred_at_most() -> None:
    """A larger size is moved to it without a word."""
    lab = account(writes_per_minute=0)
    await disks(lab, 600)
    assert len(await listed(lab, {"MaxResults": 1000})) == 500


@pytest.mark.parametrize(("number", "found"), [(2, 10), (3, 5), (9, 0)])
async def test_row_24_pages_by_number_know_the_total(number: int, found: int) -> None:
    """A page past the end is empty, and tells the total all the same."""
    lab = account()
    await disks(lab, 25)
    answer = await lab.call("DescribeDisks", PageNumber=number, PageSize=10)
    told = (len(answer["Disks"]["Disk"]), answer["TotalCount"], answer["PageNumber"])
    assert told == (found, 25, number)


async def test_pages_by_number_never_skip_or_repeat() -> None:
    """The newest comes first, and all come once."""
    lab = account()
    ids = await disks(lab, 25)
    seen = []
    for number in (1, 2, 3):
        seen += await listed(lab, {"PageNumber": number, "PageSize": 10})
    assert seen == ids[::-1]


async def test_row_25_tags_are_anded_and_a_key_alone_takes_any_value() -> None:
    """Only the disk with both tags is found."""
    lab = account()
    one = {"Tag.1.Key": "a", "Tag.1.Value": "1"}
    both = await created(lab, {**one, "Tag.2.Key": "b", "Tag.2.Value": "2"})
    await created(lab, one)
    await created(lab, {"Tag.1.Key": "a", "Tag.1.Value": "9", "Tag.2.Key": "b"})
    assert await listed(lab, {**one, "Tag.2.Key": "b"}) == [both]


async def test_row_25_tags_are_shown_under_their_long_names() -> None:
    """They are asked for as Key and answered as TagKey."""
    lab = account()
    shown = await lab.disk(await created(lab, {"Tag.1.Key": "a", "Tag.1.Value": "1"}))
    assert shown["Tags"] == {"Tag": [{"TagKey": "a", "TagValue": "1"}]}


@pytest.mark.parametrize(
    "filter_",
    [
        {"ZoneId": H},
        {"Category": "cloud_auto"},
        {"DiskName": "one"},
        {"Encrypted": "True"},
        {"MultiAttach": "Enabled"},
        {"PerformanceLevel": "PL0"},
    ],
    ids=lambda filter_: next(iter(filter_)),
)
async def test_a_filter_finds_what_it_names(filter_: dict[str, str]) -> None:
    """The plain disk is left out, the other one is found."""
    lab = account()
    await created(lab)
    asked = {"DiskCategory": filter_.get("Category", "cloud_essd")} | filter_
    asked.pop("Category", None)
    other = await created(lab, asked)
    assert await listed(lab, filter_) == [other]


async def test_a_filter_by_instance_finds_what_it_holds() -> None:
    """A disk elsewhere is left out."""
    lab = account()
    held, other = await lab.creates(), await lab.creates()
    await lab.holds(held, I1)
    await lab.holds(other, I2)
    assert await listed(lab, {"InstanceId": I1}) == [held]


@pytest.mark.parametrize(
    ("filter_", "answer"),
    [
        ({"RegionId": ""}, "400 MissingParamter.RegionId"),
        ({"RegionId": "mars"}, "400 InvalidRegion.NotFound"),
        ({"Status": "Gone"}, "400 InvalidDiskStatus.ValueNotSupported"),
        ({"Category": "tape"}, "400 InvalidDiskCategory.ValueNotSupported"),
        ({"DiskType": "odd"}, "400 InvalidDiskType.ValueNotSupported"),
        ({"NextToken": "odd"}, "403 Invalid.NextToken"),
        ({"PageSize": "ten"}, "400 InvalidParameter"),
    ],
)
async def test_a_bad_filter_is_refused(filter_: dict[str, str], answer: str) -> None:
    """Each has its code, misspelled ones as the cloud spells them."""
    lab = account()
    assert await lab.refused("DescribeDisks", filter_) == answer


@pytest.mark.parametrize("action", ["DescribeDisks", "DescribeSnapshots", "DescribeInstances"])
async def test_a_trial_that_would_succeed_is_an_error(action: str) -> None:
    """The real cloud has it so."""
    assert await account().refused(action, DryRun="true") == "400 DryRunOperation"


async def test_a_trial_that_would_fail_fails_as_without_it() -> None:
    """The checks come first."""
    answer = await account().refused("DescribeDisks", DryRun="true", RegionId="mars")
    assert answer == "400 InvalidRegion.NotFound"


@pytest.mark.parametrize(("asked", "told"), [("Placement", True), ("Other", False)])
async def test_where_a_regional_disk_may_go_is_told_on_request(asked: str, *, told: bool) -> None:
    """Every zone of the region, one on a line."""
    lab = account()
    await created(lab, {"DiskCategory": "cloud_regional_disk_auto", "ZoneId": ""})
    answer = await lab.call("DescribeDisks", {"AdditionalAttributes.1": asked})
    wanted = {"ZoneIds": "cn-hangzhou-g\ncn-hangzhou-h"} if told else None
    assert answer["Disks"]["Disk"][0].get("Placement") == wanted


@pytest.mark.parametrize(
    ("key", "later_s", "found"),
    [
        ("CreationStartTime", -120, True),
        ("CreationStartTime", 120, False),
        ("CreationEndTime", -120, False),
        ("CreationEndTime", 120, True),
    ],
)
async def test_disks_are_found_by_when_they_were_made(
    key: str, later_s: int, *, found: bool
) -> None:
    """From a minute on, and up to one."""
    lab = account()
    disk_id = await created(lab)
    when = f"{utc(lab.clock.time() + later_s):%Y-%m-%dT%H:%MZ}"
    seen = await listed(lab, {"Filter.1.Key": key, "Filter.1.Value": when})
    assert seen == ([disk_id] if found else [])


@pytest.mark.parametrize(
    ("key", "value", "answer"),
    [
        ("Colour", "red", "404 InvalidFilterKey.NotFound"),
        ("CreationEndTime", "today", "404 InvalidFilterValue"),
    ],
)
@pytest.mark.parametrize("action", ["DescribeDisks", "DescribeSnapshots"])
async def test_an_unknown_filter_is_refused(action: str, key: str, value: str, answer: str) -> None:
    """Nobody is shown more than was asked for."""
    told = {"Filter.1.Key": key, "Filter.1.Value": value}
    assert await account().refused(action, told) == answer


@pytest.mark.parametrize(("knob", "there"), [("empty", True), ("omitted", False)])
async def test_what_a_disk_lacks_is_an_empty_text_or_left_out(knob: str, *, there: bool) -> None:
    """Both were seen; clients must bear either."""
    lab = account(unset_fields=knob)
    disk = await lab.disk(await lab.creates())
    lacking = {"InstanceId", "Device", "DetachedTime", "KMSKeyId", "DiskName"}
    assert (lacking <= disk.keys(), lacking.isdisjoint(disk)) == (there, not there)
    assert disk["Portable"] is True
