"""What an image weighs: its base, the Python parts, and the tools, counted apart."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from image_commands import run

BUDGET_MB: Final = 90
"""Of the layers above the base for Python parts, uncompressed, in 10^6 bytes."""

MB: Final = 1_000_000


def report(image: str, packages: Iterable[str]) -> str:
    """A table of an image's parts in MB, uncompressed."""
    (inspected,) = json.loads(run("docker", "image", "inspect", image))
    above = layers(run("docker", "history", "--no-trunc", "--human=false", "--format",
                       "{{.Size}} {{.CreatedBy}}", image))  # fmt: skip
    python = sum(size for size, by in above if "COPY" in by)
    installed = sum(size for size, by in above if "COPY" not in by)
    tools = _installed_kib(image, packages) * 1024
    base = inspected["Size"] - python - installed
    verdict = "within" if python <= BUDGET_MB * MB else "OVER"
    base_name = inspected["Config"]["Labels"]["org.opencontainers.image.base.name"]
    identity = inspected["Id"].removeprefix("sha256:")[:12]
    return "\n".join(
        (
            f"{image}  {identity}  {inspected['Size'] / MB:.1f} MB",
            f"  base {base_name}  {base / MB:.1f}",
            f"  Python parts above the base  {python / MB:.1f}  ({verdict} {BUDGET_MB})",
            f"  installed above the base  {installed / MB:.1f}",
            f"  the tools' own packages, in the base or above it  {tools / MB:.1f}",
        )
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
