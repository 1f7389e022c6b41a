"""What is made from the charts is up to date, and what is said twice is said alike."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from diskcsi.ports.provider import AnyProvider
from diskcsi.settings import fill
from tests.k8s.charts import CHARTS, ROOT, Helm, Rendered, config, filled, pod, tool


def run_tool(name: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "tools" / name, "--check"],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **env},
    )  # fmt: skip


def test_tables_of_values_are_up_to_date() -> None:
    """The pages say what the charts' values.yaml say."""
    done = run_tool("chart_values.py")
    assert done.returncode == 0, done.stdout


@pytest.mark.k8s
def test_manifests_are_up_to_date(helm: Helm) -> None:
    """The plain files and the kustomize base are what the charts render."""
    done = run_tool("manifests.py", DISKCSI_HELM=helm.command)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "reference").glob("*-values.md")), ids=str)
def test_every_value_is_documented(page: Path) -> None:
    """No line of a table is without words."""
    assert not re.findall(r"^\| `[^`]+` \| .* \|  ?\|$", page.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("chart", "project"), [("diskcsi", "."), ("diskcsi-kind", "."), ("mockcloud", "mockcloud")]
)
def test_charts_install_the_version_that_they_are_of(chart: str, project: str) -> None:
    """The image's tag is the version in pyproject.toml."""
    told = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text())
    version = tomllib.loads((ROOT / project / "pyproject.toml").read_text())["project"]["version"]
    assert told["appVersion"] == version


def test_the_chart_for_kind_takes_the_charts_beside_it() -> None:
    """Another version could not be found without a network."""
    kind = yaml.safe_load((CHARTS / "diskcsi-kind" / "Chart.yaml").read_text())
    for part in kind["dependencies"]:
        beside = yaml.safe_load((CHARTS / part["name"] / "Chart.yaml").read_text())
        assert part["version"] == beside["version"]
        assert part["repository"] == f"file://../{part['name']}"


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> AnyProvider:
    """The example of a provider that is not built in, from its own package."""
    monkeypatch.syspath_prepend(ROOT / "examples" / "folder" / "src")
    from diskcsi_folder import FOLDER  # its place is known just now

    return FOLDER


def test_values_for_another_provider_are_ones_that_it_takes(folder: AnyProvider) -> None:
    """Filled as the driver does: no setting is unknown, none that it needs is missing."""
    values = yaml.safe_load((ROOT / "k8s" / "values" / "other-provider.yaml").read_text())
    told = values["provider"]
    fill(folder.settings_type, flags={}, environment={}, file=told["settings"])
    assert (told["name"], values["driverName"]) == (folder.name, folder.driver_name)


@pytest.fixture
def kustomize(tmp_path: Path) -> Path:
    """A copy to edit, as people do."""
    return Path(shutil.copytree(ROOT / "k8s" / "kustomize", tmp_path / "kustomize"))


def built(overlay: Path) -> Rendered:
    done = subprocess.run(
        [tool("kubectl"), "kustomize", str(overlay)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Rendered([one for one in yaml.safe_load_all(done.stdout) if one])


def edit(overlay: Path, written: str, instead: str) -> None:
    file = overlay / "kustomization.yaml"
    assert written in file.read_text()
    file.write_text(file.read_text().replace(written, instead))


@pytest.mark.k8s
@pytest.mark.parametrize("snapshots", [False, True], ids=["as it is", "with snapshots"])
@pytest.mark.parametrize("overlay", ["alibaba", "kind-mockcloud"])
def test_overlays_serve_snapshots_on_demand(kustomize: Path, overlay: str, snapshots: bool) -> None:
    """As they are they need no API that Kubernetes lacks; one line adds what does."""
    if snapshots:
        edit(kustomize / "overlays" / overlay, "# components:", "components:")
    rendered = built(kustomize / "overlays" / overlay)
    names = [one["name"] for one in pod(rendered.one("Deployment", "-controller"))["containers"]]
    assert ("csi-snapshotter" in names) is snapshots
    assert bool(rendered.all("VolumeSnapshotClass")) is snapshots
    assert ("external-snapshotter-leader" in str(rendered.one("Role"))) is snapshots


@pytest.mark.k8s
def test_the_overlay_for_alibaba_is_edited_in_one_file(kustomize: Path) -> None:
    """Region and image reach the driver's file and every pod of it."""
    overlay = kustomize / "overlays" / "alibaba"
    edit(overlay, "cn-hangzhou", "cn-beijing")
    edit(overlay, "registry.example.com", "registry.of.mine")
    rendered = built(overlay)
    settings = filled(config(rendered), "alibaba")[1]
    images = {one["image"] for _, told in rendered.pods() for one in told["containers"]}
    assert settings.region == "cn-beijing"
    assert {one.split("/")[0] for one in images} == {"registry.of.mine", "registry.k8s.io"}


@pytest.mark.k8s
def test_the_overlay_for_kind_calls_the_mock(kustomize: Path) -> None:
    """The driver's file is the overlay's, and the mock is beside it."""
    rendered = built(kustomize / "overlays" / "kind-mockcloud")
    settings = filled(config(rendered), "alibaba")[1]
    host, _, port = settings.ecs_endpoint.partition(":")
    assert rendered.one("Service", host)["spec"]["ports"][0]["port"] == int(port)
