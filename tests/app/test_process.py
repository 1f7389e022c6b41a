"""What `diskcsi run` is from outside: its signals, its lines, what it loads."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from grpclib.client import Channel

from diskcsi._proto.csi import v1
from tests.app.processes import HALVES, START_S, process


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


def test_a_signal_in_the_middle_of_the_start_ends_it_well_too(tmp_path: Path) -> None:
    """A rollout that changes its mind leaves no socket behind."""
    with process(tmp_path, *HALVES["controller"], until=tmp_path / "csi.sock") as driver:
        driver.terminate()
        status = driver.wait(timeout=START_S)
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
