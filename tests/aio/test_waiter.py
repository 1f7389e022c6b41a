from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import Collection, Mapping
from itertools import pairwise
from random import Random

import pytest

from diskcsi.aio.limiter import Priority, Slots
from diskcsi.aio.waiter import Waiter

CALL_S = 0.05


class Remote:
    """Things that become `done` at their time; a look takes 50 ms and tells its beginning."""

    def __init__(self) -> None:
        self.done_at: dict[str, float] = {}
        self.looks: list[tuple[float, tuple[str, ...]]] = []
        self.failures: list[Exception] = []

    async def look(self, keys: Collection[str]) -> Mapping[str, bool]:
        """One call."""
        now = asyncio.get_running_loop().time()
        self.looks.append((now, tuple(keys)))
        await asyncio.sleep(CALL_S)
        if self.failures:
            raise self.failures.pop(0)
        return {key: self.done_at[key] <= now for key in keys if key in self.done_at}

    def begin(self, key: str, latency_s: float) -> None:
        """Let `key` be done after its latency."""
        self.done_at[key] = asyncio.get_running_loop().time() + latency_s


class Throttled(Exception):
    """A look that may be taken again."""


def waiter(remote: Remote, tasks: TaskGroup) -> Waiter[str, bool]:
    return Waiter(look=remote.look, tasks=tasks, transient=(Throttled,), random=Random(1))


def is_done(state: bool | None) -> bool:
    return bool(state)


async def test_a_learned_latency_takes_one_look(tasks: TaskGroup) -> None:
    """Once the usual time is known nothing is asked before it."""
    remote = Remote()
    one = waiter(remote, tasks)
    for number in range(8):
        remote.looks.clear()
        remote.begin(f"{number}", 2.0)
        begun = asyncio.get_running_loop().time()
        await one.wait(f"{number}", is_done, kind="attach")
        took = asyncio.get_running_loop().time() - begun
    assert len(remote.looks) == 1
    assert 2.0 + CALL_S <= took <= 2.0 * 1.05 + CALL_S


@pytest.mark.parametrize("seed", range(5))
async def test_a_learned_latency_that_trembles_takes_one_look(tasks: TaskGroup, seed: int) -> None:
    """Some milliseconds more or less, as every network has, don't unlearn what is known."""
    random, remote = Random(seed), Remote()
    one = waiter(remote, tasks)
    for number in range(40):
        if number == 20:
            remote.looks.clear()
        remote.begin(f"{number}", 2.0 + random.uniform(-0.005, 0.005))
        await one.wait(f"{number}", is_done, kind="attach")
    assert len(remote.looks) <= 22


async def test_kinds_are_learned_apart(tasks: TaskGroup) -> None:
    """That attaches are quick says nothing of snapshots."""
    remote = Remote()
    one = waiter(remote, tasks)
    for _ in range(8):
        remote.begin("a", 1.0)
        await one.wait("a", is_done, kind="attach")
    remote.looks.clear()
    remote.begin("s", 0.2)
    await one.wait("s", is_done, kind="snapshot")
    assert remote.looks[0][0] - remote.done_at["s"] < 0.1


async def test_one_look_serves_everyone_who_waits(tasks: TaskGroup) -> None:
    """Fifty waits cost as many calls as one."""
    remote = Remote()
    one = waiter(remote, tasks)
    for number in range(50):
        remote.begin(f"{number}", 0.2)
    await asyncio.gather(*(one.wait(f"{number}", is_done, kind="x") for number in range(50)))
    assert len(remote.looks) == 1


async def test_a_wait_for_something_old_looks_at_once_and_teaches_nothing(
    tasks: TaskGroup,
) -> None:
    """An operation that somebody else began has an unknown age."""
    remote = Remote()
    one = waiter(remote, tasks)
    remote.begin("a", 0.0)
    await one.wait("a", is_done, kind="attach", fresh=False)
    assert asyncio.get_running_loop().time() == pytest.approx(CALL_S)
    remote.begin("b", 0.3)
    await one.wait("b", is_done, kind="attach")
    assert remote.looks[1][0] == pytest.approx(CALL_S + 0.25)


async def test_a_throttled_look_is_taken_again_and_fails_no_wait(tasks: TaskGroup) -> None:
    """A refusal to answer is not an answer."""
    remote = Remote()
    remote.failures = [Throttled(), Throttled(), Throttled()]
    one = waiter(remote, tasks)
    remote.begin("a", 0.1)
    await one.wait("a", is_done, kind="x")
    gaps = [b[0] - a[0] for a, b in pairwise(remote.looks)]
    assert len(remote.looks) == 4
    assert gaps == sorted(gaps)


