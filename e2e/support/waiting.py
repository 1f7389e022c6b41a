"""Waiting for what another program does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

Found = TypeVar("Found")

PAUSE_S: Final = 0.25
"""Between two looks: short beside what is waited for, and few calls of the API server."""


class NotHeld(AssertionError):  # noqa: N818 - reads as what happened
    """What was to stay so did not; the message tells when, and what was there instead."""


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


def hold_for(
    seconds: float,
    look: Callable[[], object],
    *,
    what: str,
    instead: Callable[[], object] = lambda: "",
) -> int:
    """Look again and again for so long, each time to find it so; gives the number of looks.

    Args:
        look: gives something true while all is as it should be.
        what: the condition, for the message.
        instead: what is told when it ends.

    Raises:
        NotHeld: once it was not so.
    """
    began_s, looks = time.monotonic(), 0
    while not looks or time.monotonic() < began_s + seconds:
        if not look():
            after_s = time.monotonic() - began_s
            raise NotHeld(f"no longer after {after_s:.1f} s: {what}. {instead()}")
        looks += 1
        time.sleep(PAUSE_S)
    return looks
