from __future__ import annotations

import json

import pytest
from account import I1, I2, I3, N1, N2, G, H, account
from mockcloud.engine.world import Machine


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ({}, [I1, I2, I3, N1, N2]),
        ({"InstanceIds": json.dumps([I2, "i-none"])}, [I2]),
        ({"InstanceIds": "[]"}, []),
        ({"ZoneId": H}, [I3]),
        ({"Status": "Stopped"}, []),
        ({"InstanceName": I1}, [I1]),
    ],
)
async def test_machines_are_found_by_what_they_are(
    filter_: dict[str, str], found: list[str]
) -> None:
    """Unknown ids are silently absent."""
    answer = await account().call("DescribeInstances", filter_)
    assert [one["InstanceId"] for one in answer["Instances"]["Instance"]] == found


async def test_machines_are_found_by_tag() -> None:
    """As disks are."""
    lab = account(more_machines=(Machine(id="i-4", zone=G, tags={"a": "1"}),))
    answer = await lab.call("DescribeInstances", {"Tag.1.Key": "a"})
    assert [one["InstanceId"] for one in answer["Instances"]["Instance"]] == ["i-4"]


async def test_a_machine_shows_its_facts_in_their_types() -> None:
    """Whole numbers, flags and nested objects as the cloud has them."""
    answer = await account().call("DescribeInstances", InstanceIds=json.dumps([N1]))
    (one,) = answer["Instances"]["Instance"]
    assert one["IoOptimized"] is True
    assert one["ImageOptions"] == {"CurrentOSNVMeSupported": True}
    assert one["VpcAttributes"]["PrivateIpAddress"] == {"IpAddress": []}
    assert (one["Cpu"], one["Memory"]) == (64, 262144)


async def test_pages_of_machines_may_be_small() -> None:
    """Even one alone, unlike pages of disks."""
    answer = await account().call("DescribeInstances", MaxResults=2)
    assert [one["InstanceId"] for one in answer["Instances"]["Instance"]] == [I1, I2]
    rest = await account().call("DescribeInstances", MaxResults=100, NextToken=answer["NextToken"])
    assert [one["InstanceId"] for one in rest["Instances"]["Instance"]] == [I3, N1, N2]


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ({"InstanceTypes.1": "ecs.g6.large"}, ["ecs.g6.large"]),
        ({"InstanceTypeFamily": "ecs.g7"}, ["ecs.g7.xlarge"]),
        ({"NvmeSupport": "required"}, ["ecs.g7se.16xlarge", "ecs.g8i.xlarge"]),
        ({"MinimumDiskQuantity": "18"}, ["ecs.g7se.16xlarge"]),
    ],
)
async def test_types_are_found_by_what_they_are(filter_: dict[str, str], found: list[str]) -> None:
    """Each filter alone."""
    answer = await account().call("DescribeInstanceTypes", filter_)
    assert [one["InstanceTypeId"] for one in answer["InstanceTypes"]["InstanceType"]] == found


async def test_a_type_tells_how_many_disks_it_takes() -> None:
    """The system disk among them."""
    answer = await account().call("DescribeInstanceTypes", {"InstanceTypes.1": "ecs.g6.large"})
    (one,) = answer["InstanceTypes"]["InstanceType"]
    assert (one["DiskQuantity"], one["NvmeSupport"], one["MemorySize"]) == (17, "unsupported", 8.0)


async def test_pages_of_types_lead_to_the_end() -> None:
    """The last one has no token."""
    lab, seen, token = account(), 0, ""
    while True:
        answer = await lab.call("DescribeInstanceTypes", MaxResults=2, NextToken=token)
        seen += len(answer["InstanceTypes"]["InstanceType"])
        token = answer["NextToken"]
        if not token:
            break
    assert seen == 5


async def test_a_zone_tells_what_is_sold_there() -> None:
    """What is sold out is left out, under both of its names."""
    lab = account(sold_out=frozenset({f"{G}/cloud_essd"}))
    answer = await lab.call("DescribeZones")
    sold = {
        zone["ZoneId"]: "cloud_essd" in zone["AvailableDiskCategories"]["DiskCategories"]
        for zone in answer["Zones"]["Zone"]
    }
    assert sold == {G: False, H: True}
    (resources,) = answer["Zones"]["Zone"][0]["AvailableResources"]["ResourcesInfo"]
    assert "cloud_essd" not in resources["DataDiskCategories"]["supportedDataDiskCategory"]


async def test_regions_are_told_to_whoever_asks() -> None:
    """No region is needed to ask."""
    answer = await account().call("DescribeRegions", RegionId=None)
    assert [one["RegionId"] for one in answer["Regions"]["Region"]] == ["cn-hangzhou", "cn-beijing"]
