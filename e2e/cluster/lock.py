"""One command at a time on the cluster of a cache: two would take away what the other is at."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from e2e.cluster.place import Place, not_yours
from e2e.cluster.shell import CommandFailed


@contextmanager
def alone(place: Place) -> Iterator[int]:
    """Keep others out while the block runs; the kernel lets them in when this process ends.

    Gives the file's descriptor: a child that has it, by `pass_fds`, keeps others out as long as it lives.

    Raises:
        CommandFailed: another has it, and the message tells which; or the file is another user's.
    """
    with _opened(place) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise CommandFailed(
                f"another command is at work on this cluster: {file.read().strip()}. Wait for its"
                " end, or end it"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()}, {shlex.join(sys.orig_argv)[:200]}\n")
        file.flush()
        yield file.fileno()


def _opened(place: Place) -> IO[str]:
    path = place.cache / "lock"
    try:
        return path.open("a+")
    except PermissionError as error:
        raise CommandFailed(not_yours(path, place.cache)) from error
