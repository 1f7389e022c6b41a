"""Render the plain manifests and the kustomize base from the charts, or check that they are up to date.

python tools/manifests.py            write k8s/manifests and the rendered files of k8s/kustomize
python tools/manifests.py --check    compare; exit status 1 and the differing files otherwise

Helm is the command that DISKCSI_HELM names, else the one on the search path.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
K8S = ROOT / "k8s"
NAMESPACE = "kube-system"
HELM_ENV = "DISKCSI_HELM"

OLDEST = "1.27.0"
"""The oldest Kubernetes that is served (kubeVersion of the charts): what is written here has no field
that one doesn't know."""

OF_HELM = re.compile(
    r"^ +(helm\.sh/chart: .*|app\.kubernetes\.io/managed-by: .*|checksum/\w+: .*)\n", re.MULTILINE
)
"""Lines that mean something to helm only, or that would be wrong after an edit."""

COMMON = ("provider.settings.region=cn-hangzhou", "test.enabled=false")

NOTE = "# Rendered from k8s/chart/{chart} by tools/manifests.py.{more}\n"
EDIT_REGION = " Write your region into config.toml, and no password: it is a ConfigMap."
EDIT_PLACE = " Write your region and zone into the parameters, or leave both out."

RBAC_KINDS = frozenset(
    {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
)


class HelmFailed(Exception):  # noqa: N818 - reads as what happened
    """Helm is missing or ended with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """One rendered object, with its comments."""

    text: str
    kind: str
    name: str


def helm() -> str:
    """The helm command.

    Raises:
        HelmFailed: there is none.
    """
    found = os.environ.get(HELM_ENV) or shutil.which("helm")
    if not found:
        raise HelmFailed(f"helm is missing: install it, or name it by {HELM_ENV}")
    return found


def rendered(chart: str, *sets: str, release: str | None = None) -> list[Object]:
    """The objects of a chart, in helm's order.

    Raises:
        HelmFailed: helm refused.
    """
    command = [
        helm(), "template", release or chart, str(K8S / "chart" / chart),
        f"--namespace={NAMESPACE}", f"--kube-version={OLDEST}",
    ]  # fmt: skip
    for one in sets:
        command += ["--set", one]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HelmFailed(f"helm template {chart}: {done.stderr.strip()}")
    texts = re.split(r"^---\n(?:# Source: .*\n)?", done.stdout, flags=re.MULTILINE)
    return [_object(OF_HELM.sub("", text)) for text in texts if yaml.safe_load(text)]


def _object(text: str) -> Object:
    told = yaml.safe_load(text)
    return Object(text=text.strip() + "\n", kind=told["kind"], name=told["metadata"]["name"])


def _joined(objects: Sequence[Object], *, more: str = "", chart: str = "diskcsi") -> str:
    return NOTE.format(chart=chart, more=more) + "---\n".join(one.text for one in objects)


def plain_manifests() -> dict[Path, str]:
    """The four files that people of the first Alibaba driver know."""
    objects = rendered(
        "diskcsi", *COMMON, "snapshots.enabled=false", "defaultClasses=false",
        "storageClasses.alicloud-disk.parameters.regionId=cn-hangzhou",
        "storageClasses.alicloud-disk.parameters.zoneId=cn-hangzhou-g",
        "storageClasses.alicloud-disk.parameters.type=cloud_essd\\,cloud_ssd\\,cloud_efficiency",
        "storageClasses.alicloud-disk.parameters.fsType=ext4",
    )  # fmt: skip

    def file(name: str, wanted: Callable[[Object], bool], more: str = "") -> tuple[Path, str]:
        text = _joined([one for one in objects if wanted(one)], more=more)
        return K8S / "manifests" / name, text

    return dict([
        file("rbac.yaml", lambda one: one.kind in RBAC_KINDS),
        file(
            "plugin.yaml",
            lambda one: one.kind in {"CSIDriver", "ConfigMap", "DaemonSet"},
            EDIT_REGION,
        ),
        file("provisioner.yaml", lambda one: one.kind in {"Deployment", "PodDisruptionBudget"}),
        file("storageclass.yaml", lambda one: one.kind == "StorageClass", EDIT_PLACE),
    ])  # fmt: skip


def kustomize_base() -> dict[Path, str]:
    """Everything but snapshots, whose API not every cluster has, and a component that adds them."""
    without = rendered("diskcsi", *COMMON, "snapshots.enabled=false")
    having = rendered("diskcsi", *COMMON, "snapshots.enabled=true")
    there = {(one.kind, one.name): one.text for one in without}
    added = [one for one in having if (one.kind, one.name) not in there]
    changed = [one for one in having if there.get((one.kind, one.name), one.text) != one.text]
    component = K8S / "kustomize" / "components" / "snapshots"
    return {
        K8S / "kustomize" / "base" / "diskcsi.yaml": _joined(without, more=EDIT_REGION),
        component / "added.yaml": _joined(added),
        **{component / f"{one.name}.yaml": _replacing(one) for one in changed},
    }


def _replacing(one: Object) -> str:
    """A patch that takes the place of what the object says, whole: lists would be mixed otherwise."""
    field = "spec" if one.kind == "Deployment" else "rules"
    _, _, told = one.text.partition(f"\n{field}:\n")
    return NOTE.format(chart="diskcsi", more="") + (
        f"- op: replace\n  path: /{field}\n  value:\n{textwrap.indent(told, '  ')}"
    )


def mock_objects() -> dict[Path, str]:
    """The mock for the overlay that tests with it; the token's Secret is the overlay's."""
    objects = rendered("mockcloud", "agent.existingSecret=mockcloud-agent")
    target = K8S / "kustomize" / "overlays" / "kind-mockcloud" / "mockcloud.yaml"
    return {target: _joined(objects, chart="mockcloud")}


def main(arguments: list[str]) -> int:
    """Write, or with --check compare."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        wanted = {**plain_manifests(), **kustomize_base(), **mock_objects()}
    except HelmFailed as error:
        print(error, file=sys.stderr)
        return 2
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if not arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
        print(f"{'differs' if arguments else 'written'}: {path.relative_to(ROOT)}")
    if arguments and stale:
        print("write them anew: python tools/manifests.py")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
