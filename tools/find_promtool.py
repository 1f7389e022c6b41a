"""Find promtool, Prometheus' own checker of rules and metrics, and print its path.

Where the system has none, it is taken out of Debian's package `prometheus`, which is fetched by apt and
not installed: that would bring a server that starts with the machine. It's kept in the cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from image_commands import cache_directory

PACKAGE: Final = "prometheus"
DOWNLOAD: Final = ("apt-get", "download", "-qq", PACKAGE)
UPDATE: Final = ("apt-get", "update", "-qq")
EXTRACT: Final = ("dpkg-deb", "--extract")
NEEDED: Final = (UPDATE[0], EXTRACT[0])


class PromtoolMissing(Exception):  # noqa: N818 - reads as what happened
    """There is none, and this machine's apt, or this user, can't fetch it."""


class FetchFailed(Exception):  # noqa: N818 - reads as what happened
    """Apt could not fetch the package for root; the message has its words."""


def find_promtool() -> Path:
    """The system's, else the one in the cache, which is fetched unless it is there.

    Raises:
        PromtoolMissing: there is none, and no apt, or only root could fetch it.
        FetchFailed: apt can't fetch it for root.
    """
    if system := shutil.which("promtool"):
        return Path(system)
    own = cache_directory() / "promtool" / "promtool"
    if not own.exists():
        if not all(map(shutil.which, NEEDED)):
            raise PromtoolMissing(
                f"promtool is missing: install Prometheus (Debian's package {PACKAGE} has it)"
            )
        _fetch(own)
    return own


def _fetch(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        directory = Path(temporary)
        _download(directory)
        (package,) = directory.glob("*.deb")
        subprocess.run([*EXTRACT, package, directory / "root"], check=True)
        (directory / "root/usr/bin/promtool").replace(target)


def _download(directory: Path) -> None:
    """Apt proves the package by its signed lists; where they are missing or old, root renews them."""
    if not _said(DOWNLOAD, directory):
        return
    root = os.geteuid() == 0
    if said := (root and _said(UPDATE, directory)) or _said(DOWNLOAD, directory):
        failure = FetchFailed if root else PromtoolMissing
        raise failure(f"apt-get can't fetch the package {PACKAGE}, which has promtool: {said}")


def _said(command: tuple[str, ...], directory: Path) -> str:
    """What a command that failed said; nothing if it did not."""
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    return (done.stderr or done.stdout or "nothing").strip() if done.returncode else ""


def main() -> int:
    """Print the path."""
    try:
        print(find_promtool())
    except (PromtoolMissing, FetchFailed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
