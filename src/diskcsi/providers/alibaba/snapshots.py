"""Snapshots of ECS, told as the port wants them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from diskcsi.model.errors import InvalidArgument, InvalidToken, NotFound
from diskcsi.model.ids import SnapshotId, VolumeId
from diskcsi.model.volume import Snapshot, SnapshotPage, SnapshotSpec
from diskcsi.providers.alibaba.calls import Calls, build, id_list
from diskcsi.providers.alibaba.parameters import AlibabaSnapshotParameters
from diskcsi.providers.alibaba.tokens import client_token

READ_BATCH: Final = 100
"""Ids, or entries, in one DescribeSnapshots (ECS API, DescribeSnapshots)."""

SMALLEST_PAGE: Final = 10
"""The API answers no fewer than these, whatever it is asked for."""

NAME_TAG: Final = "csi.alibabacloud.com/snapshot-name"

SNAPSHOT_ID: Final = re.compile(r"s-[a-z0-9]{1,60}")
SNAPSHOT_NAME: Final = re.compile(r"(?!auto|http)[A-Za-z][A-Za-z0-9:_.\-]{1,127}")


class EcsSnapshots:
    """Snapshots of one region."""

    def __init__(self, *, calls: Calls, region: str) -> None:
        self._calls = calls
        self._region = region

    async def find_snapshots(self, name: str) -> Sequence[Snapshot]:
        """By the tag that carries the name."""
        found, _ = await self._page({"Tags": [{"Key": NAME_TAG, "Value": name}]})
        return found

    async def get_snapshots(
        self, snapshot_ids: Collection[SnapshotId]
    ) -> Mapping[SnapshotId, Snapshot]:
        """In calls of a hundred; an id of another form is not asked for, it can't exist."""
        ids = sorted({one for one in snapshot_ids if SNAPSHOT_ID.fullmatch(one)})
        found: dict[SnapshotId, Snapshot] = {}
        for start in range(0, len(ids), READ_BATCH):
            part, _ = await self._page({"SnapshotIds": id_list(ids[start : start + READ_BATCH])})
            found |= {one.id: one for one in part}
        return found

    async def create_snapshot(self, spec: SnapshotSpec) -> SnapshotId:
        """CreateSnapshot, with a token made of the name."""
        parameters = spec.parameters
        if not isinstance(parameters, AlibabaSnapshotParameters):
            raise InvalidArgument("the snapshot class was parsed by another provider")
        tags = {
            **dict(sorted(parameters.tags.items())),
            NAME_TAG: spec.name,
            "createdby": "alibabacloud-csi-plugin",
        }
        answer = await self._calls.call(
            build(
                "CreateSnapshot",
                {
                    "DiskId": spec.source_volume_id,
                    "SnapshotName": spec.name if SNAPSHOT_NAME.fullmatch(spec.name) else None,
                    "RetentionDays": parameters.retention_days,
                    "ResourceGroupId": parameters.resource_group_id,
                    "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                    "ClientToken": client_token(spec.name, spec.attempt),
                },
            )
        )
        return SnapshotId(str(answer["SnapshotId"]))

    async def delete_snapshot(self, snapshot_id: SnapshotId) -> None:
        """DeleteSnapshot; disks that were made from it keep their data."""
        if not SNAPSHOT_ID.fullmatch(snapshot_id):
            raise NotFound(f"snapshot {snapshot_id!r} does not exist: this is no snapshot id")
        await self._calls.call(build("DeleteSnapshot", {"SnapshotId": snapshot_id, "Force": True}))

    async def list_snapshots(
        self, *, source_volume_id: VolumeId | None, limit: int, token: str
    ) -> SnapshotPage:
        """A page of any size, cut from the API's own pages.

        The token tells the API's page and how much of it was given out already.
        """
        cursor, skip = _position(token)
        filters: dict[str, Any] = {
            "DiskId": source_volume_id,
            "SnapshotType": "user",
            "NextToken": cursor,
            "MaxResults": max(min(limit, READ_BATCH), SMALLEST_PAGE),
        }
        found, following = await self._page(filters)
        shown = found[skip : skip + limit]
        if skip + limit < len(found):
            next_token = _token(cursor, skip + limit)
        else:
            next_token = _token(following, 0) if following else ""
        return SnapshotPage(snapshots=tuple(shown), next_token=next_token)

    async def _page(self, filters: Mapping[str, Any]) -> tuple[list[Snapshot], str]:
        try:
            answer = await self._calls.call(
                build(
                    "DescribeSnapshots",
                    {"RegionId": self._region, "MaxResults": READ_BATCH, **filters},
                )
            )
        except InvalidArgument as error:
            if error.code == "Invalid.NextToken":
                raise InvalidToken("the listing can't be continued: begin it anew") from error
            raise
        told = (answer.get("Snapshots") or {}).get("Snapshot") or ()
        return [_snapshot(one) for one in told], str(answer.get("NextToken") or "")


def _snapshot(told: Mapping[str, Any]) -> Snapshot:
    tags = {
        one.get("TagKey"): one.get("TagValue") for one in (told.get("Tags") or {}).get("Tag") or ()
    }
    created = str(told.get("CreationTime") or "")
    return Snapshot(
        id=SnapshotId(str(told["SnapshotId"])),
        source_volume_id=VolumeId(str(told.get("SourceDiskId") or "")),
        size_gib=int(told.get("SourceDiskSize") or 0),
        name=str(tags.get(NAME_TAG) or ""),
        created_at=datetime.fromisoformat(created) if created else None,
        ready=told.get("Available") is True,
        failed=told.get("Status") == "failed",
    )


def _token(cursor: str, skip: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([cursor, skip]).encode()).decode()


def _position(token: str) -> tuple[str, int]:
    if not token:
        return "", 0
    try:
        cursor, skip = json.loads(base64.urlsafe_b64decode(token.encode()))
        return str(cursor), int(skip)
    except (ValueError, TypeError) as error:
        raise InvalidToken("starting_token is none of this driver's") from error
