from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest
import uvloop

from diskcsi.aio.progress import Progress
from diskcsi.host.linux import run as module
from diskcsi.host.linux.run import run
from diskcsi.model.errors import InvalidArgument, Unreachable
from tests.rows import row


async def test_a_tool_gets_a_fixed_environment() -> None:
    """Messages and numbers read the same on every machine, and no secret is handed on."""
    done = await run(["env"])
    told = dict(line.split("=", 1) for line in done.output.splitlines())
    assert told == {**module.ENVIRONMENT}


async def test_no_shell_reads_the_arguments() -> None:
    """What a request brings is a word, never a command."""
    done = await run(["echo", "$HOME; `id` && *"])
    assert done.output == "$HOME; `id` && *\n"


async def test_a_tool_gets_no_input() -> None:
    """A question that it asks is answered with the end of the file."""
    done = await run(["cat"], timeout_s=5)
    assert (done.code, done.output) == (0, "")


async def test_what_a_failing_tool_says_is_told() -> None:
    """Status, words and hint stand in the error."""
    done = await run(["ls", "/no-such-directory"])
    error = str(done.failure("it can't be listed", hint="make it"))
    assert error.startswith("it can't be listed: ls ended with 2: ls: cannot access")
    assert error.endswith("; make it")


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """A pipe by which a script tells the number of a process."""
    path = tmp_path / "note"
    os.mkfifo(path)
    return path


async def test_a_tool_that_runs_is_told_to_who_waits_for_it(note: Path) -> None:
    """A check of a large filesystem may take longer than a caller waits."""
    script = f"echo $$ > {note}; exec sleep 60"
    progress = Progress("stage of volume d-1")
    with progress.current():
        running = asyncio.ensure_future(run(["sh", "-c", script]))
    watched = await asyncio.to_thread(_watched, note)
    assert progress.waits_for().startswith(f"sh runs on {script} (")
    running.cancel()
    await asyncio.wait({running})
    await _end_of(watched)


async def test_a_tool_that_does_not_end_is_killed_with_its_children(note: Path) -> None:
    """Its whole process group goes, and the error names tool and object."""
    child = asyncio.to_thread(_watched, note)
    script = f"sleep 60 & echo $! > {note}; wait"
    running = run(["sh", "-c", script], timeout_s=0.5)
    watched, error = await asyncio.gather(child, running, return_exceptions=True)
    assert isinstance(watched, int)
    await _end_of(watched)
    assert f"sh {script}: no end in 0.5 s, it was killed" in str(error)


async def test_a_cancelled_caller_leaves_no_process(note: Path) -> None:
    """Who gives up takes the tool along."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run(["sh", "-c", f"echo $$ > {note}; exec sleep 60"]))
        watched = await asyncio.to_thread(_watched, note)
        running.cancel()
        await _end_of(watched)
    assert running.cancelled()


def _watched(note: Path) -> int:
    """A handle on the process whose number is told; readable at its end."""
    return os.pidfd_open(int(note.read_text()))


async def _end_of(process: int) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(process, ended.set)
    try:
        async with asyncio.timeout(10):
            await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(process)
        os.close(process)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_what_is_kept_of_a_tools_words_is_bounded(stream: str) -> None:
    """A tool that talks without end neither fills the memory nor waits for its reader."""
    script = f"import sys; sys.{stream}.write('x' * 3_000_000 + 'end')"
    done = await run([sys.executable, "-c", script])
    kept = done.output if stream == "stdout" else done.errors
    assert (done.code, len(kept)) == (0, module.MAX_OUTPUT_BYTES)


async def test_a_tool_that_the_kernel_kills_is_told_so() -> None:
    """Mkfs and fsck of a large disk are what a small memory limit hits first."""
    done = await run(["sh", "-c", "kill -KILL $$"])
    assert "sh was killed by SIGKILL, as happens when memory runs out" in str(done.failure("no"))


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_the_servers_loop_ends_a_tool_in_time_as_well() -> None:
    """The processes that serve run on another event loop than the tests, and keep no pipe of it."""

    async def timed() -> None:
        await run(["true"])  # what the loop opens for its first process stays open
        before = open_files()
        with pytest.raises(TimeoutError, match=r"no end in 0.2 s"):
            await run(["sh", "-c", "sleep 60 & wait"], timeout_s=0.2)
        async with asyncio.timeout(5):
            while open_files() > before:  # noqa: ASYNC110 - the kernel tells
                await asyncio.sleep(0.001)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(timed())


async def test_the_end_of_the_complaints_is_kept() -> None:
    """The cause stands last."""
    script = "import sys; sys.stderr.write('x' * 3_000_000 + 'the cause'); sys.exit(1)"
    done = await run([sys.executable, "-c", script])
    assert str(done.failure("it failed")).endswith("the cause")


async def test_a_missing_tool_is_told_by_name() -> None:
    """The hint says what to install."""
    with pytest.raises(InvalidArgument, match=r"no mkfs.none; install the package that brings"):
        await run(["mkfs.none"])


@row("local-resources-exhausted")
async def test_a_machine_that_can_start_nothing_is_not_final(tmp_path: Path) -> None:
    """Nothing was done, and a later try may do."""
    tool = tmp_path / "tool"
    tool.write_bytes(b"")
    tool.chmod(0o600)
    with pytest.raises(Unreachable, match=f"{tool} can't be started: Permission denied"):
        await run([os.fspath(tool)])
