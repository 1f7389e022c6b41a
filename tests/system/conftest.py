"""A cloud with loop disks, a controller and a node plug-in, each a process of its own."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

INSTANCE = "i-bp1mockcloudnode0001"
START_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What runs: two sockets, the cloud's address and the directory that all of it lives in."""

    directory: Path
    controller: Path
    node: Path
    cloud: str


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Everything started; at the end each process is asked to stop and must end well."""
    with ExitStack() as running:
        cloud = running.enter_context(_mockcloud(tmp_path))
        environment = {
            "PATH": os.environ["PATH"],
            "ALIBABA_CLOUD_ACCESS_KEY_ID": "mockcloud-key-id",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "mockcloud-key-secret",
            "REGION_ID": "cn-hangzhou",
            "ECS_ENDPOINT": cloud.removeprefix("http://"),
            "ALICLOUD_CLIENT_SCHEME": "http",
        }
        controller, node = tmp_path / "controller.sock", tmp_path / "node.sock"
        running.enter_context(
            _driver(environment, controller, tmp_path, "--run-node-service=false")
        )
        running.enter_context(
            _driver(
                {name: environment[name] for name in ("PATH", "REGION_ID")},  # no key on a node
                node, tmp_path, "--run-controller-service=false", "--identity-sources=loop",
                f"--device-root={tmp_path}/cloud/{INSTANCE}/dev",
                f"--metadata-url={cloud}/_imds/{INSTANCE}", f"--kubelet-root-dir={tmp_path}",
            )
        )  # fmt: skip
        yield Stack(directory=tmp_path, controller=controller, node=node, cloud=cloud)


@contextmanager
def _mockcloud(directory: Path) -> Iterator[str]:
    command = [
        sys.executable, "-m", "mockcloud", "serve", "--port=0", "--latency=zero",
        "--hypervisor=loop", f"--root={directory}/cloud", "--knob=snapshot_needs_attach=false",
    ]  # fmt: skip
    with (directory / "cloud.log").open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], START_S)[0]
        found = re.fullmatch(r"endpoint (http://\S+)\n", process.stdout.readline())
        assert found is not None
        yield found[1]
    finally:
        _end(process)


@contextmanager
def _driver(
    environment: dict[str, str], socket: Path, directory: Path, *flags: str
) -> Iterator[None]:
    program = "from diskcsi.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        program,
        "run",
        f"--endpoint=unix://{socket}",
        "--http-port=-1",
    ]
    with (directory / f"{socket.stem}.log").open("w") as log:
        process = subprocess.Popen([*command, *flags], env=environment, stdout=log, stderr=log)
    try:
        end_s = time.monotonic() + START_S
        while not socket.exists():
            assert process.poll() is None
            assert time.monotonic() < end_s
            select.select([], [], [], 0.02)
        yield
    finally:
        _end(process)


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        code = process.wait(timeout=START_S)
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()
    assert code == 0
