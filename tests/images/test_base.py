"""The base of Debian's packages: what is in it, and when it is made anew."""

from __future__ import annotations

import json
from pathlib import Path

import image_base
import image_sbom
import image_sizes
import images
import pytest
from image_commands import ROOT, ImageError, cache_directory


def test_the_base_has_python_and_every_image_s_tools() -> None:
    """One base serves both images, so nodes hold its layers once."""
    named = [
        package
        for image in images.IMAGES.values()
        for package in image_base.packages_of(image.dockerfile.read_text())
    ]
    assert set(image_base.base_packages()) == {"python3", *named}


def test_a_dockerfile_without_packages_is_told() -> None:
    """The list is read from the Dockerfile, so its loss must not pass as an empty one."""
    with pytest.raises(ImageError, match="ARG PACKAGES"):
        image_base.packages_of("FROM scratch\n")


def test_another_package_is_another_recipe() -> None:
    """A cached base is taken only for the very list it was made of."""
    assert image_base.recipe("script", ("a",)) != image_base.recipe("script", ("a", "b"))


def test_both_dockerfiles_stand_on_the_published_base_that_is_tried_first() -> None:
    """A build by hand and one by the tool give the same image where registries can be reached."""
    lines = [image.dockerfile.read_text().splitlines() for image in images.IMAGES.values()]
    assert all(f"ARG BASE={image_base.PUBLISHED}" in found for found in lines)


@pytest.mark.parametrize("caller", [image_base.SCRIPT, ROOT / "e2e/cluster/node_image.py"])
def test_a_mirror_is_believed_by_debians_signature_alone(caller: Path) -> None:
    """Without the keys debootstrap warns and goes on, unless it is told not to."""
    told = caller.read_text()
    assert "debootstrap" in told
    assert "--force-check-gpg" in told


def test_debians_keys_are_named_where_they_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other systems have debootstrap without them."""
    monkeypatch.setenv("DISKCSI_CACHE", str(tmp_path))
    monkeypatch.setattr(image_base, "KEYRING", tmp_path / "absent.gpg")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(ImageError, match="debian-archive-keyring"):
        image_base.ensure_debian(image_base.Debian(fresh=True))


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build machine keeps it between its runs."""
    monkeypatch.setenv("DISKCSI_CACHE", str(tmp_path / "kept"))
    assert cache_directory() == tmp_path / "kept"


def test_without_docker_one_sentence_tells_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody reads a traceback to learn that docker isn't running."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
    images.main(["build"])
    assert capsys.readouterr().err.startswith(
        "no docker daemon answers, and images can't be built without one: start docker, or name"
        " its socket in DOCKER_HOST\n"
    )


def test_the_sizes_leave_the_base_out() -> None:
    """What is older than the first instruction of our last stage isn't ours."""
    history = (
        "0 LABEL a=b\n63 COPY /opt/x /opt/x\n5 RUN |1 PACKAGES=a /bin/sh -c\n"
        "0 ARG PACKAGES=a\n164 Imported from -\n7 COPY /of/the/base /\n"
    )
    assert sum(size for size, _ in image_sizes.layers(history)) == 68


def test_an_sbom_names_python_and_debian_packages_by_their_addresses() -> None:
    """Scanners look packages up by these."""
    told = image_sbom.document(
        "diskcsi/diskcsi:1.0",
        {"Id": "sha256:00", "Created": "2026-01-02T03:04:05.123456789Z"},
        {
            "python": [["Typing_Extensions", "4.1", "PSF-2.0"]],
            "debian": [["libc6", "2.36-9", "amd64"]],
            "system": {"ID": "debian", "VERSION_ID": "12"},
        },
    )
    assert {component["purl"] for component in json.loads(told)["components"]} == {
        "pkg:pypi/typing-extensions@4.1",
        "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12",
    }
