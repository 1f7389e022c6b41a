"""CreateDisk, DeleteDisk, ResizeDisk, DescribeDisks."""

from __future__ import annotations

import re
from typing import Any, Final

from mockcloud.actions.shapes import FOREVER, moment, page, tags_given, tags_match, tags_told
from mockcloud.engine.catalog import (
    DEFAULT_LEVEL,
    LEVELS,
    NAMES,
    Category,
    category,
    provisioned_iops_limit,
)
from mockcloud.engine.engine import Engine
from mockcloud.engine.state import Disk
from mockcloud.errors import ApiError
from mockcloud.wire.params import Params

Answer = dict[str, Any]

NAME: Final = re.compile(r"[^\W\d_][\w:.\-]{1,127}")
PAGE_LEAST, PAGE_MOST_TOKENS = 10, 500
OLD_CATEGORIES: Final = frozenset({"cloud", "cloud_efficiency", "cloud_ssd"})


async def create_disk(engine: Engine, params: Params) -> Answer:
    """Make a disk; it is Creating at first."""
    replay = engine.tokens.replay("CreateDisk", params)
    if replay is not None:
        return dict(replay)
    try:
        disk = _ordered(engine, params)
    except ApiError:
        if engine.knobs.token_recorded_on_failure:
            engine.tokens.spend("CreateDisk", params, None)
        raise
    engine.disks[disk.id] = disk
    answer = {"DiskId": disk.id}
    engine.tokens.spend("CreateDisk", params, answer)
    if disk.snapshot_id:
        await engine.hypervisor.restore(disk.serial, disk.snapshot_id, disk.size_gib)
    else:
        await engine.hypervisor.create(disk.serial, disk.size_gib)

    async def made() -> None:
        disk.status, disk.operation = "Available", ""

    engine.schedule.after(engine.latencies.draw("restore" if disk.snapshot_id else "create"), made)
    return dict(answer)


def _ordered(engine: Engine, params: Params) -> Disk:
    region = params.required("RegionId")
    if region not in engine.config.zones:
        raise ApiError(404, "InvalidRegionId.NotFound", "The specified RegionId does not exist.")
    name = params.text("DiskCategory", "cloud")
    if name not in NAMES:
        raise ApiError(
            400, "InvalidDataDiskCategory.NotSupported", "The specified category is not supported."
        )
    level = _level(params, name)
    kind = category(name, level)
    zone = _zone(engine, params, region, kind)
    snapshot_id, size_gib = _content(engine, params, region)
    _check_size(name, level, kind, size_gib)
    iops = _provisioned(params, name, size_gib)
    _check_name(params)
    _check_encryption(params)
    multi_attach = _multi_attach(params, kind)
    tags = tags_given(params)
    for sold_out in (f"{zone}/{name}", f"{zone}/{name}/{level}"):
        if sold_out in engine.config.sold_out:
            raise ApiError(
                403, engine.knobs.stockout_code, "The specified category is out of stock."
            )
    now = engine.clock.time()
    draw = engine.latencies.draw
    return Disk(
        id=engine.new_id("d", region),
        region=region,
        zone=zone,
        size_gib=size_gib,
        category=name,
        level=level,
        created_at=now,
        order=engine.next_order(),
        name=params.text("DiskName"),
        description=params.text("Description"),
        tags=tags,
        snapshot_id=snapshot_id,
        multi_attach=multi_attach,
        encrypted=params.boolean("Encrypted"),
        kms_key_id=params.text("KMSKeyId"),
        provisioned_iops=iops,
        bursting=params.boolean("BurstingEnabled"),
        resource_group_id=params.text("ResourceGroupId"),
        visible_from=now + draw("describe_lag"),
        initialized_at=now + draw("hidden_init"),
    )


def _level(params: Params, name: str) -> str:
    level = params.text("PerformanceLevel")
    if level and level not in LEVELS:
        raise ApiError(
            400, "InvalidPerformanceLevel.Malformed", "The specified PerformanceLevel is not valid."
        )
    return (level or DEFAULT_LEVEL) if name == "cloud_essd" else ""


