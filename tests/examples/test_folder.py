"""The example is a package as an author would write one: installed by pip, found by its entry point."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "folder"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a process that finds the example as pip installed it, in a place of its own."""
    place = tmp_path_factory.mktemp("site")
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--no-index", "--no-deps", "--no-build-isolation", "--target", place, EXAMPLE,
        ],
        check=True,
    )  # fmt: skip
    return {"PATH": os.environ["PATH"], "PYTHONPATH": f"{place}:{ROOT / 'src'}"}


def _imports(path: Path) -> Iterator[str]:
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.Import):
            yield from (name.name for name in item.names)
        elif isinstance(item, ast.ImportFrom):
            yield item.module or ""


def test_the_example_needs_nothing_of_the_driver_but_its_spi() -> None:
    """What an author can't import there, an author can't do."""
    sources = (EXAMPLE / "src").rglob("*.py")
    named = {name for path in sources for name in _imports(path)}
    assert {name for name in named if name.split(".")[0] == "diskcsi"} == {"diskcsi.spi"}


def test_an_installed_provider_is_found_by_its_entry_point(environment: dict[str, str]) -> None:
    """Installing a package is all that it takes."""
    script = "from diskcsi.providers import registry; print(registry.load('folder').driver_name)"
    told = subprocess.check_output([sys.executable, "-c", script], env=environment, text=True)
    assert told == "folder.example.org\n"


def test_the_settings_of_an_installed_provider_are_options(environment: dict[str, str]) -> None:
    """The command line shows what the provider declares."""
    command = [sys.executable, "-m", "diskcsi", "run", "--provider", "folder", "--help"]
    told = subprocess.check_output(command, env=environment, text=True)
    assert "ids of all machines that see the folder" in told


@pytest.mark.host
def test_the_example_keeps_the_contract(environment: dict[str, str]) -> None:
    """Its own tests pass where it is installed, and skip what it says it lacks."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider",
            "-c", EXAMPLE / "pyproject.toml", EXAMPLE / "tests",
        ],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert "this provider has no snapshots" in done.stdout
