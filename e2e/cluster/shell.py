"""Runs commands: what they print goes to a log, and a failure shows its last lines."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

TAIL_LINES: Final = 15
"""Of a failed command's output, shown at once; the log has the rest."""


class CommandFailed(Exception):  # noqa: N818 - reads as what happened
    """A command ended with an error; the message has its last lines and where the rest is."""


def words(error: BaseException) -> str:
    """What it says, and below it what went wrong before and was not told: it came up in cleaning up."""
    before = None if error.__suppress_context__ else error.__context__
    return str(error) if before is None else f"{error}\nand before that: {words(before)}"


class Shell:
    """Starts commands with one environment and one log."""

    def __init__(self, *, environment: Mapping[str, str], log: Path) -> None:
        self._environment = dict(environment)
        self._log = log

    def run(
        self,
        *command: str | Path,
        text: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout_s: float = 1800,
    ) -> str:
        """What it printed on its standard output.

        Raises:
            CommandFailed: it ended with an error, or not in time.
        """
        words = [str(word) for word in command]
        try:
            done = subprocess.run(
                words, input=text, stdin=None if text is not None else subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", cwd=cwd, check=False,
                env={**self._environment, **(env or {})}, timeout=timeout_s,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise CommandFailed(f"{words[0]} is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(f"{shlex.join(words)}: no end after {timeout_s:g} s") from error
        self._write(words, done)
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-TAIL_LINES:])
            raise CommandFailed(
                f"{shlex.join(words)[:300]} ended with {done.returncode}:\n{tail}\n"
                f"everything that was printed: {self._log}"
            )
        return done.stdout

    def holds(self, *command: str | Path, timeout_s: float = 60) -> bool:
        """Whether the command ends well."""
        try:
            self.run(*command, timeout_s=timeout_s)
        except CommandFailed:
            return False
        return True

    def pipe(self, source: tuple[str | Path, ...], target: tuple[str | Path, ...]) -> None:
        """Let one command read what another writes.

        Raises:
            CommandFailed: one of them ended with an error.
        """
        words = [[str(word) for word in command] for command in (source, target)]
        with self._log.open("a") as log:
            writer = self._start(words[0], log, None)
            reader = self._start(words[1], log, writer.stdout)
            if writer.stdout is not None:
                writer.stdout.close()
            reader.communicate()
            ends = [writer.wait(), reader.returncode]
        for told, end in zip(words, ends, strict=True):
            # a writer whose reader has gone is told so by a signal: the reader's end says why
            if end not in (0, -signal.SIGPIPE):
                raise CommandFailed(f"{shlex.join(told)} ended with {end}; see {self._log}")

    def _start(
        self, words: list[str], log: IO[str], stdin: IO[bytes] | None
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            words, stdin=stdin or subprocess.DEVNULL, stderr=log, env=self._environment,
            stdout=log if stdin else subprocess.PIPE,
        )  # fmt: skip

    def _write(self, words: list[str], done: subprocess.CompletedProcess[str]) -> None:
        with self._log.open("a") as log:
            log.write(f"$ {shlex.join(words)[:2000]}\n{done.stdout[-20000:]}{done.stderr[-20000:]}")


class Steps:
    """Tells on the screen what is being done, and how long each part took."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self.took_s: dict[str, float] = {}

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Tell the title now and the seconds at the end."""
        if sys.stdout.isatty():
            print(f"  {title} ...", end="\r", flush=True)
        began_s = time.monotonic()
        try:
            yield
        except BaseException:
            print(f"  {title:<66} failed", flush=True)
            raise
        self.took_s[title] = time.monotonic() - began_s
        print(f"  {title:<66} {self.took_s[title]:6.1f} s", flush=True)

    def whole_s(self) -> float:
        """Seconds since the first step could begin."""
        return time.monotonic() - self._began_s
