"""What an image weighs: its base, the Python parts, and the tools, counted apart."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from image_commands import run

BUDGET_MB: Final = 90
"""Of the layers above the base for Python parts, uncompressed, in 10^6 bytes."""

MB: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What an image weighs, uncompressed, in bytes.

    Attributes:
        image: its name.
        identity: the first digits of its id.
        base_name: what it was built on.
        base: of that, without what the image adds.
        python: the layers above it that hold Python parts.
        installed: the other layers above it.
        tools: the packages of the tools that the driver calls, in the base or above it.
    """

    image: str
    identity: str
    base_name: str
    base: int
    python: int
    installed: int
    tools: int

    def table(self) -> str:
        """For people, in MB."""
        verdict = "within" if self.python <= BUDGET_MB * MB else "OVER"
        whole = self.base + self.python + self.installed
        return "\n".join(
            (
                f"{self.image}  {self.identity}  {whole / MB:.1f} MB",
                f"  base {self.base_name}  {self.base / MB:.1f}",
                f"  Python parts above the base  {self.python / MB:.1f}  ({verdict} {BUDGET_MB})",
                f"  installed above the base  {self.installed / MB:.1f}",
                f"  the tools' own packages, in the base or above it  {self.tools / MB:.1f}",
            )
        )


def sizes_of(image: str, packages: Iterable[str]) -> Sizes:
    """Measure an image that docker has.

    Args:
        packages: those of the tools that are called in it.
    """
    (inspected,) = json.loads(run("docker", "image", "inspect", image))
    above = layers(run("docker", "history", "--no-trunc", "--human=false", "--format",
                       "{{.Size}} {{.CreatedBy}}", image))  # fmt: skip
    python = sum(size for size, by in above if "COPY" in by)
    installed = sum(size for size, by in above if "COPY" not in by)
    return Sizes(
        image=image,
        identity=inspected["Id"].removeprefix("sha256:")[:12],
        base_name=inspected["Config"]["Labels"]["org.opencontainers.image.base.name"],
        base=inspected["Size"] - python - installed,
        python=python,
        installed=installed,
        tools=_installed_kib(image, packages) * 1024,
    )


def layers(history: str) -> list[tuple[int, str]]:
    """The layers that our Dockerfile made, with their sizes in bytes, newest first.

    Its first instruction in the last stage is `ARG PACKAGES`; what is older is the base.
    """
    found: list[tuple[int, str]] = []
    for line in history.splitlines():
        size, _, made_by = line.partition(" ")
        if "ARG PACKAGES=" in made_by:
            return found
        found.append((int(size), made_by))
    return found


def _installed_kib(image: str, packages: Iterable[str]) -> int:
    sizes = run(
        "docker", "run", "--rm", "--network", "none", "--entrypoint", "dpkg-query", image,
        "--show", "--showformat", "${Installed-Size}\n", *packages,
    )  # fmt: skip
    return sum(int(size) for size in sizes.split())
