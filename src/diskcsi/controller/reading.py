"""What a read that fails says: nothing of what is there, and nothing of its neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, TypeVar

from diskcsi.aio.progress import note_refusal
from diskcsi.model.errors import (
    DiskError,
    InvalidToken,
    Pending,
    Throttled,
    UnknownOutcome,
    Unreachable,
    Unreadable,
)

Id = TypeVar("Id", bound=str)
Seen = TypeVar("Seen")

NO_VERDICT: Final = (InvalidToken, Pending, Throttled, Unreachable, UnknownOutcome)
"""None of these is taken for the last word on a change; the first one is about a listing."""


@contextmanager
def looking() -> Iterator[None]:
    """Turn what would be the last word on a change into "can't tell".

    Denied is final where the cloud refuses a change. Where it refuses a read, an earlier call may
    have made what the read was to find, and callers forget what they are finally refused.

    Raises:
        Unreadable: in place of every error that callers would take as final.
    """
    try:
        yield
    except NO_VERDICT:
        raise
    except DiskError as refusal:
        raise Unreadable(
            refusal.message,
            hint=refusal.hint,
            code=refusal.code,
            request_id=refusal.request_id,
        ) from refusal


async def apart(
    read: Callable[[Collection[Id]], Awaitable[Mapping[Id, Seen]]], ids: Collection[Id]
) -> Mapping[Id, Seen | Exception]:
    """A read of several, in which those that can't be told have their failure as a value.

    Raises:
        DiskError: the read failed for all of them.
    """
    with looking():
        try:
            return await read(ids)
        except Unreachable as failure:
            others = [one for one in ids if one not in failure.ids]
            if len(others) == len(ids):
                raise
            own: dict[Id, Seen | Exception] = {one: failure for one in ids if one in failure.ids}
            return {**own, **(await read(others) if others else {})}


async def patiently(read: Callable[[], Awaitable[Seen]], attempts: AsyncIterator[int]) -> Seen:
    """The answer of `read`, which is asked again, in the pace of `attempts`, while it is throttled.

    A pause that the cloud asks for comes on top. The flight around it has the deadline.
    """
    earlier: str | None = None  # what the change around the read was refused with
    async for _ in attempts:
        try:
            seen = await read()
        except Throttled as refusal:
            before = note_refusal(refusal)
            earlier = before if earlier is None else earlier
            await asyncio.sleep(refusal.retry_after_s or 0.0)
        else:
            if earlier is not None:
                note_refusal(earlier)
            return seen
    raise TimeoutError
