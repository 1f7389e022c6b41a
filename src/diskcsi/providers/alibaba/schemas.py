"""The keys of this provider's class parameters: those of the Go driver, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from diskcsi.model.mkfs import why_never
from diskcsi.model.schema import Key, Refused, Schema, boolean, comma_list, integer, one_of
from diskcsi.providers.alibaba.categories import CATEGORIES, DEFAULT_CATEGORIES, LEVELS, UNSERVED

KMS_KEY_ANNOTATION: Final = "alibabacloud.com/kms-key-id"

ROUNDED_UP_GIB: Final = 20
"""To this size the Go driver rounds up, whatever the category, where a class asks for it."""


def _categories(text: str) -> tuple[str, ...]:
    if text == "available":
        return DEFAULT_CATEGORIES
    for name in comma_list()(text):
        if what := UNSERVED.get(name):
            raise Refused(f"{name} is {what}, which this driver does not serve")
    return comma_list(one_of(CATEGORIES))(text)


def _tags(text: str) -> Mapping[str, str]:
    tags: dict[str, str] = {}
    for pair in comma_list()(text):
        key, colon, value = (part.strip() for part in pair.partition(":"))
        if not colon or not key:
            raise Refused("allowed is a comma list of key:value")
        tags[key] = value
    return tags


def _mkfs_options(text: str) -> str:
    if why := why_never(text.split()):
        raise Refused(why)
    return text


def _not_served(why: str, *names: str) -> tuple[Key, ...]:
    return tuple(Key(name=name, help="is refused", refused=why) for name in names)


VOLUME_SCHEMA: Final = Schema(
    what="the StorageClass",
    keys=(
        Key(
            name="type", parse=_categories, default=DEFAULT_CATEGORIES,
            help="comma list of disk categories, tried in order; `available` is the default list",
        ),
        Key(
            name="performanceLevel", parse=comma_list(one_of(LEVELS)), default=(),
            help="comma list of performance levels for cloud_essd, tried in order",
        ),
        Key(
            name="zoneId", aliases=("zoneid",), parse=comma_list(), default=(),
            help="comma list of zones; narrows what the scheduler asks for",
        ),
        Key(name="regionId", default="", help="must be the driver's own region where it is given"),
        Key(
            name="fsType", any_case=True, default="",
            help="read by the provisioner, which passes it on by itself",
        ),
        Key(name="encrypted", parse=boolean(), default=False, help="encrypt the disk"),
        Key(name="kmsKeyId", default="", help="key of the encryption; used with encrypted only"),
        Key(name=KMS_KEY_ANNOTATION, default="", help="the same as kmsKeyId, and wins over it"),
        Key(
            name="multiAttach", parse=boolean(also_true="enabled", also_false="disabled"),
            default=False, help="let several nodes hold the disk; cloud_essd and cloud_auto only",
        ),
        Key(
            name="provisionedIops", parse=integer(low=0, high=50000), default=None,
            help="operations a second beyond the baseline, for cloud_auto",
        ),
        Key(
            name="burstingEnabled", parse=boolean(), default=None,
            help="let a cloud_auto disk go beyond its baseline for a while",
        ),
        Key(name="resourceGroupId", default="", help="resource group of the disk"),
        Key(
            name="storageClusterId", default="",
            help="dedicated block storage cluster; needs performanceLevel",
        ),
        Key(name="diskTags", parse=_tags, default={}, help="comma list of key:value tags"),
        Key(name="diskTags/", prefix=True, help="one tag, its key after the slash"),
        Key(
            name="volumeSizeAutoAvailable", parse=boolean(), default=False,
            help=f"make a size below {ROUNDED_UP_GIB} GiB, or below the category's smallest, that",
        ),
        Key(
            name="mkfsOptions", parse=_mkfs_options, default="",
            help="options for mkfs that name no device; they replace the default ones",
        ),
        Key(name="omitfsck", parse=boolean(), default=False, help="mount without a check"),
        Key(
            name="readOnly", parse=boolean(), default=False, help="has no effect",
            warning="has no effect; use readOnly of the pod's volume",
        ),
        Key(
            name="volumeExpandAutoSnapshot", default="", help="has no effect",
            warning="is obsolete and has no effect",
        ),
        Key(
            name="volumeDeleteSnapshotRetentionDays", parse=integer(low=1, high=65536),
            default=None, help="put on the disk as a tag; this driver takes no snapshot of its own",
            warning="tags the disk only: no snapshot is taken when the volume is deleted",
        ),
        Key(
            name="volume.kubernetes.io/selected-node", default="",
            help="passed on by some provisioners; the topology tells the same",
        ),
        Key(
            name="restrictToHpnZone", parse=one_of(("never",)), default="never",
            help="only `never` is served",
        ),
        *_not_served(
            "a cache on the machine's own disks is not made by this driver",
            "dataCacheSize", "dataCacheMode",
        ),
        *_not_served(
            "nodes write no kernel settings and no I/O limits, and one that is silently missing"
            " would be worse",
            "sysConfig", "readIOPS", "writeIOPS", "readBPS", "writeBPS",
        ),
        *_not_served("disks are made in the driver's own account", "alibabacloud.com/createdisk-arn"),
        *_not_served(
            "name a VolumeSnapshot as the claim's data source",
            "csi.alibabacloud.com/disk-snapshot-id",
        ),
        *_not_served(
            "make a PersistentVolume whose volumeHandle is the disk's id",
            "volume.alibabacloud.com/disk-id",
        ),
    ),
)  # fmt: skip

SNAPSHOT_SCHEMA: Final = Schema(
    what="the snapshot class",
    keys=(
        Key(
            name="retentionDays", parse=integer(low=1, high=65536), default=None,
            help="days until the cloud deletes the snapshot by itself; absent: never",
        ),
        Key(name="resourceGroupId", default="", help="resource group of the snapshot"),
        Key(name="snapshotTags/", prefix=True, help="one tag, its key after the slash"),
        Key(
            name="snapshotType", default="", help="has no effect",
            warning="has no effect: every snapshot can be used at once where the category allows it",
        ),
        Key(
            name="instantAccessRetentionDays", default="", help="has no effect",
            warning="has no effect: instant access is always on",
        ),
    ),
)  # fmt: skip
