"""Class parameters of this provider: the keys of the Go driver, read strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from diskcsi.model.errors import InvalidArgument
from diskcsi.model.parameters import DiskKind, SnapshotParameters, VolumeParameters
from diskcsi.model.schema import Key, Refused, Schema, boolean, comma_list, integer, one_of
from diskcsi.model.sizes import SizeRange

LEVELS: Final = ("PL0", "PL1", "PL2", "PL3")

SIZES: Final[Mapping[tuple[str, str], SizeRange]] = {
    ("cloud", ""): SizeRange(min_gib=5, max_gib=2000),
    ("cloud_efficiency", ""): SizeRange(min_gib=20, max_gib=32768),
    ("cloud_ssd", ""): SizeRange(min_gib=20, max_gib=32768),
    ("cloud_essd", ""): SizeRange(min_gib=20, max_gib=65536),
    ("cloud_essd", "PL0"): SizeRange(min_gib=1, max_gib=65536),
    ("cloud_essd", "PL1"): SizeRange(min_gib=20, max_gib=65536),
    ("cloud_essd", "PL2"): SizeRange(min_gib=461, max_gib=65536),
    ("cloud_essd", "PL3"): SizeRange(min_gib=1261, max_gib=65536),
    ("cloud_auto", ""): SizeRange(min_gib=1, max_gib=65536),
    ("cloud_essd_entry", ""): SizeRange(min_gib=10, max_gib=32768),
    ("cloud_essd_xc0", ""): SizeRange(min_gib=40, max_gib=65536),
    ("cloud_essd_xc1", ""): SizeRange(min_gib=40, max_gib=65536),
}
"""What each category is sold in (ECS user guide, "Block storage"). Disks of a whole region, and
those bound to one machine, need another placement and are refused by name."""

CATEGORIES: Final = tuple(dict.fromkeys(name for name, _ in SIZES))
DEFAULT_CATEGORIES: Final = ("cloud_ssd", "cloud_efficiency")
MULTI_ATTACH_CATEGORIES: Final = frozenset({"cloud_essd", "cloud_auto"})

KMS_KEY_ANNOTATION: Final = "alibabacloud.com/kms-key-id"
TAG: Final = re.compile(r"[^:]{1,128}")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AlibabaSnapshotParameters(SnapshotParameters):
    """A snapshot class of this provider."""

    retention_days: int | None = None
    resource_group_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def _categories(text: str) -> tuple[str, ...]:
    if text == "available":
        return DEFAULT_CATEGORIES
    return comma_list(one_of(CATEGORIES))(text)


def _tags(text: str) -> Mapping[str, str]:
    tags: dict[str, str] = {}
    for pair in comma_list()(text):
        key, colon, value = pair.partition(":")
        if not colon or not TAG.fullmatch(key):
            raise Refused("allowed is a comma list of key:value")
        tags[key.strip()] = value.strip()
    return tags


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
            help="make a size below the category's smallest that smallest",
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
            name="restrictToHpnZone", parse=one_of(("never",)), default="never",
            help="only `never` is served",
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
        kinds=_kinds(values["type"], values["performanceLevel"]),
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
        tags={**values["diskTags"], **values["diskTags/"]},
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
        tags=parsed.values["snapshotTags/"],
    )


def _kinds(categories: tuple[str, ...], levels: tuple[str, ...]) -> tuple[DiskKind, ...]:
    kinds: list[DiskKind] = []
    for name in categories:
        for level in (levels or ("",)) if name == "cloud_essd" else ("",):
            attributes = {"type": name, **({"performanceLevel": level} if level else {})}
            label = f"{name} {level}".strip()
            kinds.append(DiskKind(label=label, sizes=SIZES[(name, level)], attributes=attributes))
    return tuple(kinds)


def _context(values: Mapping[str, Any]) -> Mapping[str, str]:
    """What the node reads of the class."""
    context = {"mkfsOptions": values["mkfsOptions"]} if values["mkfsOptions"] else {}
    return {**context, "omitfsck": "true"} if values["omitfsck"] else context


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
