"""The command line: the program as people and scripts start it."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any

import pytest
from aliyunsdkecs.request.v20140526.AttachDiskRequest import AttachDiskRequest
from aliyunsdkecs.request.v20140526.CreateDiskRequest import CreateDiskRequest
from click.testing import CliRunner
from mockcloud.cli import main
from sdk import sdk_client

COMMAND = (sys.executable, "-m", "mockcloud", "serve")
PATIENCE_S, LOOK_S = 20.0, 0.02
NODE = "i-bp1mockcloudnode0001"

Process = subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where the program makes its temporary files."""
    path = tmp_path / "scratch"
    path.mkdir()
    return path


@pytest.fixture
def start(scratch: Path) -> Iterator[Start]:
    """Starts the program; whatever still runs at the end is killed."""
    running: list[Process] = []

    def started(*flags: str, path: str = os.environ["PATH"]) -> Process:
        process = subprocess.Popen(
            [*COMMAND, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"PATH": path, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(scratch)},
        )  # fmt: skip
        running.append(process)
        return process

    yield started
    for process in running:
        process.kill()
        process.communicate()


def endpoint(process: Process) -> str:
    """The address that the first line tells."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], PATIENCE_S)[0]
    found = re.fullmatch(r"endpoint (http://127\.0\.0\.1:\d+)\n", process.stdout.readline())
    assert found is not None
    return found[1]


def ended(process: Process, number: int = signal.SIGTERM) -> tuple[int, str, str]:
    """Status, rest of the output and errors of a process that was asked to end."""
    assert process.stdout is not None
    assert process.stderr is not None
    process.send_signal(number)
    status = process.wait(timeout=PATIENCE_S)
    return status, process.stdout.read(), process.stderr.read()


def read(url: str) -> Any:  # noqa: ANN401 - JSON
    """What an address of the mock itself answers."""
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:  # noqa: S310 - a fixed scheme
        return json.load(answer)


def backed(backing: Path) -> str:
    """The file behind a loop device; empty when there is none."""
    try:
        return backing.read_text()
    except OSError:
        return ""


def attach(address: str) -> str:
    """Make a disk and attach it, with the old SDK as it is; the disk's id."""
    create = CreateDiskRequest()
    create.set_accept_format("json")
    create.set_ZoneId("cn-hangzhou-g")
    create.set_DiskCategory("cloud_essd")
    create.set_Size(20)
    with sdk_client(address.removeprefix("http://")) as client:
        disk_id: str = json.loads(client.do_action_with_exception(create))["DiskId"]
        request = AttachDiskRequest()
        request.set_DiskId(disk_id)
        request.set_InstanceId(NODE)
        client.do_action_with_exception(request)
    return disk_id


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_asked_to_end(start: Start, number: int) -> None:
    """It ends well, and says nothing on the way."""
    process = start("--port=0", "--quiet")
    assert read(f"{endpoint(process)}/_mock/calls") == []
    assert ended(process, number) == (0, "", "")


def test_one_that_was_told_its_directory_leaves_no_other(
    start: Start, tmp_path: Path, scratch: Path
) -> None:
    """Even when it is killed."""
    process = start("--port=0", "--quiet", f"--root={tmp_path / 'cloud'}")
    endpoint(process)
    ended(process, signal.SIGKILL)
    assert list(scratch.iterdir()) == []


def test_it_tells_how_to_use_what_it_serves(start: Start) -> None:
    """A key pair, the instances, and a few lines to copy."""
    process = start("--port=0")
    address = endpoint(process)
    _, output, _ = ended(process)
    for words in ("key id     mockcloud-key-id", "key secret ", f"instance   {NODE}", "AcsClient("):
        assert words in output
    assert f'add_endpoint("cn-hangzhou", "Ecs", "{address.removeprefix("http://")}")' in output


def test_a_secret_that_a_file_tells_is_not_printed(start: Start, tmp_path: Path) -> None:
    """What it prints stands in a pod's log, which more people read than the file."""
    world = tmp_path / "world.toml"
    world.write_text('[[keys]]\nid = "mine"\nsecret = "mockcloud-key-secret"\n')
    process = start("--port=0", f"--world={world}")
    endpoint(process)
    _, output, errors = ended(process)
    assert f"key id     mine\nkey secret stands in {world}\n" in output
    assert "mockcloud-key-secret" not in output + errors


def test_the_example_of_use_works_as_it_is_printed(start: Start) -> None:
    """Whoever copies the lines gets an answer."""
    process = start("--port=0", "--latency=zero")
    endpoint(process)
    assert process.stdout is not None
    lines = dropwhile(lambda line: not line.startswith("Try it"), process.stdout)
    example = [line.strip() for line in islice(lines, 1, 6)]
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "\n".join(example)],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert "RequestId" in ran.stdout, ran.stderr


def test_a_world_file_says_what_there_is(start: Start, tmp_path: Path) -> None:
    """Its instances are served instead of the usual ones."""
    world = tmp_path / "world.toml"
    world.write_text('[[instances]]\nid = "i-mine"\nzone = "cn-hangzhou-g"\n')
    process = start("--port=0", f"--world={world}", "--quiet")
    state = read(f"{endpoint(process)}/_mock/state")
    assert [one["id"] for one in state["instances"]] == ["i-mine"]


