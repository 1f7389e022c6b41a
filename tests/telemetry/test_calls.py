"""What one call asked of the cloud."""

from __future__ import annotations

import asyncio

from diskcsi.telemetry.calls import note_call, tracing


def test_calls_are_counted_and_the_last_answer_is_kept() -> None:
    """A lost answer has no request id and does not hide the one before."""
    with tracing() as calls:
        note_call(mutating=True, request_id="R-1")
        note_call(mutating=False, request_id="")
    assert (calls.total, calls.mutating, calls.last_request_id) == (2, 1, "R-1")


def test_a_wider_trace_hears_of_it_too() -> None:
    """A flight has its own within the call's."""
    with tracing() as wide:
        with tracing():
            note_call(mutating=True, request_id="R-1")
        note_call(mutating=False, request_id="R-2")
    assert (wide.total, wide.mutating) == (2, 1)


def test_outside_of_a_trace_nothing_is_counted() -> None:
    """Nobody asks, nobody fails."""
    note_call(mutating=True, request_id="R-1")
    with tracing() as calls:
        pass
    assert calls.total == 0


async def test_a_task_s_calls_count_for_who_started_it() -> None:
    """Even when it ends after the call that it was started for."""

    async def work() -> None:
        await asyncio.sleep(0)
        note_call(mutating=True, request_id="R-1")

    async with asyncio.TaskGroup() as tasks:
        with tracing() as calls:
            tasks.create_task(work())
    assert calls.mutating == 1
