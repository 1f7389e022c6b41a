"""DescribeInstances, DescribeInstanceTypes, DescribeZones, DescribeRegions."""

from __future__ import annotations

from typing import Any, Final

from mockcloud.actions.shapes import FOREVER, minute, page, part, tags_match, tags_told
from mockcloud.engine.catalog import NAMES, TYPES, InstanceType
from mockcloud.engine.engine import Engine
from mockcloud.engine.state import Instance
from mockcloud.errors import ApiError
from mockcloud.wire.params import Params

Answer = dict[str, Any]

PAGE_MOST: Final = 100
TYPES_MOST: Final = 1600
VPC: Final = "vpc-mockcloud"


async def describe_instances(engine: Engine, params: Params) -> Answer:
    """Machines of a region."""
    region = _region(engine, params)
    ids = params.id_list(
        "InstanceIds", too_many="InvalidInstanceIds.Malformed", bad="InvalidParameter.InstanceIds"
    )
    found = [
        one
        for one in engine.instances.values()
        if one.region == region
        and (ids is None or one.id in ids)
        and params.text("ZoneId") in ("", one.zone)
        and params.text("Status") in ("", one.status)
        and params.text("InstanceName") in ("", one.name or one.id)
        and params.text("VpcId") in ("", VPC)
        and tags_match(one.tags, params.structs("Tag", ("Key", "Value")))
    ]
    shown = page(found, params, least=1, most=PAGE_MOST)
    return {**shown.told, "Instances": {"Instance": [_told(one) for one in shown.items]}}


def _told(one: Instance) -> Answer:
    return {
        "InstanceId": one.id, "InstanceName": one.name or one.id,
        "HostName": one.name or one.id, "RegionId": one.region,
        "ZoneId": one.zone, "InstanceType": one.type_name, "InstanceTypeFamily": one.type.family,
        "Status": one.status, "StoppedMode": "Not-applicable", "ImageId": "m-mockcloud",
        "SerialNumber": one.id.removeprefix("i-"), "Cpu": one.type.cores,
        "Memory": int(one.type.memory_gib * 1024), "OSType": "linux",
        "CreationTime": minute(one.created_at), "StartTime": minute(one.created_at),
        "ExpiredTime": FOREVER, "IoOptimized": True, "DeviceAvailable": True,
        "ImageOptions": {"CurrentOSNVMeSupported": one.type.nvme},
        "SecurityGroupIds": {"SecurityGroupId": []}, "PublicIpAddress": {"IpAddress": []},
        "NetworkInterfaces": {"NetworkInterface": []}, "OperationLocks": {"LockReason": []},
        "EipAddress": {"AllocationId": "", "IpAddress": "", "InternetChargeType": ""},
        "VpcAttributes": {
            "VpcId": VPC, "VSwitchId": f"vsw-mockcloud-{one.zone}", "NatIpAddress": "",
            "PrivateIpAddress": {"IpAddress": []},
        },
        "Tags": tags_told(one.tags),
    }  # fmt: skip


async def describe_instance_types(engine: Engine, params: Params) -> Answer:  # noqa: ARG001
    """Types of machines."""
    wanted = params.repeated("InstanceTypes")
    found = [
        one
        for one in TYPES.values()
        if (not wanted or one.name in wanted)
        and params.text("InstanceTypeFamily") in ("", one.family)
        and params.text("NvmeSupport") in ("", _nvme(one))
        and one.disks >= params.integer("MinimumDiskQuantity")
    ]
    shown = part(found, params, most=TYPES_MOST, default=TYPES_MOST)
    return {
        "NextToken": shown.token,
        "InstanceTypes": {"InstanceType": [_type_told(one) for one in shown.items]},
    }


def _nvme(one: InstanceType) -> str:
    return "required" if one.nvme else "unsupported"


def _type_told(one: InstanceType) -> Answer:
    return {
        "InstanceTypeId": one.name, "InstanceTypeFamily": one.family, "CpuCoreCount": one.cores,
        "MemorySize": one.memory_gib, "DiskQuantity": one.disks, "EniQuantity": 2,
        "NvmeSupport": _nvme(one), "CpuArchitecture": "X86",
    }  # fmt: skip


async def describe_zones(engine: Engine, params: Params) -> Answer:
    """Zones of a region, and what is sold there."""
    region = _region(engine, params)
    return {"Zones": {"Zone": [_zone_told(engine, zone) for zone in engine.config.zones[region]]}}


def _zone_told(engine: Engine, zone: str) -> Answer:
    sold = [name for name in NAMES if f"{zone}/{name}" not in engine.config.sold_out]
    return {
        "ZoneId": zone, "LocalName": zone, "ZoneType": "AvailabilityZone",
        "AvailableDiskCategories": {"DiskCategories": sold},
        "AvailableInstanceTypes": {"InstanceTypes": list(TYPES)},
        "AvailableResourceCreation": {"ResourceTypes": ["Instance", "Disk"]},
        "AvailableResources": {"ResourcesInfo": [{
            "IoOptimized": True,
            "DataDiskCategories": {"supportedDataDiskCategory": sold},
            "InstanceTypes": {"supportedInstanceType": list(TYPES)},
        }]},
    }  # fmt: skip


async def describe_regions(engine: Engine, params: Params) -> Answer:  # noqa: ARG001
    """Every region."""
    return {
        "Regions": {
            "Region": [
                {
                    "RegionId": region,
                    "LocalName": region,
                    "RegionEndpoint": f"ecs.{region}.aliyuncs.com",
                    "Status": "available",
                }
                for region in engine.config.zones
            ]
        }
    }


def _region(engine: Engine, params: Params) -> str:
    region = params.required("RegionId")
    if region not in engine.config.zones:
        raise ApiError(404, "InvalidRegionId.NotFound", "The specified RegionId does not exist.")
    return region
