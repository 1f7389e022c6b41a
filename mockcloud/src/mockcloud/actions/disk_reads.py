"""DescribeDisks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mockcloud.actions.shapes import FOREVER, created_between, moment, page, tags_match, tags_told
from mockcloud.engine.catalog import NAMES
from mockcloud.engine.engine import Engine
from mockcloud.engine.state import Disk
from mockcloud.errors import ApiError
from mockcloud.wire.params import Params

Answer = dict[str, Any]

PAGE_LEAST, PAGE_MOST_TOKENS = 10, 500
STATUSES: Final = (
    "Creating", "Available", "Attaching", "In_use", "Detaching", "ReIniting", "All",
)  # fmt: skip


async def describe_disks(engine: Engine, params: Params) -> Answer:
    """Disks of a region, newest first."""
    region = params.required("RegionId", code="MissingParamter.RegionId")
    if region not in engine.config.zones:
        raise ApiError(400, "InvalidRegion.NotFound", "The specified region does not exist.")
    _check_words(params)
    ids = params.id_list(
        "DiskIds", too_many="InvalidDiskIds.Malformed", bad="InvalidParameter.DiskIds"
    )
    now = engine.clock.time()
    first, last = created_between(params)
    found = [
        disk
        for disk in sorted(engine.disks.values(), key=lambda disk: -disk.order)
        if disk.region == region
        and disk.visible_from <= now
        and first <= disk.created_at <= last
        and (ids is None or disk.id in ids)
        and all(_matches(one, two) for one, two in _asked(disk, params))
        and ("InstanceId" not in params or disk.attached_to(params.text("InstanceId")))
        and tags_match(disk.tags, params.structs("Tag", ("Key", "Value")))
    ]
    shown = page(found, params, least=PAGE_LEAST, most=PAGE_MOST_TOKENS)
    told = [{**_told(engine, disk), **_placement(engine, disk, params)} for disk in shown.items]
    if engine.knobs.unset_fields == "omitted":
        told = [{name: value for name, value in one.items() if value != ""} for one in told]
    return {**shown.told, "Disks": {"Disk": told}}


def _check_words(params: Params) -> None:
    for name, code, allowed in (
        ("DiskType", "InvalidDiskType.ValueNotSupported", ("all", "system", "data")),
        ("Category", "InvalidDiskCategory.ValueNotSupported", ("all", *NAMES)),
        ("Status", "InvalidDiskStatus.ValueNotSupported", STATUSES),
    ):
        if params.text(name) and params.text(name) not in allowed:
            raise ApiError(400, code, f"The specified {name} is not supported.")


def _asked(disk: Disk, params: Params) -> Iterator[tuple[str, str]]:
    """What a filter wants, and what the disk has; a filter that is not given wants nothing."""
    texts = {
        "ZoneId": disk.zone,
        "Category": disk.category,
        "Status": disk.status,
        "DiskType": "data",
        "SnapshotId": disk.snapshot_id,
        "DiskName": disk.name,
        "DiskChargeType": "PostPaid",
        "PerformanceLevel": disk.level,
        "KMSKeyId": disk.kms_key_id,
        "ResourceGroupId": disk.resource_group_id,
        "MultiAttach": "Enabled" if disk.multi_attach else "Disabled",
    }
    flags = {
        "Portable": True,
        "Encrypted": disk.encrypted,
        "DeleteWithInstance": disk.delete_with_instance,
        "DeleteAutoSnapshot": True,
    }
    for name, has in texts.items():
        if name in params:
            yield params.text(name), has
    for name, so in flags.items():
        if name in params:
            yield str(params.boolean(name)), str(so)


def _matches(wanted: str, has: str) -> bool:
    return wanted in {has, "all", "All"}


def _told(engine: Engine, disk: Disk) -> Answer:
    single = disk.attachments[0] if disk.attachments and not disk.multi_attach else None
    speed = disk.kind.speed
    iops, mbps = speed.iops(disk.size_gib), speed.mbps(disk.size_gib)
    if disk.category == "cloud_auto":
        iops = max(iops, 3000) + disk.provisioned_iops
        mbps += disk.provisioned_iops * 16 // 1024
    return {
        "DiskId": disk.id, "DiskName": disk.name, "Description": disk.description,
        "RegionId": disk.region, "ZoneId": disk.zone, "Status": disk.status, "Type": "data",
        "Category": disk.category, "PerformanceLevel": disk.level, "SerialNumber": disk.serial,
        "Size": disk.size_gib, "IOPS": iops, "IOPSRead": iops, "IOPSWrite": iops,
        "Throughput": mbps, "ThroughputRead": mbps, "ThroughputWrite": mbps,
        "ProvisionedIops": disk.provisioned_iops, "BurstingEnabled": disk.bursting,
        "InstanceId": single.instance_id if single else "",
        "Device": single.device if single else "",
        "DiskChargeType": "PostPaid", "ExpiredTime": FOREVER,
        "CreationTime": moment(disk.created_at), "AttachedTime": moment(disk.attached_at),
        "DetachedTime": moment(disk.detached_at),
        "Portable": True, "Encrypted": disk.encrypted, "KMSKeyId": disk.kms_key_id,
        "DeleteWithInstance": disk.delete_with_instance, "DeleteAutoSnapshot": True,
        "EnableAutoSnapshot": True, "EnableAutomatedSnapshotPolicy": False,
        "MultiAttach": "Enabled" if disk.multi_attach else "Disabled",
        "SourceSnapshotId": disk.snapshot_id, "SourceDiskId": "", "ImageId": "",
        "AutoSnapshotPolicyId": "", "ProductCode": "", "BdfId": "",
        "ResourceGroupId": disk.resource_group_id, "StorageSetId": "", "StorageClusterId": "",
        "StorageSetPartitionNumber": 0, "MountInstanceNum": 0,
        "MountInstances": {"MountInstance": []}, "OperationLocks": {"OperationLock": []},
        "Tags": tags_told(disk.tags),
        **_attachments(engine, disk),
    }  # fmt: skip


def _placement(engine: Engine, disk: Disk, params: Params) -> Answer:
    """Where a regional disk may go; told to those alone who ask."""
    if "Placement" not in params.repeated("AdditionalAttributes"):
        return {}
    zones = [disk.zone] if disk.zone else engine.config.zones[disk.region]
    return {"Placement": {"ZoneIds": "\n".join(zones)}}


def _attachments(engine: Engine, disk: Disk) -> Answer:
    if not disk.attachments:
        odd: dict[str, Answer] = {
            "absent": {},
            "empty": {"Attachments": {"Attachment": []}},
            "null": {"Attachments": {"Attachment": None}},
        }
        return odd[engine.knobs.null_attachments]
    return {
        "Attachments": {
            "Attachment": [
                {
                    "InstanceId": one.instance_id,
                    "Device": one.device,
                    "AttachedTime": moment(one.at),
                }
                for one in disk.attachments
            ]
        }
    }
