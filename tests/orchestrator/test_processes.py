from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from diskcsi.orchestrator.processes import ProgramFailed, answering, first_line, running


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_program_that_ends_at_its_start_is_told_with_its_last_words(
    tmp_path: Path,
) -> None:
    """Whoever waits for a socket reads why it never comes."""
    arguments = ["diskcsi", "run", "--no-such-flag"]
    async with running("driver", arguments, directory=tmp_path) as program:
        with pytest.raises(ProgramFailed, match="No such option"):
            await answering(program, tmp_path / "s")


async def test_a_program_that_prints_no_line_is_told_with_its_last_words(tmp_path: Path) -> None:
    """The same for one that announces itself on its output."""
    arguments = ["mockcloud", "serve", "--latency=none-such"]
    async with running("mock", arguments, directory=tmp_path, first_line=True) as program:
        with pytest.raises(ProgramFailed, match="none-such"):
            await first_line(program)


async def test_a_program_ends_with_its_block_even_when_that_is_cancelled(tmp_path: Path) -> None:
    """Nothing keeps running behind who was interrupted."""
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def hold() -> None:
        arguments = ["mockcloud", "serve", "--port=0"]
        async with running("mock", arguments, directory=tmp_path, first_line=True) as program:
            await first_line(program)
            started.set_result(program.pid)
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        holding = tasks.create_task(hold())
        pid = await started
        holding.cancel()
    assert not is_alive(pid)


async def test_a_killed_program_has_no_time_to_clean_up(tmp_path: Path) -> None:
    """Its socket stays behind, as after a crash."""
    socket = tmp_path / "s"
    arguments = ["diskcsi", "run", f"--endpoint=unix://{socket}", "--http-port=-1"]
    environment = {"REGION_ID": "cn-hangzhou"}
    async with running("driver", arguments, directory=tmp_path, environment=environment) as program:
        await answering(program, socket)
        await program.kill()
        assert program.process.returncode == -signal.SIGKILL
        assert socket.exists()


async def test_a_program_that_fails_at_its_end_is_told(tmp_path: Path) -> None:
    """A drain that breaks is no good end; this program has none."""
    with pytest.raises(ProgramFailed, match="http ended with status -15"):
        async with running("http", ["http.server", "0"], directory=tmp_path):
            pass
