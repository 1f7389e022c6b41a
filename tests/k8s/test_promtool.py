"""Where promtool comes from on a machine that has none: out of a package that is not installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.k8s.charts import ROOT

APT = """#!/bin/sh
echo "$1" >> {directory}/asked
case "$1" in
update) touch {directory}/updated ;;
download) test -e {directory}/updated || {{ echo no such package >&2; exit 100; }}
          cp {directory}/prometheus.deb . ;;
esac
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A search path of its own, and a cache."""

    directory: Path

    def has(self, name: str, script: str) -> None:
        """Put a command on the path."""
        (self.directory / name).write_text(script)
        (self.directory / name).chmod(0o755)

    def asked(self) -> list[str]:
        """What apt was asked for."""
        return (self.directory / "asked").read_text().split()

    def find(self) -> subprocess.CompletedProcess[str]:
        """Ask for promtool."""
        return subprocess.run(
            [sys.executable, ROOT / "tools" / "find_promtool.py"],
            env={"PATH": str(self.directory), "DISKCSI_CACHE": str(self.directory / "cache")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One without any command."""
    return Machine(directory=tmp_path)


@pytest.fixture
def debian(machine: Machine) -> Machine:
    """One whose apt has the package, once its lists are there."""
    dpkg = shutil.which("dpkg-deb")
    if dpkg is None:
        pytest.skip("dpkg-deb is missing: this system's packages are of another kind")
    root = machine.directory / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: prometheus\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: it\n"
    )
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "promtool").write_text("of the package")
    subprocess.run([dpkg, "--build", root, machine.directory / "prometheus.deb"], check=True)
    for name in ("sh", "cp", "touch", "tar", "dpkg-deb", "rm"):
        (machine.directory / name).symlink_to(str(shutil.which(name)))
    machine.has("apt-get", APT.format(directory=machine.directory))
    return machine


def test_the_systems_own_is_taken(debian: Machine) -> None:
    """Nothing is fetched."""
    debian.has("promtool", "")
    assert debian.find().stdout.strip() == str(debian.directory / "promtool")
    assert not (debian.directory / "asked").exists()


def test_it_is_taken_out_of_the_package_once(debian: Machine) -> None:
    """The second time it is in the cache, and the package itself is gone."""
    (debian.directory / "updated").touch()
    first, second = debian.find(), debian.find()
    assert first.stdout == second.stdout, first.stderr
    found = Path(first.stdout.strip())
    assert found.read_text() == "of the package"
    assert debian.asked() == ["download"]
    assert list(found.parent.iterdir()) == [found]


def test_apts_own_words_tell_why_it_can_not_be_fetched(debian: Machine) -> None:
    """The message has them, and what was asked for."""
    (debian.directory / "prometheus.deb").unlink()
    done = debian.find()
    assert done.returncode == 1
    assert "apt-get can't fetch the package prometheus, which has promtool" in done.stderr


@pytest.mark.host
def test_root_renews_the_lists_where_they_lack_the_package(debian: Machine) -> None:
    """A fresh machine has none."""
    done = debian.find()
    assert Path(done.stdout.strip()).read_text() == "of the package", done.stderr
    assert debian.asked() == ["download", "update", "download"]


def test_without_apt_one_sentence_says_what_to_install(machine: Machine) -> None:
    """No traceback."""
    done = machine.find()
    assert done.returncode == 1
    assert done.stderr == (
        "promtool is missing: install Prometheus (Debian's package prometheus has it)\n"
    )
