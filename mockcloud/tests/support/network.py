"""A network that a test has for itself, so that it may take and route addresses as it likes."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec

CLONE_NEWNET: Final = 0x40000000

P = ParamSpec("P")


def on_a_network_of_its_own(test: Callable[P, None]) -> Callable[P, None]:
    """Run a test, and the processes that it starts, where there is a loopback interface only.

    It needs root. The network goes with them.
    """

    @functools.wraps(test)
    def alone(*args: P.args, **kwargs: P.kwargs) -> None:
        with ThreadPoolExecutor(1, initializer=_leave) as thread:  # a network is a thread's
            thread.submit(test, *args, **kwargs).result()

    return alone


def ip(*words: str) -> str:
    """What the system's tool says."""
    ran = subprocess.run(["ip", *words], check=True, capture_output=True, text=True)  # noqa: S607
    return ran.stdout


def _leave() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    ip("link", "set", "lo", "up")
