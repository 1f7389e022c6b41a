"""Class parameters of this provider: the keys of the Go driver, read strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from typing_extensions import override

from diskcsi.model.errors import InvalidArgument
from diskcsi.model.parameters import DiskKind, SnapshotParameters, VolumeParameters
from diskcsi.model.schema import Key, Refused, Schema, boolean, comma_list, integer, one_of
from diskcsi.model.volume import Disk
from diskcsi.providers.alibaba.categories import (
    CATEGORIES,
    DEFAULT_CATEGORIES,
    LEVELS,
    MULTI_ATTACH_CATEGORIES,
    SIZES,
    UNSERVED,
)

KMS_KEY_ANNOTATION: Final = "alibabacloud.com/kms-key-id"

ENCRYPTED: Final = "encrypted"
KMS_KEY: Final = "kmsKeyId"
"""Among the facts of a disk: whether it is encrypted, and by which key."""

TAG_KEY: Final = re.compile(r"(?!(?i:acs:|aliyun|https?://)).{1,128}", re.DOTALL)
TAG_VALUE: Final = re.compile(r"(?!(?i:https?://)).{0,128}", re.DOTALL)
"""What a tag may be (ECS API, CreateDisk)."""

ROUNDED_UP_GIB: Final = 20
"""To this size the Go driver rounds up, whatever the category, where a class asks for it."""

RETENTION_TAG: Final = "csi.alibabacloud.com/volume-delete-autosnapshot-retentiondays"
"""Asks who deletes the disk for a last snapshot; the Go driver reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlibabaVolumeParameters(VolumeParameters):
    """A StorageClass of this provider.

    Attributes:
        provisioned_iops, bursting: sent for cloud_auto only; None: not said.
        tags: more tags for the disk, beside those that every disk gets.
    """

    encrypted: bool = False
    kms_key_id: str = ""
    provisioned_iops: int | None = None
    bursting: bool | None = None
    resource_group_id: str = ""
    storage_cluster_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @override
    def mismatch(self, disk: Disk) -> str:
        """As for every class; and an encrypted one is never content with a plain disk.

        More than that isn't asked: an account may encrypt every disk, and a restored one is
        encrypted as its snapshot is.
        """
        if self.encrypted and ENCRYPTED not in disk.attributes:
            return "it is not encrypted"
        key_id = disk.attributes.get(KMS_KEY, "")
        if self.kms_key_id and key_id != self.kms_key_id:
            return f"it is encrypted by {key_id or 'no key of yours'}, not by {self.kms_key_id}"
        return VolumeParameters.mismatch(self, disk)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlibabaSnapshotParameters(SnapshotParameters):
    """A snapshot class of this provider."""

    retention_days: int | None = None
    resource_group_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


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
        Key(name="mkfsOptions", default="", help="options for mkfs; they replace the default ones"),
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


def volume_parameters(given: Mapping[str, str]) -> AlibabaVolumeParameters:
    """A StorageClass, parsed.

    Raises:
        InvalidArgument: an unknown key, a bad value, or values that contradict each other.
    """
    parsed = VOLUME_SCHEMA.parse(given)
    values = parsed.values
    _refuse_contradictions(values)
    return AlibabaVolumeParameters(
        kinds=_kinds(
            values["type"],
            values["performanceLevel"],
            least_gib=ROUNDED_UP_GIB if values["volumeSizeAutoAvailable"] else 0,
        ),
        zones=values["zoneId"],
        region=values["regionId"],
        multi_attach=values["multiAttach"],
        round_up=values["volumeSizeAutoAvailable"],
        context=_context(values),
        warnings=parsed.warnings,
        encrypted=values["encrypted"],
        kms_key_id=_kms_key(values),
        provisioned_iops=values["provisionedIops"],
        bursting=values["burstingEnabled"],
        resource_group_id=values["resourceGroupId"],
        storage_cluster_id=values["storageClusterId"],
        tags=_checked_tags({**values["diskTags"], **values["diskTags/"], **_retention(values)}),
    )


def snapshot_parameters(given: Mapping[str, str]) -> AlibabaSnapshotParameters:
    """A snapshot class, parsed.

    Raises:
        InvalidArgument: an unknown key or a bad value.
    """
    parsed = SNAPSHOT_SCHEMA.parse(given)
    return AlibabaSnapshotParameters(
        warnings=parsed.warnings,
        retention_days=parsed.values["retentionDays"],
        resource_group_id=parsed.values["resourceGroupId"],
        tags=_checked_tags(parsed.values["snapshotTags/"]),
    )


def _kinds(
    categories: tuple[str, ...], levels: tuple[str, ...], *, least_gib: int
) -> tuple[DiskKind, ...]:
    kinds: list[DiskKind] = []
    for name in categories:
        for level in (levels or ("",)) if name == "cloud_essd" else ("",):
            attributes = {"type": name, **({"performanceLevel": level} if level else {})}
            label = f"{name} {level}".strip()
            sold = SIZES[(name, level)]
            sizes = replace(sold, min_gib=max(sold.min_gib, least_gib))
            kinds.append(DiskKind(label=label, sizes=sizes, attributes=attributes))
    return tuple(kinds)


def _context(values: Mapping[str, Any]) -> Mapping[str, str]:
    """What the node reads of the class."""
    context = {"mkfsOptions": values["mkfsOptions"]} if values["mkfsOptions"] else {}
    return {**context, "omitfsck": "true"} if values["omitfsck"] else context


def _retention(values: Mapping[str, Any]) -> Mapping[str, str]:
    days = values["volumeDeleteSnapshotRetentionDays"]
    return {} if days is None else {RETENTION_TAG: str(days)}


def _checked_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    for key, value in tags.items():
        if not TAG_KEY.fullmatch(key) or not TAG_VALUE.fullmatch(value):
            raise InvalidArgument(
                f"the class has the tag {key!r} with the value {value!r}, which the cloud refuses",
                hint="allowed are 128 characters each, and keys that don't begin with acs:, aliyun"
                " or http://",
            )
    return tags


def _kms_key(values: Mapping[str, Any]) -> str:
    if not values["encrypted"]:
        return ""
    return str(values[KMS_KEY_ANNOTATION] or values["kmsKeyId"])


def _refuse_contradictions(values: Mapping[str, Any]) -> None:
    unshared = [name for name in values["type"] if name not in MULTI_ATTACH_CATEGORIES]
    if values["multiAttach"] and unshared:
        raise InvalidArgument(
            f"multiAttach is set, and {', '.join(unshared)} can't be shared",
            hint=f"allowed are {', '.join(sorted(MULTI_ATTACH_CATEGORIES))}",
        )
    if values["storageClusterId"] and not values["performanceLevel"]:
        raise InvalidArgument("storageClusterId needs performanceLevel")
