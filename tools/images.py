"""Make the images of the driver and of the fake cloud.

python tools/images.py build      both images, their SBOMs, and a table of sizes
python tools/images.py base       the base of Debian's packages alone; prints its name
python tools/images.py context    the directories that `docker build` reads: build/images/NAME
python tools/images.py sbom       the SBOMs of images that docker has
python tools/images.py sizes      what each layer holds
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import image_base
import image_sbom
import image_sizes
import image_wheels
from image_commands import ROOT, ImageError, need_docker, run

OUTPUT: Final = ROOT / "build/images"
"""Of contexts and SBOMs, unless another directory is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One of our images."""

    name: str
    project: Path

    @property
    def lock(self) -> Path:
        """What it needs at run time, with hashes."""
        return image_wheels.REQUIREMENTS / f"{self.name}.lock"

    @property
    def dockerfile(self) -> Path:
        """How it is built."""
        return image_base.DOCKERFILES / self.name / "Dockerfile"

    def version(self) -> str:
        """Of the package in it."""
        metadata = tomllib.loads((self.project / "pyproject.toml").read_text())
        return str(metadata["project"]["version"])

    def tag(self, asked: argparse.Namespace) -> str:
        """The image's whole name."""
        return f"{asked.repository}/{self.name}:{asked.tag or self.version()}"


IMAGES: Final = {
    "diskcsi": Image(name="diskcsi", project=ROOT),
    "mockcloud": Image(name="mockcloud", project=ROOT / "mockcloud"),
}


def command_base(asked: argparse.Namespace) -> None:
    """Make the base of Debian's packages."""
    need_docker()
    print(image_base.ensure_debian(_debian(asked)))


def command_context(asked: argparse.Namespace) -> None:
    """Fill the directories that `docker build` reads."""
    need_docker()
    base = _base(asked)
    for image in _chosen(asked):
        context = asked.output / image.name
        extra = _fill(asked, image, base, context)
        print(f"{context}: for BASE={base}, EXTRA_WHEELS={' '.join(extra)!r}")


def command_build(asked: argparse.Namespace) -> None:
    """Build the images, write their SBOMs, and tell their sizes."""
    need_docker()
    began_s = time.monotonic()
    base = _base(asked)
    _told(began_s, f"base {base}")
    for image in _chosen(asked):
        began_s = time.monotonic()
        _build(asked, image, base)
        _told(began_s, f"image {image.tag(asked)}")
        began_s = time.monotonic()
        _told(began_s, f"SBOM {_write_sbom(asked, image)}")
    _show_sizes(asked)


def command_sbom(asked: argparse.Namespace) -> None:
    """Write the SBOMs of images that docker has."""
    need_docker()
    for image in _chosen(asked):
        print(_write_sbom(asked, image))


def command_sizes(asked: argparse.Namespace) -> None:
    """Tell what each image weighs."""
    need_docker()
    if asked.json:
        print(json.dumps([asdict(one) for one in _sizes(asked)]))
    else:
        _show_sizes(asked)


def _show_sizes(asked: argparse.Namespace) -> None:
    for one in _sizes(asked):
        print(one.table())


def _sizes(asked: argparse.Namespace) -> list[image_sizes.Sizes]:
    return [
        image_sizes.sizes_of(image.tag(asked), image_base.packages_of(image.dockerfile.read_text()))
        for image in _chosen(asked)
    ]


def _chosen(asked: argparse.Namespace) -> list[Image]:
    return [IMAGES[name] for name in asked.image or IMAGES]


def _write_sbom(asked: argparse.Namespace, image: Image) -> Path:
    target = Path(asked.output, f"{image.name}.sbom.json")
    image_sbom.write(image.tag(asked), target)
    return target.relative_to(ROOT) if target.is_relative_to(ROOT) else target


def _debian(asked: argparse.Namespace) -> image_base.Debian:
    return image_base.Debian(
        mirror=asked.mirror, security_mirror=asked.security_mirror, fresh=asked.fresh
    )


