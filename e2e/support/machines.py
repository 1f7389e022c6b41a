"""The machines below: a node of kind is a container, and all share one kernel."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

POD_LOGS: Final = "/var/log/pods"
"""Where kubelet has a directory for each pod, named NAMESPACE_POD_UID."""

KILL: Final = 'for one; do kill -KILL "$one" 2>&- || [ ! -e "/proc/$one" ] || exit 1; done'
"""For a shell and the ids of processes; one that has just ended with its container is no failure."""

Device: TypeAlias = tuple[str, str]
"""The name of a loop device, and which binding of it to a file is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zones:
    """The workers of the cluster by zone: two in one, one in the other."""

    two: str
    one: str
    first: str
    second: str
    third: str


class Machines:
    """Calls docker for the nodes of this cluster."""

    def __init__(self, *, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)

    def run(self, node: str, *command: str, timeout_s: float = 60) -> str:
        """What a command prints on a node."""
        return self._docker("exec", node, *command, timeout_s=timeout_s)

    def busy_share(self, node: str, *, over_s: float) -> float:
        """How much of the processors' time was used, by whatever on the machine; from 0 to 1."""
        began, began_idle = self._ticks(node)
        time.sleep(over_s)
        ended, ended_idle = self._ticks(node)
        return 1 - (ended_idle - began_idle) / (ended - began)

    def _ticks(self, node: str) -> tuple[int, int]:
        """Of all processors so far (proc_stat(5)): all, and those in which nothing ran."""
        first = self.run(node, "head", "--lines=1", "/proc/stat").split()
        ticks = [int(one) for one in first[1:9]]  # guests' are in those of users
        return sum(ticks), ticks[3] + ticks[4]

    def stop(self, node: str) -> None:
        """Cut the power: all of its processes end at once."""
        self._docker("kill", node)

    def start(self, node: str) -> None:
        """Power on again."""
        self._docker("start", node)

    def pause(self, node: str) -> None:
        """Freeze it, as a guest that hangs."""
        self._docker("pause", node)

    def resume(self, node: str) -> None:
        """Let it go on."""
        self._docker("unpause", node)

    def revive(self, node: str) -> None:
        """Whatever its state, let it run."""
        state = self._docker("inspect", "--format", "{{.State.Status}}", node).strip()
        if state == "paused":
            self.resume(node)
        elif state != "running":
            self.start(node)

    def mounts(self, node: str) -> Sequence[str]:
        """Where something of this driver is mounted on a node."""
        table = self.run(node, "cat", "/proc/mounts")
        return [
            line.split(" ")[1]
            for line in table.splitlines()
            if "/kubernetes.io~csi/" in line or "/kubernetes.io/csi/" in line
        ]

    def devices(self, node: str) -> Sequence[str]:
        """The by-id links in a node's own /dev."""
        return self.run(node, "sh", "-c", "ls /dev/disk/by-id 2>/dev/null || true").split()

    def traces(self, node: str, *, words: Sequence[str]) -> Sequence[str]:
        """Lines with one of these words in a node's table of mounts and among its by-id links."""
        wanted = " ".join(f"--regexp={word}" for word in words)
        there = "{ cat /proc/mounts; ls /dev/disk/by-id 2>&-; }"
        script = f"{there} | grep --fixed-strings {wanted} || true"
        return self.run(node, "sh", "-c", script).splitlines()

    def kill_pod(self, node: str, uid: str) -> None:
        """End every process of a pod at once; nobody asks them to, and none can do a last thing."""
        of_pod = f"pod{uid.replace('-', '.')}"  # the driver of cgroups writes - or _
        find = f"grep --files-with-matches {of_pod} /proc/[0-9]*/cgroup | cut -d/ -f3"
        self.run(node, "sh", "-c", f"set -- $({find}); [ $# != 0 ] && {KILL}")

    def hold_open(self, node: str, path: str, *, at_most_s: int) -> str:
        """Let a process of a node have a device open; gives its id, for `kill`.

        Args:
            path: of the device or a link to it; it may be a pattern.
        """
        script = f'device=$(readlink -f {path}); sleep {at_most_s} < "$device" > /dev/null 2>&1 &'
        return self.run(node, "sh", "-c", f"{script} echo $!").strip()

    def logs(self, node: str, *, namespaces: Sequence[str], words: Sequence[str]) -> Sequence[str]:
        """Lines with one of these words in the logs of pods, each after the path of its file.

        Those of a container's run before the present one are among them; those of a pod that is
        gone for about a minute, until kubelet clears its files away.
        """
        wanted = " ".join(f"--regexp={shlex.quote(word)}" for word in words)
        pods = " ".join(f"{name}_*" for name in namespaces)
        grep = f"grep --recursive --with-filename --fixed-strings {wanted} -- {pods}"
        return self.run(node, "sh", "-c", f"cd {POD_LOGS} && {grep} 2>&- || true").splitlines()

    def _docker(self, *arguments: str, timeout_s: float = 60) -> str:
        done = subprocess.run(
            ["docker", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=timeout_s, env=self._environment,
        )  # fmt: skip
        assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.strip()}"
        return done.stdout


def loop_binding(name: str) -> str:
    """Which binding to a file this is of a loop device: its next one is told by another word."""
    return Path("/sys/block", name, "diskseq").read_text().strip()


def still_bound(devices: Iterable[Device]) -> set[Device]:
    """Those that have the file that they had, however the kernel tells its path by now."""
    files = loop_devices()
    return {
        (name, binding)
        for name, binding in devices
        if name in files and loop_binding(name) == binding
    }


def loop_devices() -> Mapping[str, str]:
    """The file behind every loop device of the kernel that has one."""
    found = {}
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found[path.parts[3]] = path.read_text().strip()
        except OSError:  # it went while we looked
            continue
    return found
