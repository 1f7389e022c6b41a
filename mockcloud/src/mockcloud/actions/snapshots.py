"""CreateSnapshot, DeleteSnapshot, DescribeSnapshots."""

from __future__ import annotations

from typing import Any, Final

from mockcloud.actions.attach import check_region
from mockcloud.actions.shapes import (
    check_words,
    created_between,
    moment,
    page,
    tags_given,
    tags_match,
    tags_told,
)
from mockcloud.engine.engine import Engine
from mockcloud.engine.state import Disk, Snapshot
from mockcloud.errors import ApiError
from mockcloud.wire.params import Params

Answer = dict[str, Any]

RETENTION_MOST_DAYS: Final = 65536
PAGE_LEAST, PAGE_MOST_TOKENS = 10, 100
STATUSES: Final = ("progressing", "accomplished", "failed", "all")


async def create_snapshot(engine: Engine, params: Params) -> Answer:
    """Begin a snapshot; its content is fixed a little later, and it can be used later still."""
    check_region(engine, params)
    disk_id = params.required("DiskId")
    replay = engine.tokens.replay("CreateSnapshot", params)
    if replay is not None:
        return dict(replay)
    disk = engine.disk(disk_id)
    _check_words(params)
    _check_disk(engine, disk)
    snapshot = Snapshot(
        id=engine.new_id("s", disk.region),
        region=disk.region,
        disk_id=disk.id,
        size_gib=disk.size_gib,
        order=engine.next_order(),
        name=params.text("SnapshotName"),
        description=params.text("Description"),
        encrypted=disk.encrypted,
        category=disk.category,
        retention_days=params.integer("RetentionDays"),
        tags=tags_given(params),
        resource_group_id=params.text("ResourceGroupId"),
    )
    engine.snapshots[snapshot.id] = snapshot
    answer = {"SnapshotId": snapshot.id}
    engine.tokens.spend("CreateSnapshot", params, answer)
    engine.later(engine.latencies.draw("snapshot_cut"), snapshot_cut, snapshot.id, copies=True)
    return dict(answer)


def _check_words(params: Params) -> None:
    check_words(params, "SnapshotName", description_status=404)
    if params.text("SnapshotName").lower().startswith(("auto", "http")):
        raise ApiError(
            400, "InvalidSnapshotName.Malformed", "The specified snapshot name is not valid."
        )
    if "RetentionDays" in params:
        days = params.integer("RetentionDays")
        if not 1 <= days <= RETENTION_MOST_DAYS:
            raise ApiError(
                400, "InvalidRetentionDays.Malformed", "The specified RetentionDays is not valid."
            )


def _check_disk(engine: Engine, disk: Disk) -> None:
    if disk.kind.ephemeral:
        raise ApiError(400, "DiskCategory.OperationNotSupported")
    if disk.operation:
        raise ApiError(403, "IncorrectDiskStatus", "The current status of the disk forbids this.")
    if not all(engine.instance(one.instance_id).accepts for one in disk.attachments):
        raise ApiError(
            400, "IncorrectInstanceStatus", "The current status of the instance forbids this."
        )
    if engine.knobs.snapshot_needs_attach and not disk.ever_attached:
        raise ApiError(
            403,
            "IncorrectDiskStatus.NeverAttached",
            "The specified disk has never been attached to an instance.",
        )
    if not disk.kind.instant and engine.snapshot_running(disk.id):
        raise ApiError(
            403, "IncorrectDiskStatus.CreatingSnapshot", "A snapshot of the disk is being created."
        )


async def snapshot_cut(engine: Engine, snapshot_id: str) -> None:
    """The content of a snapshot is fixed."""
    snapshot = engine.snapshots.get(snapshot_id)
    if snapshot is None:
        return
    disk = engine.disks.get(snapshot.disk_id)
    if disk is None:  # it ended with its machine
        snapshot.status = "failed"
        return
    try:
        await engine.hypervisor.snapshot(disk.serial, snapshot.id)
    except Exception:
        snapshot.status = "failed"
        raise
    if snapshot.id not in engine.snapshots:  # cancelled while it was copied
        await engine.hypervisor.delete_snapshot(snapshot.id)
        return
    snapshot.cut_at = engine.clock.time()  # not before: who waits for it writes again from now on
    snapshot.available = disk.kind.instant
    engine.later(engine.latencies.draw("snapshot_done"), snapshot_done, snapshot.id)


