"""What a release needs beside git: one version everywhere, its notes, and charts that name its images.

python tools/release.py set 1.2.3                 write the version into packages, charts and pages
python tools/release.py check v1.2.3              see that all of them, and the changelog, are of this tag
python tools/release.py notes v1.2.3              print the tag's part of the changelog
python tools/release.py charts REGISTRY DIRECTORY copy the charts, with images of REGISTRY
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

TAG: Final = re.compile(r"v(\d+\.\d+\.\d+)")
VERSION: Final = re.compile(r"\d+\.\d+\.\d+(\.dev\d+)?")

PACKAGES: Final = ("pyproject.toml", "mockcloud/pyproject.toml")
CHARTS: Final = ("diskcsi", "mockcloud", "diskcsi-kind")
IMAGES: Final = ("diskcsi", "mockcloud")
"""The charts that name images."""

PACKAGE_VERSION: Final = re.compile(r'(?m)^(version = ")([^"]+)(")$')
CHART_VERSION: Final = re.compile(r"(?m)^(version: |  - \{name: \w+, version: )([^,\s]+)()")
APP_VERSION: Final = re.compile(r"(?m)^(appVersion: )(\S+)()$")
PAGES: Final = ("docs/tutorials/kind.md", "docs/operations/install-self-built.md")
"""Those with a command that names an image that was just built."""

IMAGE_TAG: Final = re.compile(r"(\bdiskcsi/(?:diskcsi|mockcloud):)([\w.-]+)()")
NO_REGISTRY: Final = re.compile(r'(?m)^  registry: ""$')
"""Of our own image, in a chart's values: the sidecars' names theirs."""


class ReleaseError(Exception):
    """What is not as a release needs it; the message is for a person."""


def chart_version(version: str) -> str:
    """The same version in the words of charts, whose parts are told apart otherwise."""
    return version.replace(".dev", "-dev.")


def places(root: Path) -> Iterator[tuple[Path, re.Pattern[str], bool]]:
    """Where a version stands: the file, how it stands there, and whether in the words of charts."""
    for name in PACKAGES:
        yield root / name, PACKAGE_VERSION, False
    for name in CHARTS:
        yield root / "k8s/chart" / name / "Chart.yaml", CHART_VERSION, True
        yield root / "k8s/chart" / name / "Chart.yaml", APP_VERSION, False
    for name in PAGES:
        yield root / name, IMAGE_TAG, False


def set_version(root: Path, version: str) -> None:
    """Write the version everywhere.

    Raises:
        ReleaseError: it is no version, or a file has no place for it.
    """
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is no version: allowed are X.Y.Z and X.Y.Z.devN")
    for path, pattern, of_chart in places(root):
        said = chart_version(version) if of_chart else version
        text, count = pattern.subn(rf"\g<1>{said}\g<3>", path.read_text())
        if not count:
            raise ReleaseError(f"{path} names no version")
        path.write_text(text)


def check(root: Path, tag: str) -> None:
    """See that packages, charts and changelog are of this tag.

    Raises:
        ReleaseError: something is not, or the tag is none of a release; all of it is told.
    """
    version = _version_of(tag)
    wrong = [
        f"{path.relative_to(root)} says {found[2]}"
        for path, pattern, _ in places(root)
        for found in pattern.finditer(path.read_text())
        if found[2] != version
    ]
    if not _notes(root, version):
        wrong.append("CHANGELOG.md has no entry for it: towncrier build --version " + version)
    if wrong:
        raise ReleaseError(f"this is not {tag}: " + "; ".join(wrong))


def notes(root: Path, tag: str) -> str:
    """The tag's part of the changelog.

    Raises:
        ReleaseError: there is none.
    """
    found = _notes(root, _version_of(tag))
    if not found:
        raise ReleaseError(f"CHANGELOG.md has no entry for {tag}")
    return found


def copy_charts(root: Path, registry: str, target: Path) -> None:
    """Copy the charts, with images of `registry` by default; those of sidecars stay where they are.

    Raises:
        ReleaseError: a chart's values have no place for it.
    """
    shutil.copytree(root / "k8s/chart", target, ignore=shutil.ignore_patterns("*.tgz", "*.lock"))
    for name in IMAGES:
        values = target / name / "values.yaml"
        text, count = NO_REGISTRY.subn(f'  registry: "{registry}"', values.read_text())
        if count != 1:
            raise ReleaseError(f"{values} has {count} places for the registry of our image, not 1")
        values.write_text(text)


def _version_of(tag: str) -> str:
    found = TAG.fullmatch(tag)
    if found is None:
        raise ReleaseError(f"{tag!r} is no tag of a release: allowed is vX.Y.Z")
    return found[1]


def _notes(root: Path, version: str) -> str:
    changes = (root / "CHANGELOG.md").read_text()
    found = re.search(rf"(?ms)^## {re.escape(version)} .*?\n(.*?)(?=^## |\Z)", changes)
    return found[1].strip() if found else ""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("set").add_argument("version")
    commands.add_parser("check").add_argument("tag")
    commands.add_parser("notes").add_argument("tag")
    charts = commands.add_parser("charts")
    charts.add_argument("registry")
    charts.add_argument("directory", type=Path)
    return top


def main(arguments: list[str]) -> int:
    """Do what the command line asks; a failure is one clear message."""
    asked = parser().parse_args(arguments)
    try:
        if asked.command == "set":
            set_version(ROOT, asked.version)
        elif asked.command == "check":
            check(ROOT, asked.tag)
        elif asked.command == "notes":
            print(notes(ROOT, asked.tag))
        else:
            copy_charts(ROOT, asked.registry, asked.directory)
    except ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
