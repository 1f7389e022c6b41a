"""TagResources, UntagResources, ListTagResources."""

from __future__ import annotations

from typing import Any, Final

from mockcloud.actions.shapes import TAG_LIMIT, tags_given
from mockcloud.engine.engine import Engine
from mockcloud.errors import ApiError
from mockcloud.wire.params import Params

Answer = dict[str, Any]

RESOURCES_MOST: Final = 50


async def tag_resources(engine: Engine, params: Params) -> Answer:
    """Put tags on resources; a key that is there gets the new value."""
    found = _resources(engine, params)
    tags = tags_given(params, too_many=(400, "NumberExceed.Tags"))
    if not tags:
        raise ApiError(404, "MissingParameter.Tags", "The parameter Tag.N is required.")
    for one in found:
        if len({*one, *tags}) > TAG_LIMIT:
            raise ApiError(403, "QuotaExceed.Tags", "The maximum number of tags is exceeded.")
    for one in found:
        one.update(tags)
    return {}


async def untag_resources(engine: Engine, params: Params) -> Answer:
    """Take tags off resources; a key that is not there is fine."""
    found, keys = _resources(engine, params), params.repeated("TagKey")
    if params.boolean("All") and keys:
        raise ApiError(403, "Param.Conflict", "All and TagKey.N exclude each other.")
    for one in found:
        for key in list(one) if params.boolean("All") else keys:
            one.pop(key, None)
    return {}


async def list_tag_resources(engine: Engine, params: Params) -> Answer:
    """The tags of resources."""
    kind = params.required("ResourceType", status=404, code="MissingParameter.ResourceType")
    ids = params.repeated("ResourceId")
    wanted = params.structs("Tag", ("Key", "Value"))
    if not ids and not wanted:
        raise ApiError(403, "BothEmpty.TagsAndResources")
    told = [
        {"ResourceId": one, "ResourceType": kind.lower(), "TagKey": key, "TagValue": value}
        for one, tags in _all(engine, kind).items()
        if (not ids or one in ids)
        for key, value in tags.items()
        if not wanted or any(w.get("Key") == key and w.get("Value", value) == value for w in wanted)
    ]
    return {"NextToken": "", "TagResources": {"TagResource": told}}


def _resources(engine: Engine, params: Params) -> list[dict[str, str]]:
    params.required("RegionId", status=404, code="MissingParameter.RegionId")
    kind = params.required("ResourceType", status=404, code="MissingParameter.ResourceType")
    ids = params.repeated("ResourceId")
    if not ids:
        raise ApiError(404, "MissingParameter.ResourceIds", "The parameter ResourceId is required.")
    if len(ids) > RESOURCES_MOST:
        raise ApiError(400, "NumberExceed.ResourceIds")
    known = _all(engine, kind)
    if any(one not in known for one in ids):
        raise ApiError(404, "InvalidResourceId.NotFound", "A specified resource does not exist.")
    return [known[one] for one in ids]


def _all(engine: Engine, kind: str) -> dict[str, dict[str, str]]:
    match kind.lower():
        case "disk":
            return {one.id: one.tags for one in engine.disks.values()}
        case "snapshot":
            return {one.id: one.tags for one in engine.snapshots.values()}
        case "instance":
            return {one.id: one.tags for one in engine.instances.values()}
    raise ApiError(404, "InvalidResourceType.NotFound", "The specified type does not exist.")
