"""The command, against providers that are installed; in processes, as an author would run it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

Proof = Callable[..., subprocess.CompletedProcess[str]]
"""Runs `diskcsi conformance` with these arguments; the environment may get more."""


@pytest.fixture
def directory() -> Iterator[Path]:
    """For disks and all else; short, since a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def prove(directory: Path) -> Proof:
    """In an environment that has no settings but what a test gives."""

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "diskcsi", "conformance", *arguments],
            env={"PATH": os.environ["PATH"], "TMPDIR": str(directory), **more},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    return run


@pytest.fixture
def local(directory: Path) -> list[str]:
    """Arguments for the provider that comes with the driver."""
    return [
        "local", f"--directory={directory}/disks", "--node-id=node-1", "--nodes=node-1,node-2",
        "--other-node=node-2", f"--device-root={directory}/disks/nodes/node-1/dev",
        "--identity-sources=loop", "--absent-snapshot=s-00000000000000000000",
    ]  # fmt: skip


@pytest.fixture
def folder(directory: Path) -> list[str]:
    """Arguments for the example."""
    disks = directory / "disks"
    disks.mkdir()
    return [
        "folder", f"--folder={disks}", "--node=node-1", "--nodes=node-1,node-2",
        "--other-node=node-2", f"--device-root={disks}/node-1/dev", "--identity-sources=loop",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def with_example(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What lets Python find the example, which pip installed in a place of its own."""
    place = tmp_path_factory.mktemp("site")
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--no-index", "--no-deps", "--no-build-isolation", "--target", place,
            ROOT / "examples" / "folder",
        ],
        check=True,
    )  # fmt: skip
    return {"PYTHONPATH": str(place)}
