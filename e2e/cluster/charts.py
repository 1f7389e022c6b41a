"""Installs what runs in the cluster: snapshot definitions and controller, and both charts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from e2e.cluster.modules import Programs
from e2e.cluster.place import NAMESPACE, ROOT, Place
from e2e.cluster.shell import Shell

HERE: Final = Path(__file__).parent
CHARTS: Final = ROOT / "k8s" / "chart"
MOCK_NAMESPACE: Final = "mockcloud"
READY_S: Final = 300
"""For images that are loaded already; a first pull of the sidecars takes longer."""


class Charts:
    """Calls helm and kubectl."""

    def __init__(self, *, place: Place, shell: Shell, programs: Programs) -> None:
        self._place = place
        self._shell = shell
        self._helm = programs.find("helm")
        self._kubectl = programs.find("kubectl")

    def snapshots(self, source: Path) -> None:
        """The definitions, as their module has them, and the controller that all drivers share."""
        self._shell.run(self._kubectl, "apply", "--kustomize", source / "config" / "crd")
        self._shell.run(self._kubectl, "apply", "--filename", HERE / "snapshot-controller.yaml")

    def install(self, tags: Mapping[str, str]) -> None:
        """Install or upgrade both, and wait until all of their pods are ready.

        Args:
            tags: of the images, by name.
        """
        self._install("mockcloud", MOCK_NAMESPACE, tags["mockcloud"])
        self._install("diskcsi", NAMESPACE, tags["diskcsi"])

    def _install(self, name: str, namespace: str, tag: str) -> None:
        self._end_what_was_cut_off(name, namespace)
        self._shell.run(
            self._helm, "upgrade", name, CHARTS / name, "--install", "--namespace", namespace,
            "--create-namespace", "--values", HERE / "values" / f"{name}.yaml",
            "--set", f"image.tag={tag}", "--wait", "--timeout", f"{READY_S}s",
        )  # fmt: skip

    def _end_what_was_cut_off(self, name: str, namespace: str) -> None:
        """Helm refuses a release whose last operation was killed: take that operation back."""
        told = self._shell.run(
            self._helm, "list", "--pending", "--namespace", namespace, "--filter", f"^{name}$",
            "--output", "json",
        )  # fmt: skip
        for release in json.loads(told):
            back = "uninstall" if release["status"] == "pending-install" else "rollback"
            self._shell.run(
                self._helm, back, name, "--namespace", namespace, "--wait", "--timeout",
                f"{READY_S}s",
            )  # fmt: skip
