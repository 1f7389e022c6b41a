"""Looks that are shared, and outlast who asks."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from diskcsi.aio.looks import KEPT_ILL_S, LastLook, SharedLook


class Thing:
    """Something that works or doesn't, and takes its time to show it."""

    def __init__(self) -> None:
        self.takes_s = 0.0
        self.error: Exception | None = None
        self.looks = 0

    async def look(self) -> None:
        self.looks += 1
        await asyncio.sleep(self.takes_s)
        if self.error is not None:
            raise self.error


@pytest.fixture
def thing() -> Thing:
    return Thing()


@pytest.fixture
def look(thing: Thing, tasks: asyncio.TaskGroup) -> SharedLook:
    return SharedLook(look=thing.look, tasks=tasks, patience_s=1.5)


async def test_what_is_amiss_is_told(thing: Thing, look: SharedLook) -> None:
    """The reason is the look's own."""
    thing.error = OSError("no way there")
    with pytest.raises(OSError, match="no way there"):
        await look()


async def test_what_works_again_is_told_after_a_second(thing: Thing, look: SharedLook) -> None:
    """A reason is hardly longer kept than it holds."""
    thing.error = OSError("no way there")
    with pytest.raises(OSError, match="no way there"):
        await look()
    thing.error = None
    await asyncio.sleep(KEPT_ILL_S)
    await look()


@pytest.mark.parametrize(
    ("error", "looks_a_minute"), [(None, 20), (OSError("throttled"), 60)], ids=["well", "ill"]
)
async def test_who_asks_all_the_time_makes_few_looks(
    thing: Thing, look: SharedLook, error: OSError | None, looks_a_minute: int
) -> None:
    """Each is a call of the account's quota, and whoever reaches the port may ask."""
    thing.error = error
    for _ in range(int(60 / 0.25)):
        with suppress(OSError):
            await look()
        await asyncio.sleep(0.25)
    assert thing.looks == looks_a_minute


async def test_what_fails_now_is_told_to_each_of_kubelets_probes(
    thing: Thing, look: SharedLook
) -> None:
    """They come every five seconds, and none of them is told what the one before was."""
    await look()
    thing.error = OSError("no way there")
    await asyncio.sleep(5)
    with pytest.raises(OSError, match="no way there"):
        await look()


async def test_who_asks_at_once_shares_a_look(thing: Thing, look: SharedLook) -> None:
    """Four sidecars and a supervisor ask every few seconds."""
    thing.takes_s = 1.0
    await asyncio.gather(*(look() for _ in range(5)))
    assert thing.looks == 1


async def test_a_long_look_is_not_waited_for(thing: Thing, look: SharedLook) -> None:
    """Who asks has a timeout of its own."""
    thing.takes_s = 10.0
    began_s = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError, match="no answer in"):
        await look()
    assert asyncio.get_running_loop().time() - began_s == pytest.approx(1.5)


async def test_the_reason_that_a_long_look_finds_is_told_to_who_asks_later(
    thing: Thing, look: SharedLook
) -> None:
    """Another `no answer in time` would tell nobody what to do."""
    thing.takes_s, thing.error = 10.0, OSError("no way there")
    with pytest.raises(TimeoutError):
        await look()
    await asyncio.sleep(10)
    with pytest.raises(OSError, match="no way there"):
        await look()


async def test_who_gives_up_does_not_end_the_look(thing: Thing, look: SharedLook) -> None:
    """Others wait for it."""
    thing.takes_s = 1.0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await look()
    await look()
    assert thing.looks == 1


async def test_a_look_that_was_well_is_remembered_until_one_is_not(thing: Thing) -> None:
    """Nobody has to look to know, and before the first look nothing is well."""
    look, told = LastLook(thing.look), []
    told.append(look.well)
    await look()
    told.append(look.well)
    thing.error = OSError("no way there")
    with pytest.raises(OSError, match="no way there"):
        await look()
    assert ([*told, look.well], thing.looks) == ([False, True, False], 2)


async def test_a_look_that_runs_does_not_change_what_the_last_one_told(thing: Thing) -> None:
    """Else a look in ten would be taken for an outage; one that was given up is not well."""
    look = LastLook(thing.look)
    await look()
    thing.takes_s = 1.0
    running = asyncio.create_task(look())
    await asyncio.sleep(0.5)
    meanwhile = look.well
    running.cancel()
    await asyncio.wait({running})
    assert (meanwhile, look.well) == (True, False)
