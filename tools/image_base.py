"""The image that others stand on: a published Python, or one made here of Debian's packages."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from image_commands import ROOT, ImageError, cache_directory, holds, run

PUBLISHED: Final = "python:3.13-slim-bookworm"
"""What the Dockerfiles stand on by default."""

SUITE: Final = "bookworm"
NAME: Final = "diskcsi/base:debian-12"
SCRIPT: Final = ROOT / "k8s/images/base/make-root"
DOCKERFILES: Final = ROOT / "k8s/images"

KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Where debootstrap looks for Debian's keys, by which it checks what a mirror tells."""

SEARCH_PATH: Final = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

ASK_PYTHON: Final = (
    "import json, os, platform, sys;"
    "print(json.dumps([*sys.version_info[:2], platform.machine(),"
    " os.confstr('CS_GNU_LIBC_VERSION')]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Debian:
    """Where Debian's packages come from.

    Attributes:
        mirror: of the distribution; proxies are debootstrap's own business (`http_proxy`).
        security_mirror: of its security updates.
        fresh: whether the base is made again, for the updates since it was made.
    """

    mirror: str = "http://deb.debian.org/debian"
    security_mirror: str = "http://deb.debian.org/debian-security"
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """What decides which wheels an image can load.

    Attributes:
        version: as `3.11`.
        machine: as the kernel calls it, `x86_64` or `aarch64`.
        glibc_minor: of glibc 2; a wheel for a newer one can't be loaded.
    """

    version: str
    machine: str
    glibc_minor: int


def packages_of(dockerfile: str) -> tuple[str, ...]:
    """The Debian packages that a Dockerfile's `PACKAGES` names.

    Raises:
        ImageError: it has no such argument.
    """
    found = re.search(r'^ARG PACKAGES="([^"]+)"$', dockerfile, re.MULTILINE)
    if found is None:
        raise ImageError('a Dockerfile has no line `ARG PACKAGES="..."`')
    return tuple(found.group(1).split())


def base_packages() -> tuple[str, ...]:
    """What a base of Debian's packages holds: Python, and the tools of every image."""
    tools = {
        package
        for dockerfile in DOCKERFILES.glob("*/Dockerfile")
        for package in packages_of(dockerfile.read_text())
    }
    return tuple(sorted({"python3", *tools}))


def recipe(*parts: object) -> str:
    """A short hash of all that decides a result; the same recipe is not made twice."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def ensure_debian(debian: Debian) -> str:
    """The name of the base made of Debian's packages; made unless the cache or docker has it.

    Its tag ends with the hash of its recipe; `NAME` is the last one made.

    Raises:
        ImageError: this user may not make it, or a package can't be had.
    """
    packages = base_packages()
    made_by = recipe(SCRIPT.read_text(), SUITE, packages, platform.machine())
    name = f"{NAME}-{made_by}"
    if debian.fresh or not holds("docker", "image", "inspect", name):
        archive = cache_directory() / "images" / f"base-{made_by}.tar"
        if debian.fresh or not archive.exists():
            _make(archive, packages, debian)
        run("docker", "import", archive, name)
    run("docker", "tag", name, NAME)
    return name


def _make(archive: Path, packages: tuple[str, ...], debian: Debian) -> None:
    if os.geteuid() != 0:
        raise ImageError(
            f"only root can make a base of Debian's packages: run it as root, or name an image"
            f" that docker has or can pull, as in --base {PUBLISHED}"
        )
    if shutil.which("debootstrap", path=SEARCH_PATH) is None or not KEYRING.exists():
        raise ImageError(
            "a base of Debian's packages needs debootstrap and Debian's keys:"
            " apt-get install debootstrap debian-archive-keyring"
        )
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as directory:
        mountpoint, unfinished = Path(directory, "root"), Path(directory, "archive")
        mountpoint.mkdir()
        run(
            "unshare", "--mount", "--propagation", "private", "sh", SCRIPT,
            mountpoint, unfinished, SUITE, debian.mirror, debian.security_mirror,
            ",".join(packages),
        )  # fmt: skip
        unfinished.rename(archive)


def choose(wanted: str, debian: Debian) -> str:
    """The base by the word on the command line: an image's name, `debian`, or `auto`.

    `auto` is the published one where docker has it or can pull it, else Debian's packages.
    """
    if wanted == "debian":
        return ensure_debian(debian)
    name = PUBLISHED if wanted == "auto" else wanted
    if holds("docker", "image", "inspect", name) or holds("docker", "pull", "--quiet", name):
        return name
    if wanted == "auto":
        return ensure_debian(debian)
    raise ImageError(f"docker has no image {name} and can't pull it; --base debian needs none")


def python_of(base: str) -> Python:
    """The Python of a base image, by asking it."""
    answer = run(
        "docker", "run", "--rm", "--network", "none", "--entrypoint", "python3", base,
        "-B", "-c", ASK_PYTHON,
    )  # fmt: skip
    major, minor, machine, libc = json.loads(answer)
    if not str(libc).startswith("glibc 2."):
        raise ImageError(f"{base} has {libc or 'no glibc'}: the images need a base with glibc")
    return Python(
        version=f"{major}.{minor}", machine=machine, glibc_minor=int(libc.rpartition(".")[2])
    )
