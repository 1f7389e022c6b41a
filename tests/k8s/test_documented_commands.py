"""What the pages tell people to type fits the charts: names, labels, values, examples."""

from __future__ import annotations

import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from tests.k8s.charts import KUBERNETES, ROOT, SNAPSHOT_API, Helm, Manifest, Rendered

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), ROOT / "k8s" / "README.md"])
FENCED = re.compile(r"^(?:\d\.)? *```\w*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INSTALL = re.compile(r"\bhelm (?:install|upgrade --install|template) (\S+ k8s/chart/[^|\n]*)")
OF_A_CLUSTER = ("--wait", "--create-namespace", "--take-ownership", "--validate")
"""Flags of an installation that mean nothing to what is rendered."""

KUBECTL = re.compile(r"^.*\bkubectl .*$", re.MULTILINE)
SELECTOR = re.compile(r" (?:-l|--selector)[ =]['\"]?([\w./=,-]+)")
WORKLOAD = re.compile(r"(?<=\s)(?:deploy|deployment|ds|daemonset)[/ ](\w[\w-]*)")
OF_THE_GO_DRIVER = frozenset({"csi-plugin", "csi-provisioner"})
CLAIM = "PersistentVolumeClaim"
EVERYWHERE = "alicloud-disk-topology-alltype"
"""The class of the chart that serves in each zone."""

OF_SNAPSHOTTER = re.compile(r"external-snapshotter/\S+\?ref=(\S+)\"")
SED = re.compile(r"^ *\$ (sed (?:'[^']*'|[^'|\n])*)", re.MULTILINE)


def installations() -> list[tuple[Path, str]]:
    """Each `helm install` or `template` in a block of a page, without its first words."""
    return [
        (page, told)
        for page in PAGES
        for block in FENCED.findall(page.read_text())
        for told in INSTALL.findall(re.sub(r"\\\n\s*", "", block))
    ]


def arguments(page: Path, told: str, *, helm: Helm, folder: Path) -> Iterator[str]:
    """What helm gets, with charts and files where they are; a page may have a file of its own."""
    for word in shlex.split(told, comments=True):
        if word.startswith("k8s/chart/"):
            yield str(helm.charts / word.removeprefix("k8s/chart/"))
        elif (ROOT / word).is_file():
            yield str(ROOT / word)
        elif word.endswith(".yaml"):
            file = folder / word
            file.write_text(own_file(page, word))
            yield str(file)
        elif word not in OF_A_CLUSTER:
            yield word


def own_file(page: Path, name: str) -> str:
    """The block after the file's name."""
    _, _, after = page.read_text().partition(f"`{name}`")
    block = FENCED.search(after)
    assert block, f"the page has no file {name}"
    return textwrap.dedent(block[1])


@pytest.mark.k8s
@pytest.mark.parametrize(
    ("page", "told"), installations(), ids=lambda one: getattr(one, "stem", "as")
)
def test_an_installation_renders(helm: Helm, tmp_path: Path, page: Path, told: str) -> None:
    """The charts take the values; while no image is published, one's own registry is named."""
    done = helm.run(
        "template", f"--kube-version={KUBERNETES}", f"--api-versions={SNAPSHOT_API}",
        *arguments(page, told, helm=helm, folder=tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rendered = Rendered([one for one in yaml.safe_load_all(done.stdout) if one])
    images = {one["image"] for _, pod in rendered.pods() for one in pod["containers"]}
    loaded = "k8s/chart/diskcsi-kind" in told  # images come to kind's nodes without a registry
    assert loaded or not [image for image in images if image.startswith("diskcsi/")]


@pytest.fixture(scope="session")
def known(helm: Helm) -> Sequence[Manifest]:
    """Pods, as labels and owners' names, of the charts and of the examples."""
    objects = [*helm.render("diskcsi-kind").objects]
    for example in (ROOT / "examples" / "kubernetes").glob("*.yaml"):
        objects += yaml.safe_load_all(example.read_text())
    return [one for one in objects if "template" in one.get("spec", {}) or one["kind"] == "Pod"]


@pytest.mark.k8s
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_command_asks_for_is_there(known: Sequence[Manifest], page: Path) -> None:
    """Every label chooses some pod, and every Deployment and DaemonSet has that name."""
    lines = "\n".join(KUBECTL.findall(page.read_text())).replace("REL-", "diskcsi-")
    labels = [
        set(one["spec"].get("template", one)["metadata"].get("labels", {}).items()) for one in known
    ]
    unmatched = [
        selector
        for selector in SELECTOR.findall(lines)
        if not any({tuple(pair.split("=")) for pair in selector.split(",")} <= of for of in labels)
    ]
    names = OF_THE_GO_DRIVER | {one["metadata"]["name"] for one in known}
    assert (unmatched, set(WORKLOAD.findall(lines)) - names) == ([], set())


@pytest.mark.parametrize(
    "told", sorted({one for page in PAGES for one in SED.findall(page.read_text())})
)
def test_an_edit_by_sed_still_edits(tmp_path: Path, told: str) -> None:
    """The words that it looks for stand in each file, and YAML comes out."""
    words = shlex.split(told)
    names = [word for word in words[1:] if word.endswith(".yaml")]
    for name in names:
        (file,) = [one for one in (ROOT / name, ROOT / "k8s" / "manifests" / name) if one.is_file()]
        (tmp_path / file.name).write_text(file.read_text())
        done = subprocess.run(
            [*(word for word in words if word not in (*names, "-i")), file.name],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout != file.read_text()
        asked = [one["spec"] for one in yaml.safe_load_all(done.stdout) if one["kind"] == CLAIM]
        assert {one.get("storageClassName", EVERYWHERE) for one in asked} <= {EVERYWHERE}


def test_the_snapshot_api_is_of_the_snapshotters_release() -> None:
    """The sidecar, the controller and the definitions of one release are tried together."""
    named = {tag for page in PAGES for tag in OF_SNAPSHOTTER.findall(page.read_text())}
    values = yaml.safe_load((ROOT / "k8s" / "chart" / "diskcsi" / "values.yaml").read_text())
    assert named == {values["sidecars"]["snapshotter"]["tag"]}
