"""The images, built once for the checks, under names of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import image_commands
import images
import pytest

ROOT = image_commands.ROOT
REPOSITORY = "diskcsi-checks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image that docker has.

    Attributes:
        name: docker's name for it.
        output: the directory with its SBOM.
    """

    name: str
    output: Path

    def run(
        self, *arguments: str, options: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """A container of it, run to its end, without a network and without rights to write."""
        return subprocess.run(
            [shutil.which("docker") or "docker", "run", "--rm", "--read-only", "--network", "none", *options, self.name,
             *arguments],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """What a shell in it says."""
        return self.run("-c", script, options=("--entrypoint", "sh"))

    def inspected(self) -> dict[str, Any]:
        """What docker knows of it."""
        (found,) = json.loads(image_commands.run("docker", "image", "inspect", self.name))
        return dict(found)


@pytest.fixture(scope="session")
def docker() -> None:
    """A docker daemon that answers."""
    try:
        image_commands.need_docker()
    except image_commands.ImageError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def made(docker: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Built]]:
    """Both images; the driver's with the example provider's wheel."""
    output = tmp_path_factory.mktemp("images")
    code = images.main(
        ["build", "--repository", REPOSITORY, "--output", str(output),
         "--provider", str(ROOT / "examples/folder")]
    )  # fmt: skip
    assert code == 0
    version = {name: image.version() for name, image in images.IMAGES.items()}
    yield {
        name: Built(name=f"{REPOSITORY}/{name}:{version[name]}", output=output)
        for name in images.IMAGES
    }
    for name in images.IMAGES:
        image_commands.run("docker", "image", "rm", f"{REPOSITORY}/{name}:{version[name]}")


@pytest.fixture(params=sorted(images.IMAGES))
def built(request: pytest.FixtureRequest, made: dict[str, Built]) -> Built:
    """Each of the images in turn."""
    return made[request.param]


@pytest.fixture
def driver(made: dict[str, Built]) -> Built:
    """The driver's image."""
    return made["diskcsi"]
