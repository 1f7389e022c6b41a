"""Commands that the making of images starts, and where its results are kept."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
"""Of the repository."""

TAIL_LINES: Final = 20
"""Of a failed command's output: the cause stands near its end."""


class ImageError(Exception):
    """What could not be made, and what to do; the message is for a person."""


def cache_directory() -> Path:
    """Where what is built from named and hashed things is kept, outside the tree.

    `DISKCSI_CACHE` names it, else it's `diskcsi` in the user's cache directory.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    found = Path(os.environ.get("DISKCSI_CACHE") or Path(caches, "diskcsi"))
    found.mkdir(parents=True, exist_ok=True)
    return found.resolve()


def run(*command: str | Path, **environment: str) -> str:
    """What the command printed on its standard output.

    Raises:
        ImageError: it isn't installed, or ended with an error.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            cwd=ROOT, env={**os.environ, **environment}, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise ImageError(f"{words[0]} is not installed here, and images need it") from None
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-TAIL_LINES:])
        raise ImageError(f"{shlex.join(words)[:400]} ended with {done.returncode}:\n{tail}")
    return done.stdout


def holds(*command: str | Path) -> bool:
    """Whether the command ends well."""
    try:
        run(*command)
    except ImageError:
        return False
    return True


def need_docker() -> None:
    """See that a docker daemon answers.

    Raises:
        ImageError: none does.
    """
    try:
        run("docker", "version", "--format", "{{.Server.Version}}")
    except ImageError as error:
        raise ImageError(
            "no docker daemon answers, and images can't be built without one: start docker, or"
            f" name its socket in DOCKER_HOST\n{error}"
        ) from None
