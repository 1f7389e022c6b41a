"""Find the system's tools that the tests call; install what is missing when root.

Exit status 0 when every tool is there. Without root, or with an unknown package manager, it
says which packages to install and exits 1.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys

TOOLS = {
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "losetup": "mount",  # Debian's name for this part of util-linux; see PACKAGES_ELSEWHERE
    "blkid": "util-linux",
    "wipefs": "util-linux",
    "sfdisk": "fdisk",
    "udevadm": "udev",
    "jq": "jq",
}
"""Command to Debian package."""

VENV_PACKAGE = "python3-venv"
"""Debian keeps the part of Python that makes environments in a package of its own."""

PACKAGES_ELSEWHERE = {
    "mount": "util-linux", "fdisk": "util-linux", "udev": "systemd-udev", VENV_PACKAGE: "python3",
}  # fmt: skip
"""Debian's package to the name that the RPM family gives the same tools."""

SEARCH_PATH = os.pathsep.join([os.defpath, "/usr/local/sbin", "/usr/sbin", "/sbin"])


def missing() -> list[str]:
    """The Debian packages of which something is not on this machine, sorted."""
    found = {
        package
        for command, package in TOOLS.items()
        if shutil.which(command, path=SEARCH_PATH) is None
    }
    if importlib.util.find_spec("ensurepip") is None:
        found.add(VENV_PACKAGE)
    return sorted(found)


def installer(packages: list[str]) -> list[list[str]]:
    """The commands that install `packages` here; empty when no known package manager is found."""
    if shutil.which("apt-get"):
        return [
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ]
    if shutil.which("dnf"):
        names = sorted({PACKAGES_ELSEWHERE.get(package, package) for package in packages})
        return [["dnf", "install", "-y", "-q", *names]]
    return []


def main() -> int:
    """Report, install if possible, and say what to do if not."""
    packages = missing()
    if not packages:
        return 0
    commands = installer(packages)
    if os.geteuid() != 0 or not commands:
        print(f"system packages missing: {' '.join(packages)}", file=sys.stderr)
        for command in commands:
            print(f"  as root: {' '.join(command)}", file=sys.stderr)
        return 1
    print(f"system packages: installing {' '.join(packages)}")
    for command in commands:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return 1 if missing() else 0


if __name__ == "__main__":
    sys.exit(main())
