"""Where things are: the tree, the cache outside it, and the names of what is made."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from e2e.cluster.shell import CommandFailed

ROOT: Final = Path(__file__).resolve().parents[2]
"""Of the repository."""

CLUSTER: Final = "diskcsi-e2e"
"""The name of the kind cluster; every container's name begins with it."""

NETWORK: Final = "diskcsi-e2e"
"""A docker network of our own: it tells our cluster from others, and ends with it."""

NAMESPACE: Final = "diskcsi"
"""Where both charts are installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The directories of one user on one machine.

    Attributes:
        cache: what is built from sources that have a name and version; outside the tree.
        work: this cluster's files: kubeconfig, log, report; below the tree's `build`.
        own_docker: whether a docker daemon of our own is used, in the cache.
    """

    cache: Path
    work: Path
    own_docker: bool

    @property
    def kubeconfig(self) -> Path:
        """The cluster's, for kubectl and for the scenarios."""
        return self.work / "kubeconfig"

    @property
    def programs(self) -> Path:
        """The directory with links to kubectl, helm and kind."""
        return self.work / "bin"

    @property
    def exports(self) -> str:
        """What a person tells a shell, so that kubectl and helm are these, and mean this cluster."""
        return f"export KUBECONFIG={self.kubeconfig} PATH={self.programs}:$PATH"

    @property
    def log(self) -> Path:
        """What every command printed."""
        return self.work / "up.log"

    @property
    def docker(self) -> Path:
        """The directory of a daemon of our own."""
        return self.cache / "docker"

    @property
    def docker_socket(self) -> Path:
        """Of a daemon of our own."""
        return self.docker / "docker.sock"

    @property
    def docker_config(self) -> Path:
        """Of a daemon of our own; among its arguments, it tells which daemon is ours."""
        return self.docker / "daemon.json"

    def docker_pid(self) -> int | None:
        """The process of a daemon of our own, if one lives."""
        try:
            pid = int((self.docker / "docker.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self.docker_config).encode() in command.split(b"\0") else None

    def has_containers(self) -> bool:
        """Whether a daemon of our own lives, or would find containers again: a reboot ends it alone."""
        return self.docker_pid() is not None or any((self.docker / "data" / "containers").glob("*"))

    def environment(self) -> dict[str, str]:
        """For the commands that are started: which docker, which cluster, which network."""
        found = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": f"{self.programs}:{os.environ.get('PATH', os.defpath)}",
            "KIND_EXPERIMENTAL_DOCKER_NETWORK": NETWORK,
            "KIND_EXPERIMENTAL_PROVIDER": "docker",
            "DOCKER_BUILDKIT": "0",  # the daemon of Debian has the classic builder alone
        }
        if self.own_docker:
            found["DOCKER_HOST"] = f"unix://{self.docker_socket}"
        return found


def here() -> Place:
    """The place of this user, from the environment.

    `DISKCSI_CACHE` names the cache, else it is `diskcsi` in the user's cache directory.
    `E2E_DOCKERD=own` asks for a docker daemon of our own; while one lives, or has a cluster though it
    was killed, it is the one that is meant, whether or not it is asked for again.

    Raises:
        CommandFailed: a directory is another user's; the message has the way out.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = Path(os.environ.get("DISKCSI_CACHE") or Path(caches, "diskcsi"))
    work = ROOT / "build" / "e2e"
    _make(work, ours=ROOT / "build")
    _make(cache, ours=cache)
    asked = os.environ.get("E2E_DOCKERD", "") == "own"
    place = Place(cache=cache.resolve(), work=work, own_docker=asked)
    return place if asked else replace(place, own_docker=place.has_containers())


def _make(directory: Path, *, ours: Path) -> None:
    """Make it; `ours` is the outermost directory that nobody else has anything in."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise CommandFailed(not_yours(directory, ours)) from error
    if not os.access(directory, os.W_OK):
        raise CommandFailed(not_yours(directory, ours))


def not_yours(path: Path, ours: Path) -> str:
    """What to say where this user may not write to a path below `ours`."""
    if not ours.exists():
        return (
            f"you may not make {path}; name another directory for what is built, which may be"
            " made or is yours, by DISKCSI_CACHE"
        )
    return (
        f"you may not write to {path}: an earlier command, as make with sudo, has made it as"
        f" another user. Take it over: sudo chown -R $USER {ours}"
    )
