from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import Collection, Mapping

import pytest

from diskcsi.aio.batcher import Batcher


class Remote:
    """Answers 50 ms after it is asked, and remembers when it was asked for what."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, tuple[str, ...]]] = []
        self.answers: dict[str, str | Exception] = {}
        self.failure: Exception | None = None

    async def fetch(self, keys: Collection[str]) -> Mapping[str, str | Exception]:
        """One call."""
        self.calls.append((asyncio.get_running_loop().time(), tuple(keys)))
        await asyncio.sleep(0.05)
        if self.failure:
            raise self.failure
        return {key: self.answers[key] for key in keys if key in self.answers}


def batcher(remote: Remote, tasks: TaskGroup, *, max_entries: int = 100) -> Batcher[str, str]:
    return Batcher(fetch=remote.fetch, tasks=tasks, max_entries=max_entries)


async def test_keys_asked_for_together_share_one_call_and_duplicates_one_entry(
    tasks: TaskGroup,
) -> None:
    """A hundred readers cost one call."""
    remote = Remote()
    remote.answers = {"a": "A", "b": "B"}
    one = batcher(remote, tasks)
    assert await asyncio.gather(*(one.get(key) for key in "abac")) == ["A", "B", "A", None]
    assert [keys for _, keys in remote.calls] == [("a", "b", "c")]


async def test_an_idle_batcher_asks_at_once_and_a_busy_one_spaces_its_calls(
    tasks: TaskGroup,
) -> None:
    """Nobody waits for company, and load doesn't raise the rate of calls."""
    remote, loop = Remote(), asyncio.get_running_loop()
    one = batcher(remote, tasks)
    await one.get("a")
    await asyncio.gather(one.get("b"), one.get("c"))
    await asyncio.sleep(10)
    begun = loop.time()
    await one.get("d")
    assert [at for at, _ in remote.calls] == pytest.approx([0.0, 0.5, begun])


async def test_a_full_batch_goes_at_once(tasks: TaskGroup) -> None:
    """There is no company left to wait for."""
    remote = Remote()
    one = batcher(remote, tasks, max_entries=2)
    await one.get("a")
    await asyncio.gather(*(one.get(key) for key in "bcde"))
    assert [at for at, _ in remote.calls] == pytest.approx([0.0, 0.05, 0.05])


async def test_a_remote_that_takes_one_key_at_a_time_is_asked_at_once(tasks: TaskGroup) -> None:
    """Where nothing can be shared, nothing is waited for."""
    remote = Remote()
    one = batcher(remote, tasks, max_entries=1)
    await asyncio.gather(*(one.get(key) for key in "abc"))
    assert remote.calls == [(0.0, ("a",)), (0.0, ("b",)), (0.0, ("c",))]


async def test_a_read_never_joins_a_call_that_began_before_it(tasks: TaskGroup) -> None:
    """An answer is never older than the question."""
    remote = Remote()
    one = batcher(remote, tasks)
    early = tasks.create_task(one.get("a"))
    await asyncio.sleep(0.02)
    remote.answers["a"] = "new"
    assert await one.get("a") == "new"
    await early
    assert len(remote.calls) == 2


async def test_one_keys_error_stays_its_own(tasks: TaskGroup) -> None:
    """A poisoned key never fails its neighbours."""
    remote = Remote()
    remote.answers = {"a": "A", "b": LookupError("b")}
    one = batcher(remote, tasks)
    good, bad = await asyncio.gather(one.get("a"), one.get("b"), return_exceptions=True)
    assert good == "A"
    assert isinstance(bad, LookupError)


async def test_a_failed_call_fails_its_own_askers_only(tasks: TaskGroup) -> None:
    """The next call is a new chance."""
    remote = Remote()
    remote.failure = ConnectionError("down")
    one = batcher(remote, tasks)
    with pytest.raises(ConnectionError):
        await one.get("a")
    remote.failure = None
    assert await one.get("a") is None


async def test_a_cancelled_asker_does_not_cancel_the_call(tasks: TaskGroup) -> None:
    """Others may be waiting for the same answer."""
    remote = Remote()
    remote.answers = {"a": "A"}
    one = batcher(remote, tasks)
    leaver = tasks.create_task(one.get("a"))
    stayer = tasks.create_task(one.get("a"))
    await asyncio.sleep(0.01)
    leaver.cancel()
    assert await stayer == "A"


async def test_askers_see_a_cancellation_when_the_application_ends() -> None:
    """A shutdown leaves nobody waiting."""
    remote, asker = Remote(), None
    with pytest.raises(ExceptionGroup):
        async with TaskGroup() as group:
            one = batcher(remote, group)
            asker = asyncio.get_running_loop().create_task(one.get("a"))
            await asyncio.sleep(0.01)
            raise KeyError("the application ends")
    assert asker is not None
    with pytest.raises(asyncio.CancelledError):
        await asker


async def test_a_call_that_is_made_anyway_carries_those_who_wait(tasks: TaskGroup) -> None:
    """They get their answers early, and the call that was put off for them is not made."""
    remote = Remote()
    remote.answers = {"a": "A", "b": "B", "c": "C"}
    one = batcher(remote, tasks)
    await one.get("a")
    waiting = tasks.create_task(one.get("b"))
    await asyncio.sleep(0.1)
    assert await one.carry(["c"]) == {"b": "B", "c": "C"}
    assert await waiting == "B"
    await asyncio.sleep(10)
    assert [keys for _, keys in remote.calls] == [("a",), ("c", "b")]


async def test_a_call_without_room_leaves_those_who_wait_to_their_own(tasks: TaskGroup) -> None:
    """No call carries more keys than the remote side takes."""
    remote = Remote()
    one = batcher(remote, tasks, max_entries=2)
    await one.get("a")
    waiting = tasks.create_task(one.get("b"))
    await asyncio.sleep(0.1)
    await one.carry(["c", "d"])
    await waiting
    assert [keys for _, keys in remote.calls] == [("a",), ("c", "d"), ("b",)]


async def test_a_carrying_call_that_fails_tells_its_maker_and_its_riders(tasks: TaskGroup) -> None:
    """Nobody waits for an answer that never comes."""
    remote = Remote()
    one = batcher(remote, tasks)
    await one.get("a")
    remote.failure = PermissionError("no")
    waiting = tasks.create_task(_refused(one, "b"))
    await asyncio.sleep(0.1)
    with pytest.raises(PermissionError):
        await one.carry(["c"])
    await waiting


async def _refused(one: Batcher[str, str], key: str) -> None:
    with pytest.raises(PermissionError):
        await one.get(key)
