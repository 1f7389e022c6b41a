"""The driver's only place that starts a process.

No shell, a fixed environment, no input, a deadline, and a process group of its own, so that what
is killed takes its children along. Arguments never hold a secret: they are public on a machine.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from diskcsi.aio.progress import waiting
from diskcsi.model.errors import InvalidArgument, Unreachable, WrongState

ENVIRONMENT: Final[Mapping[str, str]] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",  # messages and numbers read the same on every machine
}

TIMEOUT_S: Final = 60.0
"""Of a tool that only looks or mounts; a disk that keeps it busy for longer doesn't answer."""

TAIL_BYTES: Final = 2000
"""What is kept of a tool's words for an error message."""

MAX_OUTPUT_BYTES: Final = 1024**2
"""What is read of a tool's answer; the longest, wipefs of a strange disk, has a few KiB."""

READ_BYTES: Final = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A process that has ended."""

    tool: str
    code: int
    output: str
    errors: str

    def failure(self, what: str, *, hint: str = "") -> WrongState:
        """Its failure as an error that says what was attempted and what the tool said."""
        said = (self.errors.strip() or self.output.strip())[-TAIL_BYTES:]
        return WrongState(f"{what}: {self.tool} {self._end()}: {said}", hint=hint)

    def _end(self) -> str:
        if self.code >= 0:
            return f"ended with {self.code}"
        name = signal.Signals(-self.code).name
        if -self.code == signal.SIGKILL:
            return f"was killed by {name}, as happens when memory runs out"
        return f"was killed by {name}"


async def run(command: Sequence[str], *, timeout_s: float = TIMEOUT_S) -> Done:
    """Run a tool to its end, whatever its exit status.

    Raises:
        InvalidArgument: the tool is not on this machine.
        Unreachable: the machine can't start a process now; nothing was done.
        TimeoutError: it did not end in time and was killed.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with waiting(lambda: f"{command[0]} runs on {command[-1]} ({loop.time() - began_s:.0f} s)"):
        return await _ended(await _started(command), command, timeout_s)


async def _ended(
    process: asyncio.subprocess.Process, command: Sequence[str], timeout_s: float
) -> Done:
    tool = command[0]
    try:
        async with asyncio.timeout(timeout_s) as limit:
            output, errors, code = await asyncio.gather(
                _first(process.stdout), _last(process.stderr), process.wait()
            )
    except BaseException:
        await _kill(process)
        if limit.expired():
            raise TimeoutError(
                f"{' '.join((tool, command[-1]))}: no end in {timeout_s:g} s, it was killed"
            ) from None
        raise
    return Done(
        tool=tool,
        code=code,
        output=output.decode(errors="replace"),
        errors=errors.decode(errors="replace"),
    )


async def _started(command: Sequence[str]) -> asyncio.subprocess.Process:
    tool = command[0]
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(ENVIRONMENT),
            start_new_session=True,
        )
    except FileNotFoundError:
        raise InvalidArgument(
            f"this machine has no {tool}", hint=f"install the package that brings {tool}"
        ) from None
    except OSError as error:
        raise Unreachable(
            f"{tool} can't be started: {error.strerror}",
            hint="the machine is short of processes, files or memory",
        ) from error


async def _first(stream: asyncio.StreamReader | None) -> bytes:
    """The beginning of what a tool says; the rest is read and dropped, or it would wait."""
    kept = bytearray()
    while stream is not None and (part := await stream.read(READ_BYTES)):
        kept += part[: MAX_OUTPUT_BYTES - len(kept)]
    return bytes(kept)


async def _last(stream: asyncio.StreamReader | None) -> bytes:
    """The end of what a tool complains about: the cause stands last."""
    kept = bytearray()
    while stream is not None and (part := await stream.read(READ_BYTES)):
        kept += part
        del kept[:-MAX_OUTPUT_BYTES]
    return bytes(kept)


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # a process that waits for a dead disk can't be killed; nobody waits for it any longer
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            await process.wait()