def _base(asked: argparse.Namespace) -> str:
    return image_base.choose(asked.base, _debian(asked))


def _fill(asked: argparse.Namespace, image: Image, base: str, context: Path) -> list[str]:
    python = image_base.python_of(base)
    ours = image.name == "diskcsi"
    return image_wheels.fill(
        context,
        project=image.project,
        lock=image.lock,
        pythons=image_wheels.for_machines(python, asked.arch),
        providers=[path.resolve() for path in asked.provider] if ours else (),
        provider_locks=[path.resolve() for path in asked.provider_lock] if ours else (),
    )


def _build(asked: argparse.Namespace, image: Image, base: str) -> None:
    with tempfile.TemporaryDirectory() as context:  # two builds may run at once
        extra = _fill(asked, image, base, Path(context))
        values = {
            "BASE": base,
            "EXTRA_WHEELS": " ".join(extra),
            "REVISION": _revision(),
            "VERSION": image.version(),
        }
        arguments = [
            word
            for name, value in values.items()
            if value
            for word in ("--build-arg", f"{name}={value}")
        ]
        network = ["--network", asked.network] if asked.network else []
        run(
            "docker", "build", "--force-rm", "--file", image.dockerfile, "--tag", image.tag(asked),
            *network, *arguments, context,
        )  # fmt: skip


def _revision() -> str:
    """The commit that the tree stands at; empty outside a clone."""
    try:
        return run("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*").strip()
    except ImageError:
        return ""


def _told(began_s: float, what: str) -> None:
    print(f"  {what:<72} {time.monotonic() - began_s:6.1f} s", flush=True)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="tools/images.py", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for name, action in COMMANDS.items():
        command = commands.add_parser(name, help=action.__doc__, description=action.__doc__)
        command.set_defaults(action=action)
        if name in {"base", "build", "context"}:
            _debian_options(command)
        if name != "base":
            _image_options(command)
        if name in {"build", "context"}:
            _wheel_options(command)
        if name == "sizes":
            command.add_argument("--json", action="store_true", help="bytes, for programs")
    return top


def _debian_options(command: argparse.ArgumentParser) -> None:
    usual = image_base.Debian()
    command.add_argument(
        "--mirror", default=usual.mirror, help="of Debian, for a base of its packages"
    )
    command.add_argument(
        "--security-mirror", default=usual.security_mirror, help="of Debian's security updates"
    )
    command.add_argument(
        "--fresh", action="store_true", help="make that base again, with the updates of today"
    )


def _image_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--image", action="append", choices=sorted(IMAGES), help="this one only; repeatable"
    )
    command.add_argument("--repository", default="diskcsi", help="the part of a name before NAME")
    command.add_argument(
        "--output", type=Path, default=OUTPUT, help="directory of contexts and SBOMs"
    )
    command.add_argument("--tag", help="instead of the package's version")


def _wheel_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--base", default="auto",
        help="an image with Python, `debian`, or `auto`: a published one, else debian",
    )  # fmt: skip
    command.add_argument(
        "--arch", action="append", default=[], choices=sorted(image_wheels.MACHINES),
        help="wheels for these architectures instead of the base's; repeatable",
    )  # fmt: skip
    command.add_argument(
        "--provider", action="append", default=[], type=Path,
        help="project directory or wheel of another cloud's provider; repeatable",
    )  # fmt: skip
    command.add_argument(
        "--provider-lock", action="append", default=[], type=Path,
        help="hashed requirements of what a provider needs beyond the driver; repeatable",
    )  # fmt: skip
    command.add_argument("--network", help="of the build, where packages have to be installed")


COMMANDS: Final = {
    "build": command_build,
    "base": command_base,
    "context": command_context,
    "sbom": command_sbom,
    "sizes": command_sizes,
}


def main(arguments: list[str]) -> int:
    """Do what the command line asks; a failure is one clear message."""
    asked = parser().parse_args(arguments)
    try:
        asked.action(asked)
    except ImageError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
