from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from diskcsi.orchestrator import demo
from diskcsi.orchestrator.processes import ProgramFailed
from tests.host.leftovers import left_below

COMMAND = [sys.executable, "-m", "diskcsi", "demo"]


@pytest.fixture
def directory() -> Iterator[Path]:
    """For all that a demo makes; short, since a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def left_behind(directory: Path) -> list[str]:
    """What of this demonstration is still on the machine."""
    return [*left_below(directory), *map(str, directory.iterdir())]


@pytest.mark.host
def test_the_demo_ends_well_and_leaves_nothing(directory: Path) -> None:
    """Every check held, and the table says so."""
    done = subprocess.run(
        [*COMMAND, "--latency=zero"],
        env={**os.environ, "TMPDIR": str(directory)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"leaked disks +0\s+leaked snapshots +0\s+loop devices left +0", done.stdout)
    assert not left_behind(directory)


@pytest.mark.host
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_demo_leaves_nothing(directory: Path, number: signal.Signals) -> None:
    """In the middle of a life, with a volume mounted."""
    process = subprocess.Popen(
        COMMAND, env={**os.environ, "TMPDIR": str(directory)}, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        told = []
        for line in process.stdout:
            told.append(line)
            if "format and mount" in line:
                process.send_signal(number)
                break
        told.append(process.stdout.read())
    assert process.returncode == 130, "".join(told)
    assert not left_behind(directory)


@pytest.mark.host
def test_an_impatient_second_ctrl_c_leaves_nothing_either(directory: Path) -> None:
    """The cleaning up goes on to its end."""
    process = subprocess.Popen(
        COMMAND,
        env={**os.environ, "TMPDIR": str(directory), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        assert process.stdout is not None
        told = []
        for line in process.stdout:
            told.append(line)
            if "format and mount" in line or "cleaning up, a moment" in line:
                process.send_signal(signal.SIGINT)
            if "still cleaning up" in line:
                break
        told.append(process.stdout.read())
    assert process.returncode == 130, "".join(told)
    assert not left_behind(directory)


def test_without_root_it_says_how_to_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started that would fail half way."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert any("sudo" in reason for reason in demo.missing())


async def test_what_fails_is_told_and_its_logs_are_kept(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever wants to know why finds more than the message."""

    @asynccontextmanager
    async def broken(within: Path, latency: str) -> AsyncIterator[demo.World]:
        (within / "controller.log").write_text("why")
        raise ProgramFailed("the controller did not start")
        yield

    monkeypatch.setattr(demo, "_world", broken)
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    assert not await demo.run(keep=False, latency="zero")
    told = capsys.readouterr().err
    kept = re.search(r"the controller did not start\nlogs are kept in (.+)", told)
    assert kept is not None
    assert (Path(kept[1]) / "controller.log").read_text() == "why"


def test_a_directory_too_deep_for_sockets_is_told_before_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel's own word for it would come from a driver's log."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/tmp/" + "deep" * 20)  # noqa: S108 - never made
    assert any("TMPDIR=/tmp" in reason for reason in demo.missing())


@pytest.mark.host
def test_kept_it_tells_how_to_look_around(directory: Path) -> None:
    """It goes on until Ctrl-C, and then it cleans up all the same."""
    process = subprocess.Popen(
        [*COMMAND, "--latency=zero", "--keep"],
        env={**os.environ, "TMPDIR": str(directory), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        told = []
        for line in process.stdout:
            told.append(line)
            if "csi-sanity" in line:
                break
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert any("/_mock/state" in line for line in told)
    assert not left_behind(directory)
