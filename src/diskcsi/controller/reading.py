"""A refusal to look says nothing of what is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from diskcsi.model.errors import (
    DiskError,
    InvalidToken,
    Pending,
    Throttled,
    UnknownOutcome,
    Unreachable,
    Unreadable,
)

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
