"""Starts programs, waits until they answer, and ends all of them whatever happens.

Each program leads a process group of its own: a Ctrl-C in the terminal reaches only whoever runs
this, who then ends the programs in order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
START_S: Final = 30.0
"""A start takes a fraction of a second; a busy machine may need many times that."""

END_S: Final = 30.0
"""A driver's drain and a little; what takes longer is killed."""

LOOK_S: Final = 0.02
"""Between two looks whether a program answers."""

TAIL_LINES: Final = 15
"""Of a program's log, in the message when it ended too early."""


class ProgramFailed(Exception):  # noqa: N818 - reads as what happened
    """A program ended, or didn't answer; the message has its last words."""


@dataclass(slots=True, kw_only=True)
class Program:
    """A program that runs.

    Attributes:
        name: for messages, and the name of its log.
        log: where its output goes.
    """

    name: str
    process: Process
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def kill(self) -> None:
        """End it at once, as a machine does that loses its power."""
        self._signal(signal.SIGKILL)
        await self.process.wait()

    async def end(self) -> int:
        """Ask it to end, and wait; its exit status, negative when it had to be killed."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(END_S):
                return await self.process.wait()
        except TimeoutError:
            await self.kill()
            return -signal.SIGKILL

    def last_words(self) -> str:
        """The end of its log."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-TAIL_LINES:])

    def _signal(self, number: int) -> None:
        _signal_group(self.process, number)


@asynccontextmanager
async def running(
    name: str,
    arguments: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    first_line: bool = False,
) -> AsyncIterator[Program]:
    """A Python program of this installation while the block runs, such as `mockcloud serve`.

    Args:
        name: the program's name here; its log is `directory/NAME.log`.
        arguments: a module's name and its arguments.
        environment: all that it gets, beside a search path.
        first_line: its standard output is kept for `first_line`, not written to the log.

    Raises:
        ProgramFailed: it still ran at the end, and when asked to end it failed.
    """
    log = directory / f"{name}.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *arguments,
            stdin=DEVNULL,
            stdout=PIPE if first_line else output,
            stderr=output if first_line else STDOUT,
            env={"PATH": SEARCH_PATH, **(environment or {})},
            start_new_session=True,
        )  # fmt: skip
    program = Program(name=name, process=process, log=log)
    try:
        yield program
    finally:
        ran = process.returncode is None
        status = await asyncio.shield(program.end())
    if ran and status != 0:
        raise ProgramFailed(f"{name} ended with status {status}:\n{program.last_words()}")


async def completed(command: Sequence[str], *, timeout_s: float) -> tuple[int, str]:
    """Run another program to its end; its exit status, and all that it printed.

    Raises:
        TimeoutError: it did not end in time, and was killed.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env={"PATH": SEARCH_PATH},
        start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    finally:
        _signal_group(process, signal.SIGKILL)
    return process.returncode or 0, output.decode(errors="replace")


def _signal_group(process: Process, number: int) -> None:
    """Signal a program and its children; once it was waited for, its number may be another's."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)


async def first_line(program: Program) -> str:
    """The first line that the program prints.

    Raises:
        ProgramFailed: it printed none in time.
    """
    stream = program.process.stdout
    line = b""
    if stream is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                line = await stream.readline()
                if not line:  # it has ended, and its log is complete a moment later
                    await program.process.wait()
    if not line:
        raise ProgramFailed(f"{program.name} did not start:\n{program.last_words()}")
    return line.decode().rstrip("\n")


async def answering(program: Program, socket: Path) -> None:
    """Wait until the program listens on the socket.

    Raises:
        ProgramFailed: it ended, or didn't in time.
    """
    end_s = asyncio.get_running_loop().time() + START_S
    while not await _listens(socket):
        if program.process.returncode is not None:
            raise ProgramFailed(f"{program.name} ended at its start:\n{program.last_words()}")
        if asyncio.get_running_loop().time() > end_s:
            raise ProgramFailed(f"{program.name} doesn't answer:\n{program.last_words()}")
        await asyncio.sleep(LOOK_S)


async def _listens(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.close()
    return True