def test_a_taken_port_is_told_in_one_line(start: Start) -> None:
    """It names the address and what to do, and shows no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(f"--port={port}")
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert errors == (
        f"Error: can't listen on 127.0.0.1:{port}: Address already in use; choose another with"
        " --port (0: a free one) or --host\n"
    )


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--knob=nonsense=1", "no knob 'nonsense': allowed are delete_unknown"),
        ("--knob=delete_unknown=500", "knob delete_unknown is 500: allowed are 404, 200"),
        ("--knob=delete_unknown", "--knob: allowed is NAME=VALUE"),
        ("--step=jump=1", "no latency step 'jump': allowed are call, create"),
        ("--step=attach=soon", "latency attach=soon: allowed are SECONDS or LOW:HIGH"),
        ("--step=attach=3:1", "latency attach=3:1: allowed are seconds from 0, the lower first"),
    ],
)
def test_a_flag_that_cannot_be_is_refused_with_what_can(flag: str, words: str) -> None:
    """The error names the flag's value and the allowed ones."""
    result = CliRunner().invoke(main, ["serve", flag])
    assert result.exit_code == 1
    assert words in result.output


def test_a_world_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """The error says what in the file is wrong."""
    world = tmp_path / "world.toml"
    world.write_text("planets = 9\n")
    result = CliRunner().invoke(main, ["serve", f"--world={world}"])
    assert "the world has unknown keys planets; allowed are " in result.output


def test_help_tells_every_flag() -> None:
    """Each flag of the command has a line that says what it does."""
    output = CliRunner().invoke(main, ["serve", "--help"]).output
    flags = re.findall(r"^  (--[\w-]+)[^\n]*?(?:\n\s+|\s{2,})(\S)", output, re.MULTILINE)
    assert {flag for flag, _ in flags} >= {
        "--host", "--port", "--world", "--latency", "--step", "--knob", "--hypervisor", "--root",
        "--seed", "--quiet",
    }  # fmt: skip


@pytest.mark.parametrize("command", [[], ["serve"], ["agent"]], ids=["itself", "serve", "agent"])
def test_help_has_a_short_flag(command: list[str]) -> None:
    """As `diskcsi` has it."""
    runner = CliRunner()
    assert runner.invoke(main, [*command, "-h"]).output == (
        runner.invoke(main, [*command, "--help"]).output
    )


def test_loop_disks_without_their_tools_are_refused_at_the_start(
    start: Start, tmp_path: Path
) -> None:
    """A missing tool is told before anybody waits for a device."""
    process = start("--port=0", "--hypervisor=loop", path=str(tmp_path))
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, output) == (1, "")
    assert errors.startswith("Error: --hypervisor=loop: ")


@pytest.mark.host
def test_loop_disks_name_the_missing_tools(start: Start, tmp_path: Path) -> None:
    """Whoever lacks them reads which, and what to install."""
    process = start("--port=0", "--hypervisor=loop", path=str(tmp_path))
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert "there is no losetup, blockdev, umount, cp on PATH; install util-linux" in errors


@pytest.mark.host
def test_loop_disks_need_root() -> None:
    """Another user reads so at once."""
    forked = (
        "import os, sys; os.setgid(65534); os.setuid(65534)\n"
        "from click.testing import CliRunner; from mockcloud.cli import main\n"
        "print(CliRunner().invoke(main, ['serve', '--port=0', '--hypervisor=loop']).output)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", f"import mockcloud.cli, click.testing\n{forked}"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert "--hypervisor=loop: loop devices need root" in ran.stdout, ran.stderr


@pytest.mark.host
def test_a_device_that_cannot_be_made_is_told_on_stderr(start: Start, tmp_path: Path) -> None:
    """The disk reads attached and no device appears: whoever wonders finds the reason."""
    tool = tmp_path / "losetup"
    tool.write_text("#!/bin/sh\necho no room for loops >&2\nexit 3\n")
    tool.chmod(0o755)
    flags = ("--port=0", "--quiet", "--latency=zero", "--hypervisor=loop")
    process = start(*flags, path=f"{tmp_path}:{os.environ['PATH']}")
    disk_id = attach(endpoint(process))
    _, _, errors = ended(process)
    assert f"{disk_id.removeprefix('d-')}.img ended with 3: no room for loops" in errors


@pytest.mark.host
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_takes_every_device_and_file_along(
    start: Start, tmp_path: Path, number: int
) -> None:
    """Neither a loop device nor a file of the disk is left."""
    flags = ("--port=0", "--quiet", "--latency=zero", "--hypervisor=loop", f"--root={tmp_path}")
    process = start(*flags)
    attach(endpoint(process))
    links = tmp_path / NODE / "dev/disk/by-id"
    device = next(links.iterdir()).resolve()
    backing = Path("/sys/block", device.name, "loop/backing_file")
    before = backed(backing)
    assert before.startswith(str(tmp_path))
    status, _, errors = ended(process, number)
    assert (status, errors) == (0, "")
    end_s = time.monotonic() + PATIENCE_S
    while backed(backing) == before:  # some other program may look at the device just now
        assert time.monotonic() < end_s
        select.select([], [], [], LOOK_S)
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []
