"""The images that a node image made here brings: their names with docker, and on a node."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from e2e.cluster import node_image
from e2e.cluster.modules import Programs, kubernetes_version
from e2e.cluster.shell import Shell

DOCKER = """#!/bin/sh
echo "$@" >> {directory}/told
[ "$1" = import ] && cat > /dev/null
exit 0
"""

CTR = """#!/bin/sh
# containerd adds the registry to a name that begins with none
shift 2
case "$1 $2" in
"images import") sed 's,^,docker.io/,' "$3" >> {directory}/names;;
"images list") cat {directory}/names;;
"images tag") [ "$3" = --force ] && grep -qx "$4" {directory}/names && echo "$5" >> {directory}/names;;
esac
"""


def official() -> set[str]:
    """What kubeadm, the charts and the examples ask for."""
    held = [*node_image.CONTROL_PLANE.values(), *node_image.every_node().values()]
    names = [*held, node_image.PROXY, node_image.BUSYBOX]
    return {one.format(kubernetes=kubernetes_version()) for one in names}


@pytest.fixture
def saved(tmp_path: Path) -> list[str]:
    """The names of the images that docker is asked to save, and every other one that it is given."""
    directory = tmp_path / "programs"
    directory.mkdir()
    for program in (*node_image.CONTROL_PLANE, *node_image.every_node(), "kube-proxy"):
        (directory / program).touch()
    (tmp_path / "docker").write_text(DOCKER.format(directory=tmp_path))
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "context").mkdir()
    node_image._archives(
        tmp_path / "context",
        "diskcsi-e2e/root:0123",
        Shell(environment={"PATH": f"{tmp_path}:/usr/bin:/bin"}, log=tmp_path / "log"),
        Programs(directories=(directory,)),
    )
    return re.findall(r"[\w./-]+:\w[\w.-]*", (tmp_path / "told").read_text())


def test_docker_is_given_no_official_name(saved: list[str]) -> None:
    """It may be a person's, whose `busybox:stable` would be another one from then on."""
    assert {name for name in saved if not name.startswith("diskcsi-e2e/")} == set()
    assert {name.removeprefix("diskcsi-e2e/") for name in saved} >= official()


@pytest.mark.parametrize("times", [1, 2], ids=["whole", "cut-off-before"])
def test_a_node_has_every_image_under_its_official_name(
    tmp_path: Path, saved: list[str], times: int
) -> None:
    """Nothing is pulled: containerd finds what kubeadm and pods ask for."""
    for place in ("kind/images", "var/lib", "run"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "kind/images/every-node.tar").write_text("\n".join([*saved, ""]))
    for name, text in (("ctr", CTR), ("hostname", "#!/bin/sh\necho a-worker\n")):
        (tmp_path / name).write_text(text.format(directory=tmp_path))
        (tmp_path / name).chmod(0o755)
    script = (node_image.FILES / "import-images").read_text()
    there = re.sub(r"(?<![\w.-])/(kind/images|var/lib|run)/", rf"{tmp_path}/\1/", script)
    for _ in range(times):
        subprocess.run(
            ["/bin/bash", "-c", there], check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
        )
        (tmp_path / "var/lib/images-imported").unlink()
    assert (tmp_path / "run/images-ready").exists()
    assert official() <= set((tmp_path / "names").read_text().split())
