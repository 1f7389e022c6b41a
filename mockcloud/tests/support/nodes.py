"""A cloud and the agents of its nodes as processes of this machine, each node a directory."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mockcloud.agent.node import instance_id
from wireclient import signed

PATIENCE_S: Final = 20.0
LOOK_S: Final = 0.02
TOKEN: Final = "a-secret-of-these-tests"
ZONE: Final = "cn-hangzhou-g"

Process = subprocess.Popen[str]


def wait_until(so: Callable[[], object], what: str) -> None:
    """Look again and again until it is so; what other processes do has no event."""
    end = time.monotonic() + PATIENCE_S
    while not so():
        assert time.monotonic() < end, f"in {PATIENCE_S:g} s it was never so that {what}"
        time.sleep(LOOK_S)


@dataclass(kw_only=True)
class Node:
    """One machine: a directory that stands for its `/dev`, and its agent."""

    name: str
    dev: Path
    metadata: str
    system: str
    process: Process | None = None

    @property
    def instance(self) -> str:
        """The id of its instance."""
        return instance_id(self.name, self.system)

    def link(self, disk_id: str, style: str = "virtio-") -> Path:
        """Where it finds a disk."""
        return self.dev / "disk/by-id" / f"{style}{disk_id.removeprefix('d-')}"

    def has(self, disk_id: str) -> bool:
        """Whether a disk is there as a device."""
        return self.link(disk_id).is_block_device()

    def reads(self, path: str) -> str:
        """What its metadata service answers; empty when it doesn't."""
        try:
            with urllib.request.urlopen(
                f"http://{self.metadata}/latest/{path}", timeout=PATIENCE_S
            ) as answer:
                return str(answer.read().decode())
        except urllib.error.URLError:
            return ""

    def told(self, path: str) -> str:
        """What its metadata service answers once it serves, which is after its agent's welcome."""
        wait_until(lambda: self.reads(path), f"the metadata of {self.name} are served")
        return self.reads(path)