def _zone(engine: Engine, params: Params, region: str, kind: Category) -> str:
    zone = params.text("ZoneId")
    if kind.regional:
        if zone:
            raise ApiError(
                400, "InvalidZoneId.DiskCategoryUnsupported", "A regional disk takes no ZoneId."
            )
        return ""
    if not zone:
        params.required("ZoneId")
    if zone not in engine.config.zones[region]:
        raise ApiError(404, "InvalidZoneId.NotFound", "The specified zone does not exist.")
    return zone


def _content(engine: Engine, params: Params, region: str) -> tuple[str, int]:
    """The snapshot to restore, if any, and the size that the disk gets."""
    size_gib = params.integer("Size")
    snapshot_id = params.text("SnapshotId")
    if not snapshot_id:
        params.required("Size")
        return "", size_gib
    snapshot = engine.snapshots.get(snapshot_id)
    if snapshot is None or snapshot.region != region:
        raise ApiError(404, "InvalidSnapshotId.NotFound", "The specified snapshot does not exist.")
    if not snapshot.available:
        raise ApiError(403, "InvalidSnapshotId.NotReady", "The specified snapshot is not ready.")
    if size_gib and size_gib < snapshot.size_gib and engine.knobs.restore_smaller == "refuse":
        raise ApiError(
            403, "InvalidDiskSize.TooSmall", "Specified disk size is less than the snapshot's."
        )
    return snapshot_id, max(size_gib, snapshot.size_gib)


def _check_size(name: str, level: str, kind: Category, size_gib: int) -> None:
    if kind.min_gib <= size_gib <= kind.max_gib:
        return
    if name == "cloud_essd" and level in ("PL2", "PL3") and 1 <= size_gib < kind.min_gib:
        raise ApiError(
            403,
            "OperationDenied.PerformanceLevelNotMatch",
            "The specified PerformanceLevel and disk size do not match.",
        )
    if name == "cloud_auto":
        raise ApiError(
            403,
            "InvalidDataDiskSize.ValueNotSupported",
            "The specified disk size is not supported.",
        )
    raise ApiError(
        400,
        "InvalidDiskSize.NotSupported",
        f"The specified disk size is not supported: {kind.min_gib} to {kind.max_gib} GiB are.",
    )


def _provisioned(params: Params, name: str, size_gib: int) -> int:
    if "ProvisionedIops" not in params:
        return 0
    if name != "cloud_auto":
        raise ApiError(
            400,
            "ProvisionedIopsForDiskCategoryUnsupported",
            "The category does not support provisioned IOPS.",
        )
    wanted = params.integer("ProvisionedIops")
    if wanted < 0 or wanted > provisioned_iops_limit(size_gib):
        raise ApiError(
            400, "InvalidProvisionedIops.LimitExceed", "The provisioned IOPS exceed the limit."
        )
    return wanted


def _check_name(params: Params) -> None:
    name = params.text("DiskName")
    if name and (not NAME.fullmatch(name) or name.lower().startswith(("http://", "https://"))):
        raise ApiError(400, "InvalidDiskName.Malformed", "The specified disk name is not valid.")


def _check_encryption(params: Params) -> None:
    if params.text("KMSKeyId") and not params.boolean("Encrypted"):
        raise ApiError(
            400, "InvalidParameter.EncryptedIllegal", "A KMSKeyId needs an encrypted disk."
        )


def _multi_attach(params: Params, kind: Category) -> bool:
    if params.text("MultiAttach", "Disabled") != "Enabled":
        return False
    if not kind.multi_attach:
        raise ApiError(
            403,
            "InvalidParameter.DiskCategoryAndMultiAttachNotMatch",
            "The category does not support multi-attach.",
        )
    return True


async def delete_disk(engine: Engine, params: Params) -> Answer:
    """Destroy a disk that nothing holds; it vanishes at once."""
    disk_id = params.required("DiskId")
    if disk_id not in engine.disks and engine.knobs.delete_unknown == 200:  # noqa: PLR2004 - HTTP
        return {}
    disk = engine.disk(disk_id)
    if engine.clock.time() < disk.initialized_at or disk.operation == "creating":
        raise ApiError(
            403, "IncorrectDiskStatus.Initializing", "The specified disk is being initialized."
        )
    if disk.attachments or disk.operation:
        raise ApiError(
            403, engine.knobs.in_use_delete_code, "The current status of the disk is not Available."
        )
    if engine.snapshot_running(disk.id):
        raise ApiError(403, "DiskCreatingSnapshot", "A snapshot of the disk is being created.")
    del engine.disks[disk.id]
    await engine.hypervisor.delete(disk.serial)
    return {}


