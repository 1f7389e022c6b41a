"""What a CreateDisk asks for, checked."""

from __future__ import annotations

from typing import Final

from mockcloud.actions.shapes import check_words, tags_given
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

BURST_ABOVE_GIB: Final = 3


def ordered(engine: Engine, params: Params) -> Disk:
    """The disk that a request asks for; raises ApiError when the request can't be met."""
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
    check_words(params, "DiskName", description_status=400)
    _check_encryption(engine, params, kind)
    multi_attach = _multi_attach(params, kind)
    bursting = _bursting(params, name, size_gib, multi_attach=multi_attach)
    tags = tags_given(params)
    for sold_out in (f"{zone}/{name}", f"{zone}/{name}/{level}"):
        if sold_out in engine.config.sold_out:
            raise ApiError(
                400 if engine.knobs.stockout_code == "InvalidDiskCategory.NotSupported" else 403,
                engine.knobs.stockout_code,
                "The specified category is out of stock.",
            )
    check_quota(engine, name, zone, size_gib)
    check_room(engine, size_gib)
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
        bursting=bursting,
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
    if "InstanceId" in params:
        _refuse_instance(zone)
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


def _refuse_instance(zone: str) -> None:
    if zone:
        raise ApiError(
            403,
            "InvalidParam.ZoneIdAndInstanceId.Conflict",
            "ZoneId and InstanceId exclude each other.",
        )
    raise ApiError(
        400, "UnsupportedOperation", "A disk that is made on an instance is not served here."
    )


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
    if params.text("DiskCategory").startswith("elastic_ephemeral"):
        raise ApiError(
            403,
            "InvalidOperation.CreateFromSnapshotUnsupported",
            "An ephemeral disk can't be made from a snapshot.",
        )
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


def _check_encryption(engine: Engine, params: Params, kind: Category) -> None:
    encrypted = params.boolean("Encrypted")
    if params.text("KMSKeyId") and not encrypted:
        raise ApiError(
            400, "InvalidParameter.EncryptedIllegal", "A KMSKeyId needs an encrypted disk."
        )
    if encrypted and kind.ephemeral:
        raise ApiError(
            403,
            "InvalidParameter.EncryptedNotSupported",
            "The category does not support encryption.",
        )
    snapshot = engine.snapshots.get(params.text("SnapshotId"))
    if snapshot is not None and snapshot.encrypted and not encrypted:
        raise ApiError(
            403,
            "InvalidEncrypted.NotMatchSnapshot",
            "An encrypted snapshot needs an encrypted disk.",
        )


def _multi_attach(params: Params, kind: Category) -> bool:
    wanted = params.text("MultiAttach", "Disabled")
    if wanted not in ("Enabled", "Disabled"):
        raise ApiError(
            400, "InvalidParameter", 'The specified parameter "MultiAttach" is not valid.'
        )
    if wanted == "Disabled":
        return False
    if not kind.multi_attach:
        raise ApiError(
            403,
            "InvalidParameter.DiskCategoryAndMultiAttachNotMatch",
            "The category does not support multi-attach.",
        )
    return True


def _bursting(params: Params, name: str, size_gib: int, *, multi_attach: bool) -> bool:
    if not params.boolean("BurstingEnabled"):
        return False
    if name != "cloud_auto":
        raise ApiError(
            400,
            "BurstingEnabledForDiskCategoryUnsupported",
            "The category does not support bursting.",
        )
    if multi_attach:
        raise ApiError(
            400,
            "BurstingEnabledForMultiAttachDiskUnsupported",
            "A multi-attach disk does not support bursting.",
        )
    if size_gib <= BURST_ABOVE_GIB:
        raise ApiError(
            400, "InvalidBurstingEnabled.DiskSizeTooSmall", "The disk is too small for bursting."
        )
    return True


def check_quota(engine: Engine, name: str, zone: str, more_gib: int) -> None:
    """Refuse what goes past the quota of a category in a zone."""
    used_gib = sum(
        disk.size_gib
        for disk in engine.disks.values()
        if (disk.category, disk.zone) == (name, zone)
    )
    if 0 < engine.knobs.disk_capacity_gib < used_gib + more_gib:
        raise ApiError(
            400, "QuotaExceed.DiskCapacity", "The capacity quota of the category is used up."
        )


def check_room(engine: Engine, size_gib: int) -> None:
    """Refuse what this machine can't keep; of the cloud's codes a quota's comes nearest."""
    if not engine.hypervisor.fits(size_gib):
        raise ApiError(
            400, "QuotaExceed.DiskCapacity",
            f"This mock keeps disks as files, and its file system takes none of {size_gib} GiB: ask for"
            " less, or let it keep them on another one, such as xfs.",
        )  # fmt: skip
