"""What answers share: times, tags, pages."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from mockcloud.engine.clock import utc
from mockcloud.errors import ApiError
from mockcloud.wire.params import Params

Item = TypeVar("Item")

PAGE_DEFAULT: Final = 10
PAGE_MOST: Final = 100
TAG_LIMIT: Final = 20
TAG_TEXT_LIMIT: Final = 128
FOREVER: Final = "2999-09-08T16:00Z"
"""When something ends that is paid by use."""


def moment(seconds: float) -> str:
    """A time to the second; empty for none."""
    return utc(seconds).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""


def minute(seconds: float) -> str:
    """A time to the minute."""
    return utc(seconds).strftime("%Y-%m-%dT%H:%MZ")


def tags_told(tags: Mapping[str, str]) -> dict[str, Any]:
    """Tags as Describe calls show them."""
    return {"Tag": [{"TagKey": key, "TagValue": value} for key, value in tags.items()]}


def tags_given(params: Params) -> dict[str, str]:
    """The tags of a request, checked.

    Raises:
        ApiError: too many, twice the same key, or a key or value that is not allowed.
    """
    given = params.structs("Tag", ("Key", "Value"))
    if len(given) > TAG_LIMIT:
        raise ApiError(403, "QuotaExceed.Tags", "The maximum number of tags is exceeded.")
    tags: dict[str, str] = {}
    for one in given:
        key, value = one.get("Key", ""), one.get("Value", "")
        if key in tags:
            raise ApiError(400, "Duplicate.TagKey", "The Tag.N.Key contains duplicate keys.")
        lower = key.lower()
        if not key or len(key) > TAG_TEXT_LIMIT or lower.startswith(("acs:", "aliyun", "http")):
            raise ApiError(400, "InvalidTagKey.Malformed", "The specified Tag.n.Key is not valid.")
        if len(value) > TAG_TEXT_LIMIT or value.lower().startswith(("http://", "https://")):
            raise ApiError(
                400, "InvalidTagValue.Malformed", "The specified Tag.n.Value is not valid."
            )
        tags[key] = value
    return tags


def tags_match(tags: Mapping[str, str], wanted: Sequence[Mapping[str, str]]) -> bool:
    """Whether all wanted tags are there; a tag without a value asks for the key alone."""
    return all(
        one.get("Key", "") in tags
        and ("Value" not in one or tags[one.get("Key", "")] == one["Value"])
        for one in wanted
    )


@dataclass(frozen=True, slots=True)
class Page:
    """What a listing answers beside its items."""

    items: Sequence[Any]
    told: dict[str, Any]


def page(items: Sequence[Item], params: Params, *, least: int, most: int) -> Page:
    """A part of the items: by token where a token or a size for it is given, else by number.

    Sizes out of range are moved into it, as ECS does without a word.
    """
    if "NextToken" in params or "MaxResults" in params:
        size = min(max(params.integer("MaxResults", least), least), most)
        start = _start(params.text("NextToken"))
        rest = start + size < len(items)
        token = _token(start + size) if rest else ""
        shown = items[start : start + size]
        return Page(shown, {"NextToken": token, "TotalCount": 0, "PageNumber": 0, "PageSize": size})
    size = min(max(params.integer("PageSize", PAGE_DEFAULT), 1), PAGE_MOST)
    number = max(params.integer("PageNumber", 1), 1)
    shown = items[(number - 1) * size : number * size]
    return Page(
        shown,
        {"NextToken": "", "TotalCount": len(items), "PageNumber": number, "PageSize": size},
    )


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(f"from:{start}".encode()).decode()


def _start(token: str) -> int:
    if not token:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if word == "from":
            return int(number)
    except ValueError:
        pass
    raise ApiError(403, "Invalid.NextToken", "The specified NextToken is not valid.")