async def resize_disk(engine: Engine, params: Params) -> Answer:
    """Grow a disk; the machine sees the new size soon."""
    disk_id = params.required("DiskId")
    params.required("NewSize")
    replay = engine.tokens.replay("ResizeDisk", params)
    if replay is not None:
        return dict(replay)
    disk = engine.disk(disk_id)
    size_gib = params.integer("NewSize")
    _check_resizable(engine, params, disk)
    _check_new_size(disk, size_gib)
    disk.size_gib = size_gib
    answer = {"OrderId": ""}
    engine.tokens.spend("ResizeDisk", params, answer)

    async def shown() -> None:
        if disk.id in engine.disks:
            await engine.hypervisor.resize(disk.serial, disk.size_gib)

    engine.schedule.after(engine.latencies.draw("resize_device"), shown)
    return dict(answer)


def _check_resizable(engine: Engine, params: Params, disk: Disk) -> None:
    how = params.text("Type", "offline")
    if how not in ("online", "offline"):
        raise ApiError(400, "InvalidParam.Type", "The specified Type is not valid.")
    if engine.clock.time() < disk.initialized_at:
        raise ApiError(400, "LastOrderProcessing", "The previous order is still processing.")
    if disk.operation:
        raise ApiError(403, "IncorrectDiskStatus", "The current status of the disk forbids this.")
    if engine.snapshot_running(disk.id):
        raise ApiError(403, "DiskCreatingSnapshot", "A snapshot of the disk is being created.")
    if how == "online" and any(
        engine.instance(one.instance_id).status != "Running" for one in disk.attachments
    ):
        raise ApiError(403, "InvalidInstanceStatus.NotRunning", "The instance is not running.")


def _check_new_size(disk: Disk, size_gib: int) -> None:
    if size_gib < disk.size_gib:
        raise ApiError(
            403, "InvalidDiskSize.TooSmall", "The new size is less than the current one."
        )
    if size_gib == disk.size_gib:
        raise ApiError(403, "InvalidDiskSize", "The new size equals the current one.")
    if size_gib > disk.kind.max_gib:
        raise ApiError(
            403, "InvalidDiskSize.TooLarge", "The new size is above the category's most."
        )


async def describe_disks(engine: Engine, params: Params) -> Answer:
    """Disks of a region, newest first."""
    region = params.required("RegionId", code="MissingParamter.RegionId")
    if region not in engine.config.zones:
        raise ApiError(400, "InvalidRegion.NotFound", "The specified region does not exist.")
    ids = params.id_list(
        "DiskIds", too_many="InvalidDiskIds.Malformed", bad="InvalidParameter.DiskIds"
    )
    now = engine.clock.time()
    found = [
        disk
        for disk in sorted(engine.disks.values(), key=lambda disk: -disk.order)
        if disk.region == region
        and disk.visible_from <= now
        and (ids is None or disk.id in ids)
        and _wanted(disk, params)
    ]
    shown = page(found, params, least=PAGE_LEAST, most=PAGE_MOST_TOKENS)
    return {**shown.told, "Disks": {"Disk": [_told(engine, disk) for disk in shown.items]}}


def _wanted(disk: Disk, params: Params) -> bool:
    asked = {
        "ZoneId": disk.zone,
        "Category": disk.category,
        "Status": disk.status,
        "SnapshotId": disk.snapshot_id,
        "DiskName": disk.name,
    }
    for name, value in asked.items():
        if params.text(name) not in ("", value) and (name, params.text(name)) != ("Status", "All"):
            return False
    if "InstanceId" in params and not disk.attached_to(params.text("InstanceId")):
        return False
    if params.text("DiskType", "all") == "system":
        return False
    return tags_match(disk.tags, params.structs("Tag", ("Key", "Value")))


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