@dataclass(kw_only=True)
class Nodes:
    """The whole: a cloud serves below `root`, with agents of its nodes.

    Attributes:
        host: an address of this machine that nobody else listens at; nodes have it too.
        port: where it serves; those after it are the nodes'.
    """

    root: Path
    host: str
    port: int
    steps: tuple[str, ...] = ()
    server: Process | None = None
    nodes: list[Node] = field(default_factory=list)
    _started: list[Process] = field(default_factory=list)

    @property
    def place(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def token_file(self) -> Path:
        """The secret of server and agents."""
        path = self.root / "token"
        path.write_text(f"{TOKEN}\n")
        return path

    def serve(self) -> None:
        """Start the server, and wait until it answers."""
        world = self.root / "world.toml"
        world.write_text("instances = []\n[knobs]\nsnapshot_needs_attach = false\n")
        flags = [f"--step={one}" for one in self.steps]
        server = self.server = self._start(
            "serve", "--hypervisor=agent", f"--root={self.root / 'cloud'}", f"--world={world}",
            f"--host={self.host}", f"--port={self.port}", f"--agent-token-file={self.token_file}",
            "--latency=zero", "--quiet", *flags,
        )  # fmt: skip
        wait_until(lambda: self.state() or server.poll() is not None, "the server answers")
        assert server.poll() is None, server.communicate()[1]

    def agent(self, node: Node, *flags: str, token_file: Path | None = None) -> Process:
        """Start a node's agent."""
        host, _, port = node.metadata.partition(":")
        node.process = self._start(
            "agent", f"--server=http://{self.place}", f"--node-name={node.name}",
            f"--token-file={token_file or self.token_file}", f"--device-root={node.dev}",
            f"--metadata-address={host}", f"--metadata-port={port}", f"--zone={ZONE}",
            f"--system-id={node.system}", "--loop-nodes=0", *flags,
        )  # fmt: skip
        return node.process

    def joined(self, name: str = "one", *, system: str = "uuid-1") -> Node:
        """A node whose agent is connected."""
        node = self.node(name, system=system)
        self.agent(node)
        wait_until(lambda: self.connected(node), f"node {name} is connected")
        return node

    def node(self, name: str = "one", *, system: str = "uuid-1") -> Node:
        """A node without an agent."""
        dev = self.root / name / "dev"
        dev.mkdir(parents=True, exist_ok=True)
        metadata = f"{self.host}:{self.port + len(self.nodes) + 1}"
        node = Node(name=name, dev=dev, metadata=metadata, system=system)
        self.nodes.append(node)
        return node

    def connected(self, node: Node) -> bool:
        """Whether the server sees its agent."""
        return any(
            one["instance"] == node.instance and one["connected_since"]
            for one in self.state().get("agents", ())
        )

    def state(self) -> dict[str, Any]:
        """What the cloud shows of itself; empty when it doesn't answer."""
        try:
            with urllib.request.urlopen(
                f"http://{self.place}/_mock/state", timeout=PATIENCE_S
            ) as answer:
                told: dict[str, Any] = json.load(answer)
                return told
        except OSError:
            return {}

    def call(self, action: str, **params: object) -> dict[str, Any]:
        """A call of the ECS API."""
        values = {"Action": action, "RegionId": "cn-hangzhou"}
        values |= {name.replace("_", "."): str(value) for name, value in params.items()}
        return self._sent(signed("POST", values, now=time.time()))

    def creates(self, **more: object) -> str:
        """The id of a new disk."""
        told = self.call("CreateDisk", ZoneId=ZONE, Size=20, DiskCategory="cloud_essd", **more)
        return str(told["DiskId"])

    def attaches(self, disk_id: str, node: Node) -> None:
        """Attach, and wait until the node has the device."""
        self.call("AttachDisk", DiskId=disk_id, InstanceId=node.instance)
        wait_until(lambda: node.has(disk_id), f"{node.name} has {disk_id}")

    def detaches(self, disk_id: str, node: Node) -> None:
        """Begin to detach."""
        self.call("DetachDisk", DiskId=disk_id, InstanceId=node.instance)

    def status(self, disk_id: str) -> str:
        """What a disk's status says; empty when there is no such disk."""
        return next((d["status"] for d in self.state()["disks"] if d["id"] == disk_id), "")

    def becomes(self, disk_id: str, status: str) -> None:
        """Wait for a status."""
        wait_until(lambda: self.status(disk_id) == status, f"{disk_id} is {status!r}")

    def loops(self, disk_id: str) -> list[str]:
        """The kernel's devices over a disk's file."""
        image = self.root / "cloud/disks" / f"{disk_id.removeprefix('d-')}.img"
        return [device for device, path in _backed() if path == str(image)]

    def kill(self, process: Process | None, number: int = signal.SIGKILL) -> None:
        """End a process, and wait until it is gone."""
        assert process is not None
        process.send_signal(number)
        process.wait(timeout=PATIENCE_S)

    def close(self) -> None:
        """End all processes, and see that no device of theirs is left."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.communicate()
        ours = f"{self.root}/"
        wait_until(
            lambda: not any(path.startswith(ours) for _, path in _backed()),
            "no loop device is left",
        )

    def _start(self, *command: str) -> Process:
        path = os.pathsep.join(sys.path)
        process = subprocess.Popen(
            [sys.executable, "-m", "mockcloud", *command],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        )  # fmt: skip
        self._started.append(process)
        return process

    def _sent(self, params: Mapping[str, str]) -> dict[str, Any]:
        data = urllib.parse.urlencode(params).encode()
        with urllib.request.urlopen(
            f"http://{self.place}/", data=data, timeout=PATIENCE_S
        ) as answer:
            told: dict[str, Any] = json.load(answer)
            return told


def _backed() -> Iterator[tuple[str, str]]:
    """The kernel's loop devices and the files behind them."""
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # it went meanwhile
            yield path.parts[3], path.read_text().rstrip("\n")
