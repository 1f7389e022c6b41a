"""The forms in which ECS takes and tells ids, lists, pages and tags."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from diskcsi.model.errors import InvalidArgument, NotFound, Unreachable
from diskcsi.providers.alibaba.calls import Calls, build, understood


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


Id = TypeVar("Id", bound=str)
Thing = TypeVar("Thing", bound=_Identified)

DISK_ID: Final = re.compile(r"d-[a-z0-9]{1,60}")
INSTANCE_ID: Final = re.compile(r"(i|eci|acs)-[a-z0-9]{1,60}")
SNAPSHOT_ID: Final = re.compile(r"s-[a-z0-9]{1,60}")

READ_BATCH: Final = 100
"""Ids, or entries, in one read (ECS API, DescribeDisks and DescribeSnapshots)."""

TOLD_IDS: Final = 3
"""Ids that one message names; a cloud that tells nonsense does so of many."""

TAG_LIMIT: Final = 20
"""Tags of one object (ECS API, CreateDisk and CreateSnapshot)."""

TAG_TEXT_LIMIT: Final = 128
"""Characters of a tag's value (same)."""


def refuse_malformed(form: re.Pattern[str], value: str, what: str) -> None:
    """Refuse an id that ECS never gives: it stands for nothing, and is a bad parameter to ECS.

    Raises:
        NotFound: `value` has another form.
    """
    if not form.fullmatch(value):
        raise NotFound(f"{what} {value!r} does not exist: this is no {what} id")


def told_id(form: re.Pattern[str], told: Mapping[str, Any], member: str) -> str:
    """The id that an answer tells.

    Raises:
        KeyError, ValueError: it tells none, or something else; `understood` explains it.
    """
    value = told_text(told, member)
    if not form.fullmatch(value):
        raise ValueError(f"{member} is {value!r}, which is no id")
    return value


def told_text(told: Mapping[str, Any], member: str) -> str:
    """A text of any form that an answer tells, such as the id of a machine of a new kind.

    Raises:
        KeyError, ValueError: it tells none, or an empty one; `understood` explains it.
    """
    value = told[member]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{member} is {value!r}, which is no id")
    return value


def wrapped(told: Mapping[str, Any], outer: str, inner: str) -> list[Mapping[str, Any]]:
    """A wrapped list; absent, null and empty are one."""
    return list((told.get(outer) or {}).get(inner) or ())


def tags_of(told: Mapping[str, Any]) -> dict[str, str]:
    """The tags of an object."""
    return {
        str(one["TagKey"]): str(one.get("TagValue") or "") for one in wrapped(told, "Tags", "Tag")
    }


def tag_list(
    own: Mapping[str, str], given: Mapping[str, str], *, what: str
) -> list[dict[str, str]]:
    """The driver's own tags and those that a class gives, always in the same order.

    ECS compares a repeated request by its text, so another order would be another request.

    Args:
        what: names the class in a refusal.

    Raises:
        InvalidArgument: they are more than an object takes, or one is longer than a tag may be.
    """
    tags = {**dict(sorted(given.items())), **own}
    if len(tags) > TAG_LIMIT:
        raise InvalidArgument(
            f"{what} gives {len(tags) - len(own)} tags;"
            f" beside the driver's own {TAG_LIMIT - len(own)} are allowed"
        )
    for key, value in tags.items():
        if len(value) > TAG_TEXT_LIMIT:
            raise InvalidArgument(f"tag {key} would have more than {TAG_TEXT_LIMIT} characters")
    return [{"Key": key, "Value": value} for key, value in tags.items()]


async def pages(calls: Calls, action: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every page of a listing, one answer after the other.

    Raises:
        Unreachable: a page leads to itself.
    """
    answers: list[dict[str, Any]] = []
    token = ""
    while True:
        answer = await calls.call(build(action, {**parameters, "NextToken": token}))
        answers.append(answer)
        following = str(answer.get("NextToken") or "")
        if not following:
            return answers
        if following == token:
            raise Unreachable(f"{action}: the listing leads to the same page again")
        token = following


async def read_by_id(
    ask: Callable[[Sequence[Id]], Awaitable[Sequence[Mapping[str, Any]]]],
    parse: Callable[[Mapping[str, Any]], Thing],
    ids: Sequence[Id],
    *,
    action: str,
    member: str,
) -> list[Thing]:
    """What the ids name, in calls of a hundred; every entry of an answer is read on its own.

    Args:
        ask: the entries that the cloud has of no more than `READ_BATCH` ids.
        member: where an entry tells its id.

    Raises:
        Unreachable: an entry can't be read. Its `ids` are those of which nothing is known: the
            entry's own or, if that can't be read either, all that no other entry tells of.
    """
    found: list[Thing] = []
    unknown: dict[Id, Unreachable] = {}
    for start in range(0, len(ids), READ_BATCH):
        part = ids[start : start + READ_BATCH]
        entries = await ask(part)
        things, failures = _read_each(entries, parse, action)
        found += things
        missing = set(part) - {thing.id for thing in things}
        for entry, failure in failures:
            own = [one for one in part if isinstance(entry, dict) and entry.get(member) == one]
            unknown |= dict.fromkeys(own or missing, failure)
    if unknown:
        named, failure = sorted(unknown), next(iter(unknown.values()))
        more = " and others" if len(named) > TOLD_IDS else ""
        raise Unreachable(
            f"{', '.join(named[:TOLD_IDS])}{more}: {failure.message}",
            hint=failure.hint,
            ids=named,
        ) from failure
    return found


def _read_each(
    entries: Sequence[Mapping[str, Any]], parse: Callable[[Mapping[str, Any]], Thing], action: str
) -> tuple[list[Thing], list[tuple[object, Unreachable]]]:
    things: list[Thing] = []
    failures: list[tuple[object, Unreachable]] = []
    for entry in entries:
        try:
            with understood(action):
                things.append(parse(entry))
        except Unreachable as failure:
            failures.append((entry, failure))
    return things, failures
