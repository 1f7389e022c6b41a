"""What a release is made of fits together before it is signed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import release
import yaml

ROOT = Path(__file__).resolve().parent.parent
ENTRY = "\n## 3.2.1 (2030-01-02)\n\n### Added\n\n- Something.\n\n## 3.2.0 (2030-01-01)\n\nOlder.\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copies of the files that carry the version, set to 3.2.1 and told in the changelog."""
    for name in (*release.PACKAGES, *release.PAGES, "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "k8s/chart", tmp_path / "k8s/chart")
    release.set_version(tmp_path, "3.2.1")
    with (tmp_path / "CHANGELOG.md").open("a") as changes:
        changes.write(ENTRY)
    return tmp_path


def test_a_tree_of_the_tags_version_passes(tree: Path) -> None:
    """What `set` writes is what `check` wants."""
    release.check(tree, "v3.2.1")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("pyproject.toml", 'version = "3.2.1"', 'version = "3.2.0"'),
        ("mockcloud/pyproject.toml", 'version = "3.2.1"', 'version = "3.2.0"'),
        ("k8s/chart/diskcsi/Chart.yaml", "\nversion: 3.2.1", "\nversion: 3.2.0"),
        ("k8s/chart/mockcloud/Chart.yaml", "appVersion: 3.2.1", "appVersion: 3.2.0"),
        (
            "k8s/chart/diskcsi-kind/Chart.yaml",
            "{name: mockcloud, version: 3.2.1",
            "{name: mockcloud, version: 3.2.0",
        ),
        ("docs/tutorials/kind.md", "diskcsi/mockcloud:3.2.1", "diskcsi/mockcloud:3.2.0"),
        (
            "docs/operations/install-self-built.md",
            "registry.example.com/diskcsi/diskcsi:3.2.1",
            "registry.example.com/diskcsi/diskcsi:3.2.0",
        ),
        ("CHANGELOG.md", "## 3.2.1 ", "## 3.3.0 "),
    ],
)
def test_what_is_of_another_version_is_named(tree: Path, name: str, old: str, new: str) -> None:
    """A tag on the wrong commit ends before anything is built."""
    text = (tree / name).read_text()
    assert old in text
    (tree / name).write_text(text.replace(old, new, 1))
    with pytest.raises(release.ReleaseError, match=name):
        release.check(tree, "v3.2.1")


@pytest.mark.parametrize("tag", ["3.2.1", "v3.2", "v3.2.1rc1", "v3.2.1; id", ""])
def test_only_tags_of_releases_are_taken(tree: Path, tag: str) -> None:
    """Whoever may push a tag chooses its text."""
    with pytest.raises(release.ReleaseError, match=r"vX\.Y\.Z"):
        release.check(tree, tag)


def test_the_notes_are_the_tags_own(tree: Path) -> None:
    """Neither the heading nor what older versions brought."""
    assert release.notes(tree, "v3.2.1") == "### Added\n\n- Something."


def test_a_version_between_releases_is_told_in_the_words_of_charts(tree: Path) -> None:
    """Python and charts write the same development version in two ways."""
    release.set_version(tree, "3.3.0.dev0")
    chart = yaml.safe_load((tree / "k8s/chart/diskcsi-kind/Chart.yaml").read_text())
    versions = {chart["version"], *(one["version"] for one in chart["dependencies"])}
    assert (versions, chart["appVersion"]) == ({"3.3.0-dev.0"}, "3.3.0.dev0")


def test_the_trees_own_versions_are_one() -> None:
    """Packages, images and charts of one commit belong together."""
    found = {
        hit[2] if not of_chart else hit[2].replace("-dev.", ".dev")
        for path, pattern, of_chart in release.places(ROOT)
        for hit in pattern.finditer(path.read_text())
    }
    assert len(found) == 1


@pytest.mark.parametrize("name", release.IMAGES)
def test_released_charts_take_the_releases_images(tree: Path, tmp_path: Path, name: str) -> None:
    """Whoever installs a released chart gets the images that were signed with it."""
    release.copy_charts(tree, "registry.example.com/team", tmp_path / "charts")
    values = yaml.safe_load((tmp_path / "charts" / name / "values.yaml").read_text())
    assert values["image"]["registry"] == "registry.example.com/team"


def test_a_word_on_standard_error_tells_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """The log of a workflow shows one sentence instead of a traceback."""
    assert (release.main(["check", "nonsense"]), "vX.Y.Z" in capsys.readouterr().err) == (1, True)
