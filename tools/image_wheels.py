"""The wheels of an image, each checked by hash, in a directory that a build reads offline."""

from __future__ import annotations

import email
import email.message
import hashlib
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from image_base import Python, recipe
from image_commands import ROOT, ImageError, cache_directory, run

REQUIREMENTS: Final = ROOT / "requirements"
PIP_LOCK: Final = REQUIREMENTS / "images.lock"
"""The pip that installs the wheels inside a build."""

OLDEST_GLIBC_MINOR: Final = 17
"""Of the wheels of manylinux2014; nobody publishes for an older one any more."""

MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
"""Docker's word for an architecture to the kernel's."""

PIP: Final = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def platforms(python: Python) -> list[str]:
    """The names of platforms whose wheels this Python loads, as pip has them."""
    newest_first = range(python.glibc_minor, OLDEST_GLIBC_MINOR - 1, -1)
    return [
        *(f"manylinux_2_{minor}_{python.machine}" for minor in newest_first),
        f"manylinux2014_{python.machine}",
    ]


def locked(lock: Path, python: Python) -> Path:
    """A directory with the wheels of a lock file for one Python, from the cache or by pip.

    What has no wheel but a hashed source is built here. pip's own settings name mirrors and
    proxies.

    Raises:
        ImageError: pip found no package with a hash of the lock.
    """
    made_by = recipe(lock.read_text(), python)
    target = cache_directory() / "images" / f"wheels-{lock.stem}-{made_by}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as unfinished:
        wheels = Path(unfinished, "wheels")
        wheels.mkdir()
        names = [word for name in platforms(python) for word in ("--platform", name)]
        run(
            *PIP, "download", "--no-deps", "--no-build-isolation", "--prefer-binary",
            "--require-hashes", "--python-version", python.version, *names,
            "--dest", wheels, "--requirement", lock,
        )  # fmt: skip
        for source in sorted(wheels.glob("*.tar.gz")):
            build(source, wheels)
            source.unlink()
        try:
            wheels.rename(target)
        except OSError:
            if not target.exists():  # it does when another run was faster
                raise
    return target


def build(source: Path, target: Path) -> Path:
    """The wheel of a source tree or archive that needs no compiler, put into `target`.

    Raises:
        ImageError: it can't be built, or only for this machine.
    """
    with tempfile.TemporaryDirectory() as temporary:
        run(
            *PIP, "wheel", "--no-deps", "--no-index", "--no-build-isolation",
            "--wheel-dir", temporary, source,
            SOURCE_DATE_EPOCH=os.environ.get("SOURCE_DATE_EPOCH", "315532800"),  # zip's first date
        )  # fmt: skip
        (made,) = Path(temporary).glob("*.whl")
        if not made.name.endswith("-none-any.whl"):
            raise ImageError(f"{source} makes {made.name}, which serves this machine alone")
        return Path(shutil.copy(made, target))


def requirements(wheels: Iterable[Path]) -> str:
    """A requirements file of exactly these wheels: a line for each version, with all hashes.

    Raises:
        ImageError: two versions of one package lie there; pip would have to choose.
    """
    hashes: dict[str, dict[str, list[str]]] = {}
    for wheel in sorted(wheels):
        name, version = _named(wheel)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        hashes.setdefault(name, {}).setdefault(version, []).append(digest)
    lines = []
    for name, versions in hashes.items():
        if len(versions) > 1:
            raise ImageError(f"{name} lies there in versions {', '.join(versions)}: name one")
        for version, digests in versions.items():
            told = " ".join(f"--hash=sha256:{digest}" for digest in digests)
            lines.append(f"{name}=={version} {told}\n")
    return "".join(lines)


def fill(
    context: Path,
    *,
    project: Path,
    lock: Path,
    pythons: Iterable[Python],
    providers: Iterable[Path] = (),
    provider_locks: Iterable[Path] = (),
) -> list[str]:
    """Make the context of an image's build; the answer is the names of its extra packages.

    Attributes of `pythons` may differ in their machine: one context then serves all of them.
    """
    wheels = context / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir(parents=True)
    pip = _copied([locked(PIP_LOCK, _one_for_all(pythons))], wheels)
    needed = _copied([locked(lock, python) for python in pythons], wheels)
    needed.add(build(project, wheels))
    extra = _copied([locked(lock, python) for lock in provider_locks for python in pythons], wheels)
    extra |= {
        Path(shutil.copy(path, wheels)) if path.suffix == ".whl" else build(path, wheels)
        for path in providers
    }
    extra -= needed
    requirements([*needed, *extra])
    extra_lines = requirements(extra)
    (wheels / "requirements.txt").write_text(requirements(needed))
    (wheels / "extra.txt").write_text(extra_lines)
    (wheels / "pip.sha256").write_text(
        "".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in sorted(pip))
    )
    return [line.partition("==")[0] for line in extra_lines.splitlines()]


def _one_for_all(pythons: Iterable[Python]) -> Python:
    """A Python for pip itself, whose wheel is the same on every machine."""
    return next(iter(pythons))


def for_machines(python: Python, architectures: Iterable[str]) -> list[Python]:
    """The same Python on each of docker's architectures; as it is where none is named."""
    return [replace(python, machine=MACHINES[name]) for name in architectures] or [python]


def _copied(sources: Iterable[Path], target: Path) -> set[Path]:
    return {
        Path(shutil.copy(wheel, target)) for source in sources for wheel in source.glob("*.whl")
    }


def _named(wheel: Path) -> tuple[str, str]:
    """A wheel's package in its normal form, and its version, from its own metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [
            name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)
        ]
        told = email.message_from_bytes(archive.read(member))
    return re.sub(r"[-_.]+", "-", told["Name"]).lower(), told["Version"]
