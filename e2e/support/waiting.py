"""Waiting for what another program does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

Found = TypeVar("Found")

PAUSE_S: Final = 0.25
"""Between two looks: short beside what is waited for, and few calls of the API server."""


class NotSeen(AssertionError):  # noqa: N818 - reads as what happened
    """What was waited for did not come; the message tells what was there instead."""


def wait_for(
    look: Callable[[], Found | None],
    *,
    what: str,
    timeout_s: float = 120,
    instead: Callable[[], object] = lambda: "",
) -> Found:
    """What `look` gives, as soon as it gives something true.

    Args:
        what: the condition, for the message.
        instead: what is told when it does not come.

    Raises:
        NotSeen: it did not come in time.
    """
    deadline_s = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline_s:
            raise NotSeen(f"not seen in {timeout_s:g} s: {what}. {instead()}")
        time.sleep(PAUSE_S)
    return found
