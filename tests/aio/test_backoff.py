from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random

from diskcsi.aio.backoff import backoff


async def test_pauses_grow_to_their_limit_and_are_jittered() -> None:
    """The first attempt comes at once; later pauses lie in the upper half of a growing range."""
    loop, times = asyncio.get_running_loop(), []
    async for attempt in backoff(first_s=1, max_s=4, random=Random(7)):
        times.append(loop.time())
        if attempt == 4:
            break
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert times[0] == 0
    for pause, longest in zip(pauses, (1, 2, 4, 4), strict=True):
        assert longest / 2 <= pause <= longest
