"""The wheels of an image: what may be loaded, and that nothing else than named is installed."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import image_wheels
import pytest
from image_base import Python
from image_commands import ImageError

DEBIAN_12 = Python(version="3.11", machine="x86_64", glibc_minor=36)


def make_wheel(directory: Path, name: str, version: str, tag: str = "py3-none-any") -> Path:
    """A file with the metadata of a wheel."""
    wheel = directory / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            f"{name}-{version}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n"
        )
        archive.writestr(f"{name}/tag.py", f"TAG = {tag!r}\n")
    return wheel


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("platform", "loaded"),
    [
        ("manylinux2014_x86_64", True),
        ("manylinux_2_17_x86_64", True),
        ("manylinux_2_36_x86_64", True),
        ("manylinux_2_37_x86_64", False),
        ("manylinux_2_28_aarch64", False),
    ],
)
def test_a_wheel_is_taken_up_to_the_glibc_of_the_base(platform: str, loaded: bool) -> None:
    """A newer glibc's wheel, or another machine's, would fail only when it is imported."""
    assert (platform in image_wheels.platforms(DEBIAN_12)) is loaded


def test_each_wheel_is_required_with_its_hash(tmp_path: Path) -> None:
    """A file that was exchanged on its way into the build is refused by pip."""
    wheel = make_wheel(tmp_path, "Some_Package", "1.2")
    assert (
        image_wheels.requirements([wheel]) == f"some-package==1.2 --hash=sha256:{sha256(wheel)}\n"
    )


def test_wheels_of_two_machines_are_one_requirement(tmp_path: Path) -> None:
    """One context serves a build for both architectures."""
    wheels = [
        make_wheel(tmp_path, "fast", "1", f"cp311-cp311-manylinux2014_{machine}")
        for machine in image_wheels.MACHINES.values()
    ]
    (line,) = image_wheels.requirements(wheels).splitlines()
    assert {word.rpartition(":")[2] for word in line.split()[1:]} == {sha256(w) for w in wheels}


def test_two_versions_of_a_package_are_refused(tmp_path: Path) -> None:
    """A provider that needs another version than the driver is told before the build."""
    wheels = [make_wheel(tmp_path, "twice", version) for version in ("1.0", "2.0")]
    with pytest.raises(ImageError, match=r"twice lies there in versions 1\.0, 2\.0"):
        image_wheels.requirements(wheels)


def test_the_base_decides_the_machine_where_none_is_named() -> None:
    """A plain build is for the machine that it runs on."""
    assert image_wheels.for_machines(DEBIAN_12, []) == [DEBIAN_12]


def test_architectures_have_docker_s_names() -> None:
    """`--arch arm64` fetches the wheels that the kernel calls aarch64."""
    found = image_wheels.for_machines(DEBIAN_12, ["amd64", "arm64"])
    assert [python.machine for python in found] == ["x86_64", "aarch64"]


def test_a_project_s_wheel_is_the_same_each_time(tmp_path: Path) -> None:
    """Docker's cache of a layer holds as long as nothing has changed."""
    project = tmp_path / "project"
    (project / "sample").mkdir(parents=True)
    (project / "sample/__init__.py").write_text("")
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "sample"\nversion = "1"\n'
    )
    made = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        made.append(sha256(image_wheels.build(project, tmp_path / name)))
    assert made[0] == made[1]
