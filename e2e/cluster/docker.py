"""The docker daemon: the user's, or one of our own in the cache.

One of our own touches no other: it has its data, its socket and its containerd in the cache, no
default bridge, and makes no firewall rules. On a machine that lacks CAP_SYS_RESOURCE, as an unprivileged virtual machine may,
its runtime asks for what the machine can give.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final

from e2e.cluster.network import ADDRESS_POOL, note_forwarding
from e2e.cluster.place import Place
from e2e.cluster.shell import CommandFailed, Shell

RUNTIME: Final = Path(__file__).parent / "node" / "runc-limited"

START_S: Final = 60
"""Until the daemon answers; an old data directory takes seconds."""

STOP_S: Final = 60
"""Until it has ended; it gives containers that still run 15 s."""

PACKAGES: Final = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "jq": "jq",
}
"""What a daemon of our own and the node image need, by Debian package."""

PROCESSES: Final = Path("/proc")
MOUNTS: Final = PROCESSES / "self" / "mounts"

KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Of the package `debian-archive-keyring`: by it debootstrap checks what a mirror tells."""


def ensure(place: Place, shell: Shell) -> str:
    """See that a daemon answers; the words tell which.

    Raises:
        CommandFailed: none answers, or one of our own can't be started.
    """
    if place.own_docker:
        if os.geteuid() != 0:
            raise CommandFailed(
                "a docker daemon of our own needs root; as another user start docker, and leave"
                " E2E_DOCKERD unset"
            )
        install_packages(shell)
        if not shell.holds("docker", "version"):
            if other := living_elsewhere(place):
                raise CommandFailed(
                    f"another cache, {other}, has a docker daemon of our own that lives, and bridge,"
                    f" rules and addresses are one a machine. Use that one, DISKCSI_CACHE={other},"
                    " or take it away by `make e2e-down` with it"
                )
            _start(place)
            _wait(place, shell)
        return f"our own, in {place.docker}"
    if not shell.holds("docker", "version"):
        raise CommandFailed(
            "no docker daemon answers. Start docker, or, as root on Debian, let one be started"
            " for this alone: E2E_DOCKERD=own"
        )
    return "the user's"


def living_elsewhere(place: Place) -> Path | None:
    """Another cache whose daemon of our own lives."""
    for process in PROCESSES.glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().decode(errors="replace").split("\0")
            config = Path(words[words.index("--config-file") + 1])
            ours = ADDRESS_POOL in config.read_text()
        except (OSError, ValueError):  # it has ended; it has no such word
            continue
        if ours and config != place.docker_config:
            return config.parents[1]
    return None


def stop(place: Place, shell: Shell) -> None:
    """End a daemon of our own, if one runs, and undo its mounts; what it has built stays in the cache.

    Raises:
        CommandFailed: it doesn't end.
    """
    if not place.own_docker:
        return
    if (pid := place.docker_pid()) is not None:
        os.kill(pid, signal.SIGTERM)
    deadline_s = time.monotonic() + STOP_S
    while place.docker_pid() is not None:
        if time.monotonic() > deadline_s:
            raise CommandFailed(
                f"the docker daemon, process {pid}, does not end after {STOP_S} s; its log:"
                f" {place.docker / 'dockerd.log'}. End it with `kill -9 {pid}`, then run this again"
            )
        time.sleep(0.2)
    for line in reversed(MOUNTS.read_text().splitlines()):
        mounted = line.split(" ")[1]
        if mounted.startswith(f"{place.docker}/"):  # a namespace left open; its data, when killed
            shell.holds("umount", mounted)


def tag_by_content(shell: Shell, image: str, *, prefix: str) -> str:
    """Another tag of an image, made of its id, so that nodes see that what changed is another one.

    Those that were made of former ones are taken away: nodes have what they run themselves.

    Raises:
        CommandFailed: docker has no such image.
    """
    told = shell.run("docker", "image", "inspect", "--format", "{{.Id}}", image)
    tag = f"{prefix}-{told.strip().removeprefix('sha256:')[:12]}"
    name = image.rpartition(":")[0]
    shell.run("docker", "tag", image, f"{name}:{tag}")
    for former in shell.run("docker", "image", "ls", "--format", "{{.Tag}}", name).split():
        if former.startswith(f"{prefix}-") and former != tag:
            shell.holds("docker", "image", "rm", f"{name}:{former}")  # somebody may run it
    return tag


def install_packages(shell: Shell) -> None:
    """Install what is missing of Debian's packages.

    Raises:
        CommandFailed: there is no apt-get, or it failed.
    """
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    absent = {PACKAGES[name] for name in PACKAGES if shutil.which(name, path=search) is None}
    if not KEYRING.exists():
        absent.add(KEYRING.stem)
    if not absent:
        return
    if shutil.which("apt-get") is None:
        raise CommandFailed(f"install these first: {', '.join(sorted(absent))}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    shell.run("apt-get", "update", "-qq", env=quiet)
    shell.run(
        "apt-get", "install", "-y", "-qq", "--no-install-recommends", *sorted(absent), env=quiet
    )


def lacks_capability() -> bool:
    """Whether this machine's root has no CAP_SYS_RESOURCE to give to a container."""
    bit = 24
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return not int(line.split()[1], 16) >> bit & 1
    return False


def _start(place: Place) -> None:
    place.docker.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {
        "data-root": str(place.docker / "data"),
        "exec-root": str(place.docker / "exec"),
        "pidfile": str(place.docker / "docker.pid"),
        "hosts": [f"unix://{place.docker_socket}"],
        "bridge": "none",
        "iptables": False,
        "default-address-pools": [{"base": ADDRESS_POOL, "size": 24}],
    }
    if lacks_capability():
        runtime = place.docker / "runc-limited"
        shutil.copy(RUNTIME, runtime)
        runtime.chmod(0o755)
        settings["runtimes"] = {"limited": {"path": str(runtime)}}
        settings["default-runtime"] = "limited"
    place.docker_config.write_text(json.dumps(settings, indent=1))
    (place.docker / "docker.pid").unlink(missing_ok=True)  # after a reboot another may have that id
    note_forwarding()
    with (place.docker / "dockerd.log").open("w") as log:
        subprocess.Popen(
            ["/usr/sbin/dockerd", "--config-file", str(place.docker_config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def _wait(place: Place, shell: Shell) -> None:
    deadline_s = time.monotonic() + START_S
    while not shell.holds("docker", "version"):
        if time.monotonic() > deadline_s:
            log = place.docker / "dockerd.log"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise CommandFailed(f"the docker daemon does not answer after {START_S} s:\n{tail}")
        time.sleep(0.3)
