from __future__ import annotations

import pytest
from account import I1, Account, account


def told(*ids: str, **tags: str) -> dict[str, str]:
    """A request about disks."""
    asked = {f"ResourceId.{number}": one for number, one in enumerate(ids, start=1)}
    for number, (key, value) in enumerate(tags.items(), start=1):
        asked |= {f"Tag.{number}.Key": key, f"Tag.{number}.Value": value}
    return {"ResourceType": "disk", **asked}


async def tags(lab: Account, disk_id: str) -> dict[str, str]:
    """The disk's tags as a search shows them."""
    shown = await lab.disk(disk_id)
    return {one["TagKey"]: one["TagValue"] for one in shown["Tags"]["Tag"]}


async def test_tags_are_added_and_replaced() -> None:
    """On every disk of the request; others keep theirs."""
    lab = account()
    first, second = await lab.creates({"Tag.1.Key": "a", "Tag.1.Value": "1"}), await lab.creates()
    await lab.call("TagResources", told(first, second, a="2", b="3"))
    assert [await tags(lab, one) for one in (first, second)] == [{"a": "2", "b": "3"}] * 2


async def test_tags_are_taken_off() -> None:
    """A key that is not there is fine."""
    lab = account()
    disk_id = await lab.creates({"Tag.1.Key": "a", "Tag.2.Key": "b"})
    await lab.call("UntagResources", {**told(disk_id), "TagKey.1": "a", "TagKey.2": "none"})
    assert await tags(lab, disk_id) == {"b": ""}


async def test_all_tags_are_taken_off_at_once() -> None:
    """Where it is asked for."""
    lab = account()
    disk_id = await lab.creates({"Tag.1.Key": "a", "Tag.2.Key": "b"})
    await lab.call("UntagResources", {**told(disk_id), "All": "true"})
    assert await tags(lab, disk_id) == {}


async def test_tags_are_listed_by_resource() -> None:
    """One record for each tag; the kind of resource is taken in any case."""
    lab = account()
    asked = {"ResourceType": "Instance", "ResourceId.1": I1, "Tag.1.Key": "a"}
    await lab.call("TagResources", asked)
    answer = await lab.call("ListTagResources", {"ResourceType": "instance", "ResourceId.1": I1})
    assert answer["TagResources"]["TagResource"] == [
        {"ResourceId": I1, "ResourceType": "instance", "TagKey": "a", "TagValue": ""}
    ]


MANY = {f"k{number}": "" for number in range(21)}


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"RegionId": None}, "404 MissingParameter.RegionId"),
        ({"ResourceType": None}, "404 MissingParameter.ResourceType"),
        ({"ResourceId.1": None}, "404 MissingParameter.ResourceIds"),
        ({"Tag.1.Key": None, "Tag.1.Value": None}, "404 MissingParameter.Tags"),
        ({"ResourceType": "planet"}, "404 InvalidResourceType.NotFound"),
        ({"ResourceId.1": "d-none"}, "404 InvalidResourceId.NotFound"),
        ({f"ResourceId.{n}": f"d-{n}" for n in range(1, 52)}, "400 NumberExceed.ResourceIds"),
        (told(**MANY), "400 NumberExceed.Tags"),
        ({"Tag.2.Key": "a"}, "400 Duplicate.TagKey"),
        ({"Tag.1.Key": "aliyun-x"}, "400 InvalidTagKey.Malformed"),
    ],
)
async def test_a_bad_request_for_tags_is_refused(change: dict[str, str], answer: str) -> None:
    """Each flaw has its code, and nothing is tagged."""
    lab = account()
    disk_id = await lab.creates()
    assert await lab.refused("TagResources", {**told(disk_id, a="1"), **change}) == answer
    assert await tags(lab, disk_id) == {}


async def test_a_disk_has_twenty_tags_at_most() -> None:
    """Those it has count as well."""
    lab = account()
    disk_id = await lab.creates({"Tag.1.Key": "first"})
    twenty = dict(list(MANY.items())[:20])
    answer = await lab.refused("TagResources", told(disk_id, **twenty))
    assert answer == "403 QuotaExceed.Tags"


@pytest.mark.parametrize(
    ("action", "asked", "answer"),
    [
        ("UntagResources", {"TagKey.1": "a", "All": "true"}, "403 Param.Conflict"),
        ("ListTagResources", {"ResourceId.1": ""}, "403 BothEmpty.TagsAndResources"),
    ],
)
async def test_a_contradiction_is_refused(action: str, asked: dict[str, str], answer: str) -> None:
    """What can't be meant has its code."""
    lab = account()
    assert await lab.refused(action, {**told(await lab.creates()), **asked}) == answer


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"Tag.1.Key": "a", "Tag.1.Value": "1"}, [("a", "1")]),
        ({"Tag.1.Key": "a"}, [("a", "1")]),
        ({"Tag.1.Key": "a", "Tag.1.Value": "2"}, []),
    ],
)
async def test_tags_are_listed_by_what_they_are(
    wanted: dict[str, str], found: list[tuple[str, str]]
) -> None:
    """By key and value, or by the key alone."""
    here = account()
    await here.creates({"Tag.1.Key": "a", "Tag.1.Value": "1", "Tag.2.Key": "b"})
    answer = await here.call("ListTagResources", wanted, ResourceType="disk")
    listed = answer["TagResources"]["TagResource"]
    assert [(one["TagKey"], one["TagValue"]) for one in listed] == found
