"""What answers share: times, tags, pages."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from mockcloud.engine.clock import utc
from mockcloud.errors import ApiError
from mockcloud.wire.params import Params

Item = TypeVar("Item")

PAGE_DEFAULT: Final = 10
PAGE_MOST: Final = 100
NAME: Final = re.compile(r"[^\W\d_][\w:.\-]{1,127}")
NAME_LEAST: Final = 2
DESCRIPTION_MOST: Final = 256
ADDRESS_STARTS: Final = ("http://", "https://")
TAG_LIMIT: Final = 20
TAG_TEXT_LIMIT: Final = 128
MINUTE_FORM: Final = "%Y-%m-%dT%H:%MZ"
FOREVER: Final = "2999-09-08T16:00Z"
"""When something ends that is paid by use."""


def moment(seconds: float) -> str:
    """A time to the second; empty for none."""
    return utc(seconds).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""


def minute(seconds: float) -> str:
    """A time to the minute."""
    return utc(seconds).strftime(MINUTE_FORM)


def check_words(params: Params, name: str, *, description_status: int) -> None:
    """Refuse a name or description that is not allowed; calls differ in the status of the latter.

    Raises:
        ApiError: `Invalid{name}.Malformed` or `InvalidDescription.Malformed`.
    """
    text = params.text(name)
    if text and not NAME.fullmatch(text):
        raise ApiError(400, f"Invalid{name}.Malformed", f"The specified {name} is not valid.")
    description = params.text("Description")
    short = 1 <= len(description) < NAME_LEAST
    if short or len(description) > DESCRIPTION_MOST or description.startswith(ADDRESS_STARTS):
        raise ApiError(
            description_status,
            "InvalidDescription.Malformed",
            "The specified Description is not valid.",
        )


def tags_told(tags: Mapping[str, str]) -> dict[str, Any]:
    """Tags as Describe calls show them."""
    return {"Tag": [{"TagKey": key, "TagValue": value} for key, value in tags.items()]}


def tags_given(
    params: Params, *, too_many: tuple[int, str] = (403, "QuotaExceed.Tags")
) -> dict[str, str]:
    """The tags of a request, checked; calls differ in what they say of too many.

    Raises:
        ApiError: too many, twice the same key, or a key or value that is not allowed.
    """
    given = params.structs("Tag", ("Key", "Value"))
    if len(given) > TAG_LIMIT:
        raise ApiError(*too_many, "The maximum number of tags is exceeded.")
    tags: dict[str, str] = {}
    for one in given:
        key, value = one.get("Key", ""), one.get("Value", "")
        if key in tags:
            raise ApiError(400, "Duplicate.TagKey", "The Tag.N.Key contains duplicate keys.")
        lower = key.lower()
        reserved = lower.startswith(("acs:", "aliyun")) or any(
            one in lower for one in ADDRESS_STARTS
        )
        if not key or len(key) > TAG_TEXT_LIMIT or reserved:
            raise ApiError(400, "InvalidTagKey.Malformed", "The specified Tag.n.Key is not valid.")
        if len(value) > TAG_TEXT_LIMIT or any(one in value.lower() for one in ADDRESS_STARTS):
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


def created_between(params: Params) -> tuple[float, float]:
    """The span of creation times that the filters of a search leave, in seconds since the epoch.

    Raises:
        ApiError: a filter is unknown, or its time can't be read.
    """
    span = {"CreationStartTime": 0.0, "CreationEndTime": math.inf}
    for one in params.structs("Filter", ("Key", "Value")):
        key = one.get("Key", "")
        if key not in span:
            raise ApiError(404, "InvalidFilterKey.NotFound", "The specified filter is not known.")
        try:
            told = datetime.strptime(one.get("Value", ""), MINUTE_FORM).replace(tzinfo=UTC)
        except ValueError:
            raise ApiError(
                404, "InvalidFilterValue", "The specified filter's time is not valid."
            ) from None
        span[key] = told.timestamp()
    return span["CreationStartTime"], span["CreationEndTime"]


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
        found = part(items, params, least=least, most=most, default=max(least, PAGE_DEFAULT))
        told = {"TotalCount": 0, "PageNumber": 0, "PageSize": found.size}
        return Page(found.items, {"NextToken": found.token, **told})
    size = min(max(params.integer("PageSize", PAGE_DEFAULT), 1), PAGE_MOST)
    number = max(params.integer("PageNumber", 1), 1)
    shown = items[(number - 1) * size : number * size]
    return Page(
        shown,
        {"NextToken": "", "TotalCount": len(items), "PageNumber": number, "PageSize": size},
    )


@dataclass(frozen=True, slots=True)
class Part:
    """Items from a token on, and the token of what follows; empty at the end."""

    items: Sequence[Any]
    token: str
    size: int


def part(items: Sequence[Item], params: Params, *, most: int, default: int, least: int = 1) -> Part:
    """The part that `NextToken` and `MaxResults` ask for."""
    size = min(max(params.integer("MaxResults", default), least), most)
    start = _start(params.text("NextToken"))
    token = _token(start + size) if start + size < len(items) else ""
    return Part(items[start : start + size], token, size)


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
