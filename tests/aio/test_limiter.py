from __future__ import annotations

import asyncio

import pytest

from diskcsi.aio.limiter import Priority, Slots, SlotStatistics


async def work(slots: Slots[str], priority: Priority, name: str, log: list[str]) -> None:
    async with slots.hold("node", priority):
        log.append(name)
        await asyncio.sleep(1)


async def test_detaches_go_before_attaches_that_came_earlier() -> None:
    """A detach frees what an attach may be waiting for."""
    slots, log = Slots[str].shared(1), list[str]()
    async with asyncio.TaskGroup() as group:
        group.create_task(work(slots, Priority.ATTACH, "running", log))
        group.create_task(work(slots, Priority.ATTACH, "attach", log))
        group.create_task(work(slots, Priority.DETACH, "detach", log))
    assert log == ["running", "detach", "attach"]


async def test_separate_limits_hold_for_each_priority() -> None:
    """A cloud that takes five detaches and one attach at once is kept that busy."""
    slots = Slots[str].separate({Priority.DETACH: 2, Priority.ATTACH: 1})
    log = list[str]()
    async with asyncio.TaskGroup() as group:
        for priority in (Priority.DETACH, Priority.DETACH, Priority.ATTACH):
            group.create_task(work(slots, priority, priority.name, log))
        await asyncio.sleep(0.5)
        assert slots.statistics() == SlotStatistics(keys=1, held=3, waiting=0)
    assert slots.statistics() == SlotStatistics(keys=0, held=0, waiting=0)


async def test_a_cancelled_waiter_gives_its_place_away() -> None:
    """A caller that went away holds up nobody."""
    slots, log = Slots[str].shared(1), list[str]()
    async with asyncio.TaskGroup() as group:
        group.create_task(work(slots, Priority.ATTACH, "first", log))
        await asyncio.sleep(0)
        waiter = group.create_task(work(slots, Priority.ATTACH, "cancelled", log))
        await asyncio.sleep(0)
        group.create_task(work(slots, Priority.ATTACH, "last", log))
        waiter.cancel()
    assert log == ["first", "last"]
    assert asyncio.get_running_loop().time() == pytest.approx(2)


async def test_a_waiter_cancelled_in_the_moment_of_its_turn_gives_the_slot_back() -> None:
    """A slot that was just given is not lost with its taker."""
    slots, log = Slots[str].shared(1), list[str]()

    async def cancel_on_leaving(victim: asyncio.Task[None]) -> None:
        async with slots.hold("node", Priority.DETACH):
            pass
        victim.cancel()

    async with asyncio.TaskGroup() as group:
        first = group.create_task(work(slots, Priority.ATTACH, "first", log))
        await asyncio.sleep(0)
        victim = group.create_task(work(slots, Priority.ATTACH, "victim", log))
        await asyncio.sleep(0)
        group.create_task(cancel_on_leaving(victim))
        await first
    assert log == ["first"]
    assert slots.statistics().held == 0


async def test_a_waiter_cancelled_before_the_queue_moves_is_passed_over() -> None:
    """The queue goes on past somebody whose cancellation has not been noticed yet."""
    slots, log = Slots[str].shared(1), list[str]()

    async def hold_and_cancel(victim: list[asyncio.Task[None]]) -> None:
        async with slots.hold("node", Priority.ATTACH):
            await asyncio.sleep(1)
            victim[0].cancel()

    async with asyncio.TaskGroup() as group:
        victims: list[asyncio.Task[None]] = []
        group.create_task(hold_and_cancel(victims))
        await asyncio.sleep(0)
        victims.append(group.create_task(work(slots, Priority.ATTACH, "victim", log)))
        await asyncio.sleep(0)
        group.create_task(work(slots, Priority.ATTACH, "next", log))
    assert log == ["next"]


async def test_a_waiter_that_was_cancelled_takes_no_queue_away_that_others_use() -> None:
    """It may come to its end when its queue is gone and another one of the key is in use."""
    slots, go = Slots[str].shared(1), asyncio.Event()

    async def holder() -> None:
        async with slots.hold("node", Priority.DETACH):
            await go.wait()
        async with slots.hold("node", Priority.DETACH):
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as group:
        log = list[str]()
        group.create_task(holder())
        await asyncio.sleep(0)
        waiter = group.create_task(work(slots, Priority.ATTACH, "cancelled", log))
        await asyncio.sleep(0)
        go.set()
        waiter.cancel()
        await asyncio.sleep(0.5)
        group.create_task(work(slots, Priority.ATTACH, "next", log))
        await asyncio.sleep(0.1)
        assert (slots.statistics(), log) == (SlotStatistics(keys=1, held=1, waiting=1), [])
