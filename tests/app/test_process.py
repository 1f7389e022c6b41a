"""`diskcsi run` as a process of its own."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from grpclib.client import Channel

from diskcsi._proto.csi import v1

START_S = 20.0
HALVES = {
    "controller": ("--run-node-service=false", "--region=cn-hangzhou"),
    "node": ("--run-controller-service=false", "--metadata-url="),
}


@contextmanager
def process(
    directory: Path, *flags: str, python: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A driver that has answered; what it printed is in `log`."""
    path = directory / "csi.sock"
    command = [
        sys.executable, *python, "-m", "diskcsi", "run", f"--endpoint=unix://{path}",
        "--http-port=-1", *flags,
    ]  # fmt: skip
    with (directory / "log").open("w") as log:
        running = subprocess.Popen(
            command, env={"PATH": os.environ["PATH"]}, stdout=log, stderr=log
        )
    try:
        end_s = time.monotonic() + START_S
        while not re.search(r"\bserving\b", (directory / "log").read_text()):
            assert running.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < end_s
            select.select([], [], [], 0.02)
        yield running
    finally:
        running.kill()
        running.wait(timeout=START_S)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_well(tmp_path: Path, number: int) -> None:
    """Exit status 0, though a client holds its connection open."""
    with process(tmp_path, *HALVES["controller"]) as driver:
        channel = Channel(path=str(tmp_path / "csi.sock"))
        await v1.IdentityStub(channel).get_plugin_info(v1.GetPluginInfoRequest())
        driver.send_signal(number)
        status = driver.wait(timeout=START_S)
        channel.close()
    assert (status, (tmp_path / "csi.sock").exists()) == (0, False)


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("half", HALVES)
def test_a_server_never_loads_what_only_people_s_commands_need(
    tmp_path: Path, half: str, form: str
) -> None:
    """rich, which structlog would take wherever it is installed, costs five megabytes."""
    flags = (*HALVES[half], f"--logging-format={form}")
    with process(tmp_path, *flags, python=("-X", "importtime")):
        log = (tmp_path / "log").read_text()
    loaded = {line.rpartition("|")[2].strip() for line in log.splitlines()}
    assert "structlog._config" in loaded
    assert not {name for name in loaded if name.startswith(("rich.", "pygments", "pytest"))}


def test_its_lines_are_json(tmp_path: Path) -> None:
    """One object a line, from the first to the last."""
    with process(tmp_path, *HALVES["controller"]) as driver:
        driver.terminate()
        driver.wait(timeout=START_S)
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line[0] + line[-1] for line in lines] == ["{}"] * len(lines)
