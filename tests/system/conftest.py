"""A cloud, controllers and a node plug-in, each a process of its own, and what tests ask of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import socket as socketlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

INSTANCE = "i-bp1mockcloudnode0001"
START_S = 20.0
LOOK_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """A mockcloud process."""

    endpoint: str

    def state(self) -> Any:  # noqa: ANN401 - JSON
        """Disks, snapshots and instances as they are."""
        return self._ask("GET", "state")

    def calls(self) -> Any:  # noqa: ANN401 - JSON
        """Every call so far."""
        return self._ask("GET", "calls")

    def fault(self, action: str, **told: object) -> None:
        """Let something go wrong from the next call on."""
        self._ask("POST", "faults", {"action": action, **told})

    def mend(self) -> None:
        """Let nothing go wrong any more."""
        self._ask("DELETE", "faults")

    async def reaches(self, condition: Callable[[Any], bool]) -> None:
        """Wait until the state is so."""
        async with asyncio.timeout(START_S):
            while not condition(await asyncio.to_thread(self.state)):  # noqa: ASYNC110 - another process
                await asyncio.sleep(LOOK_S)

    def _ask(self, method: str, what: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - JSON
        request = urllib.request.Request(  # noqa: S310 - a fixed scheme
            f"{self.endpoint}/_mock/{what}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=START_S) as answer:  # noqa: S310 - same
            return json.load(answer)


@dataclass(slots=True)
class Driver:
    """A driver's process; whoever killed it doesn't expect it to end well."""

    socket: Path
    process: subprocess.Popen[bytes]
    killed: bool = False

    def kill(self) -> None:
        """As a machine that loses its power."""
        self.process.kill()
        self.process.wait()
        self.killed = True


@dataclass(slots=True)
class Drivers:
    """Starts drivers; at the end each is asked to stop and must end well."""

    directory: Path
    cloud: Cloud
    running: list[Driver] = field(default_factory=list)

    def controller(self) -> Driver:
        """One more controller, on a socket of its own."""
        environment = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": "mockcloud-key-id",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "mockcloud-key-secret",
            "REGION_ID": "cn-hangzhou",
            "ECS_ENDPOINT": self.cloud.endpoint.removeprefix("http://"),
            "ALICLOUD_CLIENT_SCHEME": "http",
        }
        return self._start("controller", environment, "--run-node-service=false")

    def node(self) -> Driver:
        """The plug-in of the first instance, which holds no key."""
        return self._start(
            "node", {"REGION_ID": "cn-hangzhou"},
            "--run-controller-service=false", "--identity-sources=loop",
            f"--device-root={self.directory}/cloud/{INSTANCE}/dev",
            f"--metadata-url={self.cloud.endpoint}/_imds/{INSTANCE}",
            f"--kubelet-root-dir={self.directory}",
        )  # fmt: skip

    def _start(self, name: str, environment: Mapping[str, str], *flags: str) -> Driver:
        socket = self.directory / f"{name}-{len(self.running)}.sock"
        command = [
            sys.executable, "-m", "diskcsi", "run", f"--endpoint=unix://{socket}", "--http-port=-1",
        ]  # fmt: skip
        with socket.with_suffix(".log").open("w") as log:
            process = subprocess.Popen(
                [*command, *flags],
                env={"PATH": os.environ["PATH"], **environment},
                stdout=log,
                stderr=log,
            )
        driver = Driver(socket, process)
        self.running.append(driver)
        end_s = time.monotonic() + START_S
        while not _listens(socket):
            assert process.poll() is None
            assert time.monotonic() < end_s
            select.select([], [], [], LOOK_S)
        return driver

    def end(self) -> None:
        """Stop them all."""
        codes = [_end(driver.process) for driver in self.running if not driver.killed]
        assert not any(codes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What runs: two sockets, the cloud's address and the directory that all of it lives in."""

    directory: Path
    controller: Path
    node: Path
    cloud: str


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud whose disks are names only."""
    with ExitStack() as running:
        yield _mockcloud(running, tmp_path)


@pytest.fixture
def drivers(tmp_path: Path, cloud: Cloud) -> Iterator[Drivers]:
    """None runs yet."""
    started = Drivers(tmp_path, cloud)
    try:
        yield started
    finally:
        started.end()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A controller and a node plug-in on a cloud with loop disks."""
    with ExitStack() as running:
        loops = ("--hypervisor=loop", f"--root={tmp_path}/cloud")
        cloud = _mockcloud(running, tmp_path, "--knob=snapshot_needs_attach=false", *loops)
        drivers = Drivers(tmp_path, cloud)
        running.callback(drivers.end)
        yield Stack(
            directory=tmp_path,
            controller=drivers.controller().socket,
            node=drivers.node().socket,
            cloud=cloud.endpoint,
        )


def _mockcloud(running: ExitStack, directory: Path, *flags: str) -> Cloud:
    command = [
        sys.executable, "-m", "mockcloud", "serve", "--port=0", "--latency=zero", *flags,
    ]  # fmt: skip
    with (directory / "cloud.log").open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
    running.callback(_end_well, process)
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], START_S)[0]
    found = re.fullmatch(r"endpoint (http://\S+)\n", process.stdout.readline().decode())
    assert found is not None
    return Cloud(endpoint=found[1])


def _listens(path: Path) -> bool:
    with socketlib.socket(socketlib.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _end_well(process: subprocess.Popen[bytes]) -> None:
    assert _end(process) == 0


def _end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(timeout=START_S)
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()
