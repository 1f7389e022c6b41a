"""`diskcsi run` as a process of its own."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

START_S = 20.0
HALVES = {
    "controller": ("--run-node-service=false", "--region=cn-hangzhou"),
    "node": ("--run-controller-service=false", "--metadata-url="),
}


@contextmanager
def process(
    directory: Path,
    *flags: str,
    python: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    until: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A driver that serves, or whose file `until` is there; what it printed is in `log`."""
    path = directory / "csi.sock"
    command = [
        sys.executable, *python, "-m", "diskcsi", "run", f"--endpoint=unix://{path}",
        "--http-port=-1", *flags,
    ]  # fmt: skip
    with (directory / "log").open("w") as log:
        running = subprocess.Popen(
            command, env={"PATH": os.environ["PATH"], **(environment or {})}, stdout=log, stderr=log
        )
    try:
        end_s = time.monotonic() + START_S
        while not (until.exists() if until else _serves(directory / "log")):
            assert running.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < end_s
            select.select([], [], [], 0.02)
        yield running
    finally:
        running.kill()
        running.wait(timeout=START_S)


def _serves(log: Path) -> bool:
    return re.search(r"\bserving\b", log.read_text()) is not None
