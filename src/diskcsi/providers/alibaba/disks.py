"""Disks and attachments of ECS, told as the port wants them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from diskcsi.model.errors import InvalidArgument
from diskcsi.model.ids import NodeId, SnapshotId, VolumeId
from diskcsi.model.volume import Disk, DiskSpec, DiskState, Node
from diskcsi.providers.alibaba.calls import Calls, build, id_list, understood
from diskcsi.providers.alibaba.parameters import ENCRYPTED, KMS_KEY, AlibabaVolumeParameters
from diskcsi.providers.alibaba.shapes import (
    DISK_ID,
    INSTANCE_ID,
    READ_BATCH,
    TAG_TEXT_LIMIT,
    pages,
    read_by_id,
    refuse_malformed,
    tag_list,
    tags_of,
    told_id,
    told_text,
    wrapped,
)
from diskcsi.providers.alibaba.tokens import client_token

NAME_TAG: Final = "csi.alibabacloud.com/volume-name"
"""Carries the CSI name; a disk's own name allows fewer letters and needn't be unique."""

DISK_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9:_.\-]{1,127}")

SIDECAR_TAGS: Final = (
    "csi.storage.k8s.io/pvc/name",
    "csi.storage.k8s.io/pvc/namespace",
    "csi.storage.k8s.io/pv/name",
)
"""What the provisioner tells of the claim, and the tags of the same names."""

STATES: Final = {
    "Creating": DiskState.CREATING,
    "Available": DiskState.AVAILABLE,
    "Attaching": DiskState.ATTACHING,
    "In_use": DiskState.IN_USE,
    "Detaching": DiskState.DETACHING,
}
"""Others, such as ReIniting and Modifying, are known by who holds the disk."""

SHARED: Final = "LegacyShared"
"""Disks of the first kind of sharing tell their holders elsewhere."""


class EcsDisks:
    """Disks and attachments of one region.

    Args:
        cluster_id: put on every disk as a tag, where it is known.
    """

    def __init__(self, *, calls: Calls, region: str, cluster_id: str) -> None:
        self._calls = calls
        self._region = region
        self._cluster_id = cluster_id

    async def find_disks(self, name: str) -> Sequence[Disk]:
        """By the tag that carries the name."""
        entries = await self._describe({"Tags": [{"Key": NAME_TAG, "Value": name}]})
        with understood("DescribeDisks"):  # one that can't be read may be the disk
            return [_disk(told) for told in entries]

    async def get_disks(self, volume_ids: Collection[VolumeId]) -> Mapping[VolumeId, Disk]:
        """In calls of a hundred; an id of another form is not asked for, it can't exist."""
        ids = sorted({one for one in volume_ids if DISK_ID.fullmatch(one)})
        found = await read_by_id(
            lambda part: self._describe({"DiskIds": id_list(part)}),
            _disk,
            ids,
            action="DescribeDisks",
            member="DiskId",
        )
        return {disk.id: disk for disk in found}

    async def create_disk(self, spec: DiskSpec) -> VolumeId:
        """CreateDisk, with a token made of the name."""
        answer = await self._calls.call(build("CreateDisk", self._creation(spec)))
        with understood("CreateDisk"):
            return VolumeId(told_id(DISK_ID, answer, "DiskId"))

    async def delete_disk(self, volume_id: VolumeId) -> None:
        """DeleteDisk."""
        refuse_malformed(DISK_ID, volume_id, "disk")
        await self._calls.call(build("DeleteDisk", {"DiskId": volume_id}))

    async def resize_disk(self, volume_id: VolumeId, size_gib: int) -> None:
        """ResizeDisk without a restart of the machine, which serves detached disks as well.

        No ClientToken: the size that is asked for is absolute, so a repeat changes nothing, and a
        token would repeat an earlier refusal.
        """
        refuse_malformed(DISK_ID, volume_id, "disk")
        await self._calls.call(
            build("ResizeDisk", {"DiskId": volume_id, "NewSize": size_gib, "Type": "online"})
        )

    async def attach_disk(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """AttachDisk."""
        await self._move("AttachDisk", volume_id, node_id)

    async def detach_disk(self, volume_id: VolumeId, node_id: NodeId) -> None:
        """DetachDisk."""
        await self._move("DetachDisk", volume_id, node_id)

    async def get_node(self, node_id: NodeId) -> Node | None:
        """DescribeInstances of one id."""
        if not INSTANCE_ID.fullmatch(node_id):
            return None
        answer = await self._calls.call(
            build(
                "DescribeInstances", {"RegionId": self._region, "InstanceIds": id_list([node_id])}
            )
        )
        with understood("DescribeInstances"):
            for one in wrapped(answer, "Instances", "Instance"):
                if one["InstanceId"] == node_id:
                    return Node(id=node_id, zone=str(one.get("ZoneId") or ""))
        return None

    async def check(self) -> None:
        """A read that finds nothing: the cheapest call that needs endpoint, key and right."""
        await self._describe({"DiskIds": id_list(["d-none"])})

    async def _move(self, action: str, volume_id: VolumeId, node_id: NodeId) -> None:
        refuse_malformed(DISK_ID, volume_id, "disk")
        refuse_malformed(INSTANCE_ID, node_id, "instance")
        await self._calls.call(build(action, {"InstanceId": node_id, "DiskId": volume_id}))

    async def _describe(self, filters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        asked = {"RegionId": self._region, "MaxResults": READ_BATCH, **filters}
        answers = await pages(self._calls, "DescribeDisks", asked)
        with understood("DescribeDisks"):
            return [told for one in answers for told in wrapped(one, "Disks", "Disk")]

    def _creation(self, spec: DiskSpec) -> dict[str, Any]:
        parameters = spec.parameters
        if not isinstance(parameters, AlibabaVolumeParameters):
            raise InvalidArgument("the class was parsed by another provider")
        category = spec.kind.attributes["type"]
        auto = category == "cloud_auto"
        return {
            "RegionId": self._region,
            "ZoneId": spec.zone,
            "DiskCategory": category,
            "PerformanceLevel": spec.kind.attributes.get("performanceLevel"),
            "Size": spec.size_gib,
            "SnapshotId": spec.snapshot_id,
            "DiskName": spec.name if DISK_NAME.fullmatch(spec.name) else None,
            "Encrypted": parameters.encrypted or None,
            "KMSKeyId": parameters.kms_key_id,
            "MultiAttach": "Enabled" if parameters.multi_attach else None,
            "ProvisionedIops": parameters.provisioned_iops if auto else None,
            "BurstingEnabled": parameters.bursting if auto else None,
            "ResourceGroupId": parameters.resource_group_id,
            "StorageClusterId": parameters.storage_cluster_id,
            "Tags": self._tags(spec, parameters),
            "ClientToken": client_token(spec.name, spec.attempt),
        }

    def _tags(self, spec: DiskSpec, parameters: AlibabaVolumeParameters) -> list[dict[str, str]]:
        """In a fixed order: ECS compares a repeated request by its text."""
        own = {
            NAME_TAG: spec.name,
            "k8s.aliyun.com": "true",
            "createdby": "alibabacloud-csi-plugin",
            **({"ack.aliyun.com": self._cluster_id} if self._cluster_id else {}),
            # for people: a claim's name may be longer, and no volume fails for it
            **{
                key: spec.labels[key][:TAG_TEXT_LIMIT] for key in SIDECAR_TAGS if key in spec.labels
            },
        }
        return tag_list(own, parameters.tags, what="the class")


def _disk(told: Mapping[str, Any]) -> Disk:
    tags = tags_of(told)
    holders = frozenset(NodeId(one) for one in _holders(told))
    facts = {
        "type": told.get("Category"),
        "performanceLevel": told.get("PerformanceLevel"),
        ENCRYPTED: "true" if told.get("Encrypted") else None,
        KMS_KEY: told.get("KMSKeyId"),
    }
    settled = DiskState.IN_USE if holders else DiskState.AVAILABLE
    source = str(told.get("SourceSnapshotId") or "")
    return Disk(
        id=VolumeId(told_id(DISK_ID, told, "DiskId")),
        size_gib=int(told["Size"]),
        state=STATES.get(str(told.get("Status")), settled),
        name=tags.get(NAME_TAG, ""),
        zone=str(told.get("ZoneId") or ""),
        attached_to=holders,
        serial=str(told.get("SerialNumber") or ""),
        source_snapshot_id=SnapshotId(source) if source else None,
        multi_attach=told.get("MultiAttach") == "Enabled",
        attributes={key: str(value) for key, value in facts.items() if value},
    )


def _holders(told: Mapping[str, Any]) -> list[str]:
    """Attachments alone is the truth: the one InstanceId of a disk that several hold is empty.

    Who holds a disk needn't be a machine of a known kind; what counts is that it isn't free.
    """
    holders = wrapped(told, "Attachments", "Attachment")
    if told.get("MultiAttach") == SHARED:
        holders += wrapped(told, "MountInstances", "MountInstance")
    return [told_text(one, "InstanceId") for one in holders]
