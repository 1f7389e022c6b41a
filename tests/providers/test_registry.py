"""How an installed provider is found: real packages, in a directory of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from diskcsi.providers import registry
from diskcsi.providers.registry import ProviderNotUsable
from diskcsi.spi import SPI_VERSION

MODULE = """
from dataclasses import replace
from diskcsi.providers.local import LOCAL
GOOD = replace(LOCAL, name="good")
OLD = replace(LOCAL, name="old", spi_version={old})
OTHER = "a word"
"""


class Site:
    """A directory that Python finds packages in."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "made_up_provider.py").write_text(MODULE.format(old=SPI_VERSION - 1))

    def install(self, package: str, **entries: str) -> None:
        """A package that offers these providers."""
        told = self._directory / f"{package}-1.dist-info"
        told.mkdir()
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (told / "entry_points.txt").write_text("\n".join([f"[{registry.GROUP}]", *lines]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Nothing is installed in it yet."""
    monkeypatch.syspath_prepend(tmp_path)
    return Site(tmp_path)


def test_an_installed_provider_is_found_by_name(site: Site) -> None:
    """Its entry point's name is the value of the option."""
    site.install("some_package", good="made_up_provider:GOOD")
    assert registry.load("good").name == "good"


def test_only_the_wanted_provider_is_imported(site: Site) -> None:
    """A broken package hurts those who ask for it, and nobody else."""
    site.install("some_package", good="made_up_provider:GOOD", broken="no_such_module:IT")
    assert registry.load("good").name == "good"


def test_an_unknown_name_tells_those_that_are_installed(site: Site) -> None:
    """The way out is in the message."""
    site.install("some_package", good="made_up_provider:GOOD")
    with pytest.raises(ProviderNotUsable, match=r"no provider named 'goood'; installed: .*good"):
        registry.load("goood")


def test_one_name_of_two_packages_is_refused(site: Site) -> None:
    """Which one is meant can't be known, so both are named."""
    site.install("one_package", good="made_up_provider:GOOD")
    site.install("two_package", good="made_up_provider:OTHER")
    with pytest.raises(ProviderNotUsable, match=r"one_package.*two_package.*uninstall all but one"):
        registry.load("good")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("no_such_module:IT", "can't be imported from no_such_module:IT"),
        ("made_up_provider:ABSENT", "can't be imported from made_up_provider:ABSENT"),
        ("made_up_provider:OTHER", "is a str, not a diskcsi.spi.Provider"),
        ("made_up_provider:OLD", "install a matching release"),
    ],
    ids=["no module", "no object", "no provider", "another version"],
)
def test_what_is_no_provider_of_this_version_is_refused(site: Site, value: str, told: str) -> None:
    """Each with its reason, before anything is started."""
    site.install("some_package", it=value)
    with pytest.raises(ProviderNotUsable, match=told):
        registry.load("it")


@pytest.mark.parametrize("name", ["alibaba", "local"])
def test_the_providers_of_this_package_are_installed_with_it(name: str) -> None:
    """And are named as they are found."""
    assert registry.load(name).name == name
