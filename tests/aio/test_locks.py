from __future__ import annotations

import asyncio

import pytest

from diskcsi.aio.locks import KeyedLock


async def test_holders_of_one_key_take_turns_in_the_order_of_arrival() -> None:
    """Operations on one volume never overlap, and none is overtaken."""
    lock, order = KeyedLock[str](), list[str]()

    async def hold(name: str) -> None:
        async with lock.hold("v"):
            order.append(f"{name} in")
            await asyncio.sleep(1)
            order.append(f"{name} out")

    await asyncio.gather(hold("a"), hold("b"))
    assert order == ["a in", "a out", "b in", "b out"]


async def test_other_keys_do_not_wait() -> None:
    """One slow volume doesn't hold up another."""
    lock = KeyedLock[str]()

    async def hold(key: str) -> None:
        async with lock.hold(key):
            await asyncio.sleep(1)

    await asyncio.gather(hold("a"), hold("b"))
    assert asyncio.get_running_loop().time() == pytest.approx(1)


async def test_nothing_is_left_behind_even_by_a_cancelled_waiter() -> None:
    """A driver that runs for a year holds no lock of a volume that is gone."""
    lock = KeyedLock[str]()
    async with lock.hold("v"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), lock.hold("v"):
                pytest.fail("held by two")
        assert len(lock) == 1
    assert len(lock) == 0