async def test_another_failure_of_a_look_reaches_its_waits(tasks: TaskGroup) -> None:
    """What doesn't pass is told."""
    remote = Remote()
    remote.failures = [PermissionError("no")]
    one = waiter(remote, tasks)
    outcomes = await asyncio.gather(
        *(one.wait(key, is_done, kind="x") for key in "ab"), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [PermissionError, PermissionError]


async def test_what_a_predicate_raises_ends_its_own_wait_only(tasks: TaskGroup) -> None:
    """One disk that vanished doesn't end the waits of the others."""
    remote = Remote()
    one = waiter(remote, tasks)
    remote.begin("b", 0.2)

    def vanished(state: bool | None) -> bool:
        if state is None:
            raise LookupError("gone")
        return state

    gone, fine = await asyncio.gather(
        one.wait("a", vanished, kind="x"), one.wait("b", vanished, kind="x"), return_exceptions=True
    )
    assert isinstance(gone, LookupError)
    assert fine is True


async def test_a_cancelled_wait_is_forgotten(tasks: TaskGroup) -> None:
    """Nothing is looked at for somebody who has gone, and the last one ends the polling."""
    remote = Remote()
    one = waiter(remote, tasks)
    remote.begin("a", 1000.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await one.wait("a", is_done, kind="x")
    looks = len(remote.looks)
    await asyncio.sleep(100)
    assert len(remote.looks) == looks


async def test_waits_cancelled_while_a_look_is_under_way_are_passed_over(
    tasks: TaskGroup,
) -> None:
    """Whatever the look brings, the wait is over already."""
    remote = Remote()
    one = waiter(remote, tasks)
    for failure in (None, PermissionError("no")):
        remote.failures = [failure] if failure else []
        remote.begin("a", 1000.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(CALL_S / 2):
                await one.wait("a", is_done, kind="x", fresh=False)
        await asyncio.sleep(1)
    assert len(remote.looks) == 2


async def test_a_key_that_fails_alone_ends_its_own_wait(tasks: TaskGroup) -> None:
    """A failure of one key is none of the look."""

    async def look(keys: Collection[str]) -> Mapping[str, bool | Exception]:
        return {"odd": ValueError("no sense"), "sound": True}

    one: Waiter[str, bool] = Waiter(look=look, tasks=tasks, transient=(), random=Random(1))
    waits = [one.wait(key, is_done, kind="x", fresh=False) for key in ("odd", "sound")]
    odd, sound = await asyncio.gather(*waits, return_exceptions=True)
    assert (type(odd), sound) == (ValueError, True)


async def test_a_key_that_passingly_fails_alone_is_looked_at_again(tasks: TaskGroup) -> None:
    """As after a look that failed."""
    states: list[bool | Exception] = [Throttled(), Throttled(), True]

    async def look(keys: Collection[str]) -> Mapping[str, bool | Exception]:
        return dict.fromkeys(keys, states.pop(0))

    one: Waiter[str, bool] = Waiter(
        look=look, tasks=tasks, transient=(Throttled,), random=Random(1)
    )
    assert await one.wait("key", is_done, kind="x", fresh=False)


async def test_slow_answers_do_not_pile_up_calls(tasks: TaskGroup) -> None:
    """Four looks at most are under way, however slow the remote side is."""
    under_way, most = 0, 0

    async def look(keys: Collection[str]) -> Mapping[str, bool]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(30)
        under_way -= 1
        return dict.fromkeys(keys, True)

    one: Waiter[str, bool] = Waiter(look=look, tasks=tasks, transient=(), random=Random(1))
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(one.wait(f"{number}", is_done, kind="x", fresh=False))
            await asyncio.sleep(1)
    assert most == 4


async def makespan(
    tasks: TaskGroup, *, nodes: int, volumes_per_node: int, latencies: list[float]
) -> float:
    """How long serial attaches take on every node, over the floor of the same work."""
    remote, loop = Remote(), asyncio.get_running_loop()
    one, slots = waiter(remote, tasks), Slots[int].shared(1)
    remaining = iter(latencies)
    floors = [0.0] * nodes

    async def attach(node: int, key: str) -> None:
        async with slots.hold(node, Priority.ATTACH):
            latency_s = next(remaining)
            floors[node] += CALL_S + latency_s + CALL_S
            await asyncio.sleep(CALL_S)
            remote.begin(key, latency_s)
            await one.wait(key, is_done, kind="attach")

    begun = loop.time()
    async with asyncio.TaskGroup() as group:
        for node in range(nodes):
            for volume in range(volumes_per_node):
                group.create_task(attach(node, f"{node}/{volume}"))
    return (loop.time() - begun) / max(floors)


@pytest.mark.parametrize(("nodes", "per_node"), [(1, 10), (20, 5)])
async def test_equal_latencies_cost_little_over_the_floor(
    tasks: TaskGroup, nodes: int, per_node: int
) -> None:
    """Latency, one call and one read for each volume are the floor; 8 % above is allowed."""
    latencies = [2.0] * (nodes * per_node)
    assert (
        await makespan(tasks, nodes=nodes, volumes_per_node=per_node, latencies=latencies) <= 1.08
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("nodes", "per_node"), [(1, 10), (20, 5)])
async def test_varied_latencies_cost_little_over_the_floor(
    tasks: TaskGroup, nodes: int, per_node: int, seed: int
) -> None:
    """Between 1 and 6 s, whatever the draw, 15 % above the floor is allowed."""
    random = Random(seed)
    latencies = [random.uniform(1, 6) for _ in range(nodes * per_node)]
    assert (
        await makespan(tasks, nodes=nodes, volumes_per_node=per_node, latencies=latencies) <= 1.15
    )


@pytest.mark.parametrize("seed", range(5))
async def test_operations_out_of_step_share_their_looks(tasks: TaskGroup, seed: int) -> None:
    """A look that one of three nodes needs makes none of the others look earlier or more often."""
    random, remote = Random(seed), Remote()
    one = waiter(remote, tasks)

    async def node(name: str) -> None:
        for number in range(20):
            await asyncio.sleep(random.uniform(0.0, 0.3))
            remote.begin(f"{name}/{number}", random.uniform(0.5, 0.7))
            await one.wait(f"{name}/{number}", is_done, kind="attach")

    async with asyncio.TaskGroup() as group:
        for name in ("a", "b", "c"):
            group.create_task(node(name))
    assert len(remote.looks) <= 2 * 60
