"""Attempts with growing pauses between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random


async def backoff(
    *, first_s: float, max_s: float, random: Random, factor: float = 2.0
) -> AsyncIterator[int]:
    """Count attempts from 0; before each later one pause, with full jitter in its upper half.

    It never ends by itself: the caller leaves the loop, or an `asyncio.timeout` around it ends it.
    The jitter keeps a thousand drivers that failed together from coming back together.
    """
    attempt, pause_s = 0, first_s
    while True:
        yield attempt
        attempt += 1
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
        pause_s = min(pause_s * factor, max_s)
