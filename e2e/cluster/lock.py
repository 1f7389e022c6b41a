"""One command at a time on the cluster of a cache: two would take away what the other is at."""

from __future__ import annotations

import fcntl
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.cluster.place import Place
from e2e.cluster.shell import CommandFailed


@contextmanager
def alone(place: Place) -> Iterator[None]:
    """Keep others out while the block runs; the kernel lets them in when this process ends.

    Raises:
        CommandFailed: another has it; the message tells which.
    """
    with (place.cache / "lock").open("a+") as file:
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
        yield
