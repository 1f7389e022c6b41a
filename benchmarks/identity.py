"""How soon a fresh process answers its first Identity call, beside a bare server."""

from __future__ import annotations

import asyncio
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from grpclib.client import Channel

from benchmarks.figures import Figure
from diskcsi._proto.csi import v1

ROUNDS = 9
LIMIT = 1.3
LOOK_S = 0.002
"""Between two tries to connect; it adds at most this to each time."""

GIVE_UP_S = 20.0

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "REGION_ID": "cn-hangzhou",
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "benchmark",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "benchmark",
}


async def measure(directory: Path) -> Sequence[Figure]:
    """The controller's and the node's time over a bare server's, each the median of its rounds.

    The rounds of the three take turns, so that what else the machine does hits all alike.
    """
    path = directory / "first.sock"
    bare = [sys.executable, "-m", "benchmarks.bare_server", str(path)]
    run = [sys.executable, "-m", "diskcsi", "run", f"--endpoint=unix://{path}", "--http-port=0"]
    commands = {
        "bare": bare,
        "controller": [*run, "--run-node-service=false"],
        "node": [*run, "--run-controller-service=false"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            times[name].append(await _first_answer(command, path, ENVIRONMENT))
    medians = {name: statistics.median(taken) * 1000 for name, taken in times.items()}
    return [
        Figure(
            name=f"first Identity answer, {name}",
            value=medians[name],
            unit="ms",
            floor=medians["bare"],
            limit=LIMIT,
            of_ratio=True,
        )
        for name in ("controller", "node")
    ]


async def _first_answer(
    command: Sequence[str], path: Path, environment: Mapping[str, str]
) -> float:
    path.unlink(missing_ok=True)
    begun = time.monotonic()
    process = subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(GIVE_UP_S):
            while not _listens(path):
                await asyncio.sleep(LOOK_S)
            channel = Channel(path=str(path))
            await v1.IdentityStub(channel).get_plugin_info(v1.GetPluginInfoRequest())
            taken_s = time.monotonic() - begun
            channel.close()
    finally:
        process.kill()
        process.wait()
    return taken_s


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
