"""The distribution: what is built from this directory alone runs alone, and its page is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest
from mockcloud.actions import ACTIONS
from mockcloud.engine.knobs import Knobs
from mockcloud.engine.latency import ranges
from mockcloud.engine.world import parse_world
from mockcloud.faults import KINDS

PROJECT = Path(__file__).parents[1]
PAGE = (PROJECT / "README.md").read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by way of the source archive as an index would get both."""
    directory = tmp_path_factory.mktemp("built")
    for source, kind in ((PROJECT, "sdist"), (directory / "unpacked", "wheel")):
        command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(directory)]
        subprocess.run(command, cwd=source, check=True, capture_output=True)
        if kind == "sdist":
            (archive,) = directory.glob("*.tar.gz")
            unpack = [sys.executable, "-m", "tarfile", "--extract", str(archive), str(directory)]
            subprocess.run(unpack, check=True)
            archive.with_name(archive.name.removesuffix(".tar.gz")).rename(directory / "unpacked")
    (built,) = directory.glob("*.whl")
    return built


def test_the_wheel_has_every_module_and_nothing_else(wheel: Path) -> None:
    """No test comes along, and no module stays behind."""
    sources = {
        path.relative_to(PROJECT / "src").as_posix() for path in (PROJECT / "src").rglob("*.py")
    }
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == sources | {"mockcloud/py.typed"}


def test_the_wheel_tells_its_page_and_license(wheel: Path) -> None:
    """An index shows the page; the license is in the archive."""
    with ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        told = archive.read(metadata).decode()
    assert "License-File: LICENSE" in told
    assert told.endswith(PAGE)


def test_the_wheel_runs_apart_from_the_repository(wheel: Path, tmp_path: Path) -> None:
    """Only its own modules and those of its dependencies are loaded."""
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = (
        "import sys, mockcloud.cli\n"
        "print(mockcloud.__file__, {'diskcsi', 'aliyunsdkcore', 'grpclib'} & {*sys.modules})\n"
        "mockcloud.cli.main(['--version'])"
    )
    path = os.pathsep.join([str(tmp_path), sysconfig.get_path("purelib")])
    ran = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=tmp_path, env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    where, version = ran.stdout.splitlines()
    assert where == f"{tmp_path}/mockcloud/__init__.py set()", ran.stderr
    assert re.search(r", version \d", version)


def test_the_page_names_every_call_that_is_served() -> None:
    """Neither one too many nor one too few."""
    named = set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", PAGE.partition("## What it serves")[2]))
    assert named == set(ACTIONS)


def test_the_world_of_the_page_can_be() -> None:
    """Whoever copies it gets what it says."""
    world = parse_world(PAGE.partition("```toml\n")[2].partition("```")[0])
    assert [one.id for one in world.machines] == ["i-bp1example00000node1"]
    assert world.knobs == Knobs(writes_per_minute=60)


def test_the_page_names_every_kind_of_fault() -> None:
    """Each in its own quotes."""
    assert [kind for kind in KINDS if f"`{kind}`" not in PAGE and f'"{kind}"' not in PAGE] == []


def test_the_steps_and_knobs_of_the_page_can_be() -> None:
    """Each flag that it shows is taken."""
    steps = dict(one.split("=", 1) for one in re.findall(r"--step=([^`]+)`", PAGE))
    knobs = dict(one.split("=", 1) for one in re.findall(r"--knob=([^`]+)`", PAGE))
    assert set(ranges("fast", steps)) >= {"attach", "detach_stuck", "call.CreateDisk"}
    assert Knobs().changed(knobs) != Knobs()
