"""Class parameters of this provider, parsed and checked against each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from typing_extensions import override

from diskcsi.model.errors import InvalidArgument
from diskcsi.model.parameters import DiskKind, SnapshotParameters, VolumeParameters
from diskcsi.model.volume import Disk
from diskcsi.providers.alibaba.categories import MULTI_ATTACH_CATEGORIES, SIZES
from diskcsi.providers.alibaba.schemas import (
    KMS_KEY_ANNOTATION,
    ROUNDED_UP_GIB,
    SNAPSHOT_SCHEMA,
    VOLUME_SCHEMA,
)

ENCRYPTED: Final = "encrypted"
KMS_KEY: Final = "kmsKeyId"
"""Among the facts of a disk: whether it is encrypted, and by which key."""

TAG_KEY: Final = re.compile(r"(?!(?i:acs:|aliyun|https?://)).{1,128}", re.DOTALL)
TAG_VALUE: Final = re.compile(r"(?!(?i:https?://)).{0,128}", re.DOTALL)
"""What a tag may be (ECS API, CreateDisk)."""

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
        round_up_key="volumeSizeAutoAvailable",
        context=_context(values),
        warnings=(*parsed.warnings, *_plain_despite_key(values)),
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
    return _key_told(values) if values["encrypted"] else ""


def _key_told(values: Mapping[str, Any]) -> str:
    return str(values[KMS_KEY_ANNOTATION] or values[KMS_KEY])


def _plain_despite_key(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Served as by the Go driver, for classes that are there; whoever wrote it may not know."""
    if values["encrypted"] or not _key_told(values):
        return ()
    return ("kmsKeyId: the disk is not encrypted, as encrypted isn't set",)


def _refuse_contradictions(values: Mapping[str, Any]) -> None:
    unshared = [name for name in values["type"] if name not in MULTI_ATTACH_CATEGORIES]
    if values["multiAttach"] and unshared:
        raise InvalidArgument(
            f"multiAttach is set, and {', '.join(unshared)} can't be shared",
            hint=f"allowed are {', '.join(sorted(MULTI_ATTACH_CATEGORIES))}",
        )
    if values["storageClusterId"] and not values["performanceLevel"]:
        raise InvalidArgument("storageClusterId needs performanceLevel")
