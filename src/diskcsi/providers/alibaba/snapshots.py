"""Snapshots of ECS, told as the port wants them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from diskcsi.model.errors import InvalidArgument, InvalidToken
from diskcsi.model.ids import SnapshotId, VolumeId
from diskcsi.model.volume import Snapshot, SnapshotPage, SnapshotSpec
from diskcsi.providers.alibaba.calls import Calls, build, id_list, understood
from diskcsi.providers.alibaba.parameters import AlibabaSnapshotParameters
from diskcsi.providers.alibaba.shapes import (
    DISK_ID,
    READ_BATCH,
    SNAPSHOT_ID,
    pages,
    read_by_id,
    refuse_malformed,
    tag_list,
    tags_of,
    told_id,
    wrapped,
)
from diskcsi.providers.alibaba.tokens import client_token

SMALLEST_PAGE: Final = 10
"""The API answers no fewer than these, whatever it is asked for."""

NAME_TAG: Final = "csi.alibabacloud.com/snapshot-name"

SNAPSHOT_NAME: Final = re.compile(r"(?!(?i:auto|http))[A-Za-z][A-Za-z0-9:_.\-]{1,127}")


class EcsSnapshots:
    """Snapshots of one region."""

    def __init__(self, *, calls: Calls, region: str) -> None:
        self._calls = calls
        self._region = region

    async def find_snapshots(self, name: str) -> Sequence[Snapshot]:
        """By the tag that carries the name."""
        entries = await self._all({"Tags": [{"Key": NAME_TAG, "Value": name}]})
        with understood("DescribeSnapshots"):  # one that can't be read may be the snapshot
            return [_snapshot(told) for told in entries]

    async def get_snapshots(
        self, snapshot_ids: Collection[SnapshotId]
    ) -> Mapping[SnapshotId, Snapshot]:
        """In calls of a hundred; an id of another form is not asked for, it can't exist."""
        ids = sorted({one for one in snapshot_ids if SNAPSHOT_ID.fullmatch(one)})
        found = await read_by_id(
            lambda part: self._all({"SnapshotIds": id_list(part)}),
            _snapshot,
            ids,
            action="DescribeSnapshots",
            member="SnapshotId",
        )
        return {snapshot.id: snapshot for snapshot in found}

    async def create_snapshot(self, spec: SnapshotSpec) -> SnapshotId:
        """CreateSnapshot, with a token made of the name."""
        parameters = spec.parameters
        if not isinstance(parameters, AlibabaSnapshotParameters):
            raise InvalidArgument("the snapshot class was parsed by another provider")
        refuse_malformed(DISK_ID, spec.source_volume_id, "disk")
        own = {NAME_TAG: spec.name, "createdby": "alibabacloud-csi-plugin"}
        answer = await self._calls.call(
            build(
                "CreateSnapshot",
                {
                    "DiskId": spec.source_volume_id,
                    "SnapshotName": spec.name if SNAPSHOT_NAME.fullmatch(spec.name) else None,
                    "RetentionDays": parameters.retention_days,
                    "ResourceGroupId": parameters.resource_group_id,
                    "Tags": tag_list(own, parameters.tags, what="the snapshot class"),
                    "ClientToken": client_token(spec.name, spec.attempt),
                },
            )
        )
        with understood("CreateSnapshot"):
            return SnapshotId(told_id(SNAPSHOT_ID, answer, "SnapshotId"))

    async def delete_snapshot(self, snapshot_id: SnapshotId) -> None:
        """DeleteSnapshot; disks that were made from it keep their data."""
        refuse_malformed(SNAPSHOT_ID, snapshot_id, "snapshot")
        await self._calls.call(build("DeleteSnapshot", {"SnapshotId": snapshot_id, "Force": True}))

    async def list_snapshots(
        self, *, source_volume_id: VolumeId | None, limit: int, token: str
    ) -> SnapshotPage:
        """A page of any size, cut from the API's own pages.

        The token tells the API's page and how much of it was given out already.
        """
        cursor, skip = _position(token)
        if source_volume_id is not None and not DISK_ID.fullmatch(source_volume_id):
            return SnapshotPage(snapshots=())
        found, following = await self._page(
            {
                "DiskId": source_volume_id,
                "SnapshotType": "user",
                "NextToken": cursor,
                "MaxResults": max(min(limit, READ_BATCH), SMALLEST_PAGE),
            }
        )
        shown = found[skip : skip + limit]
        if skip + limit < len(found):
            next_token = _token(cursor, skip + limit)
        else:
            next_token = _token(following, 0) if following else ""
        return SnapshotPage(snapshots=tuple(shown), next_token=next_token)

    async def _page(self, filters: Mapping[str, Any]) -> tuple[list[Snapshot], str]:
        """One page of the API's, and the token of the next."""
        try:
            answer = await self._calls.call(
                build("DescribeSnapshots", {"RegionId": self._region, **filters})
            )
        except InvalidArgument as error:
            # everything else in the request is ours; the API documents no code for its token
            if filters["NextToken"]:
                raise InvalidToken("the listing can't be continued: begin it anew") from error
            raise
        with understood("DescribeSnapshots"):
            # of a page nothing is left out: what isn't listed is taken for gone
            return [_snapshot(told) for told in _told(answer)], str(answer.get("NextToken") or "")

    async def _all(self, filters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        asked = {"RegionId": self._region, "MaxResults": READ_BATCH, **filters}
        answers = await pages(self._calls, "DescribeSnapshots", asked)
        with understood("DescribeSnapshots"):
            return [told for one in answers for told in _told(one)]


def _told(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return wrapped(answer, "Snapshots", "Snapshot")


def _snapshot(told: Mapping[str, Any]) -> Snapshot:
    created = str(told.get("CreationTime") or "")
    return Snapshot(
        id=SnapshotId(told_id(SNAPSHOT_ID, told, "SnapshotId")),
        source_volume_id=VolumeId(str(told.get("SourceDiskId") or "")),
        size_gib=int(told.get("SourceDiskSize") or 0),
        name=tags_of(told).get(NAME_TAG, ""),
        created_at=datetime.fromisoformat(created) if created else None,
        ready=told.get("Available") is True or told.get("Status") == "accomplished",
        failed=told.get("Status") == "failed",
    )


def _token(cursor: str, skip: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([cursor, skip]).encode()).decode()


def _position(token: str) -> tuple[str, int]:
    if not token:
        return "", 0
    try:
        cursor, skip = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidToken("starting_token is none of this driver's") from error
    if not isinstance(cursor, str) or not isinstance(skip, int) or not 0 <= skip < READ_BATCH:
        raise InvalidToken("starting_token is none of this driver's")
    return cursor, skip