async def snapshot_done(engine: Engine, snapshot_id: str) -> None:
    """A snapshot is finished."""
    snapshot = engine.snapshots.get(snapshot_id)
    if snapshot is not None:
        snapshot.status, snapshot.available = "accomplished", True


EFFECTS: Final = (snapshot_cut, snapshot_done)


async def delete_snapshot(engine: Engine, params: Params) -> Answer:
    """Destroy a snapshot; disks made from it hold it back, unless forced."""
    check_region(engine, params)
    snapshot_id = params.required("SnapshotId")
    snapshot = engine.snapshots.get(snapshot_id)
    if snapshot is None:
        if engine.knobs.delete_unknown == 200:  # noqa: PLR2004 - HTTP
            return {}
        raise ApiError(404, "InvalidSnapshotId.NotFound", "The specified snapshot does not exist.")
    used = any(disk.snapshot_id == snapshot.id for disk in engine.disks.values())
    if used and not params.boolean("Force"):
        raise ApiError(403, "SnapshotCreatedDisk", "The snapshot has been used to create disks.")
    del engine.snapshots[snapshot.id]
    await engine.hypervisor.delete_snapshot(snapshot.id)
    return {}


async def describe_snapshots(engine: Engine, params: Params) -> Answer:
    """Snapshots of a region, newest first."""
    region = params.required("RegionId")
    if region not in engine.config.zones:
        raise ApiError(404, "InvalidRegionId.NotFound", "The specified RegionId does not exist.")
    ids = params.id_list(
        "SnapshotIds", too_many="InvalidSnapshotIds.Malformed", bad="InvalidParameter.SnapshotIds"
    )
    status = params.text("Status", "all")
    if status not in STATUSES:
        raise ApiError(404, "InvalidStatus.NotFound", "The specified Status is not found.")
    first, last = created_between(params)
    found = [
        one
        for one in sorted(engine.snapshots.values(), key=lambda one: -one.order)
        if one.region == region
        and first <= one.cut_at <= last
        and (ids is None or one.id in ids)
        and params.text("DiskId") in ("", one.disk_id)
        and params.text("SnapshotName") in ("", one.name)
        and status in ("all", one.status)
        and params.text("SnapshotType", "all") in ("all", "user")
        and params.text("Usage") in ("", _usage(engine, one))
        and ("Encrypted" not in params or params.boolean("Encrypted") == one.encrypted)
        and tags_match(one.tags, params.structs("Tag", ("Key", "Value")))
    ]
    shown = page(found, params, least=PAGE_LEAST, most=PAGE_MOST_TOKENS)
    return {**shown.told, "Snapshots": {"Snapshot": [_told(engine, one) for one in shown.items]}}


def _usage(engine: Engine, one: Snapshot) -> str:
    return "disk" if any(disk.snapshot_id == one.id for disk in engine.disks.values()) else "none"


def _told(engine: Engine, one: Snapshot) -> Answer:
    return {
        "SnapshotId": one.id, "SnapshotName": one.name, "Description": one.description,
        "Status": one.status, "Progress": "100%" if one.status == "accomplished" else "30%",
        "CreationTime": moment(one.cut_at), "LastModifiedTime": moment(one.cut_at),
        "SourceDiskSize": str(one.size_gib), "SourceDiskId": one.disk_id, "SourceDiskType": "data",
        "SourceStorageType": "disk", "SnapshotType": "user", "Usage": _usage(engine, one),
        "Category": "standard", "RegionId": one.region, "ResourceGroupId": one.resource_group_id,
        "KMSKeyId": "", "SnapshotSN": one.id.removeprefix("s-"), "SnapshotLinkId": "",
        "SourceSnapshotId": "", "SourceRegionId": "", "ProductCode": "",
        "RemainTime": 0 if one.status == "accomplished" else 10,
        "RetentionDays": one.retention_days, "InstantAccessRetentionDays": 0,
        "Available": one.available, "InstantAccess": one.available, "Encrypted": one.encrypted,
        "Tags": tags_told(one.tags),
    }  # fmt: skip
