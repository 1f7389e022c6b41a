"""Renders the charts with helm, and finds things in what comes out."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from diskcsi.providers import registry
from diskcsi.settings import Settings, fill

ROOT: Final = Path(__file__).resolve().parents[2]
CHARTS: Final = ROOT / "k8s" / "chart"
KUBERNETES: Final = "1.34.4"
SNAPSHOT_API: Final = "snapshot.storage.k8s.io/v1"

Manifest = dict[str, Any]

REGION: Final[Manifest] = {"provider": {"settings": {"region": "cn-hangzhou"}}}
"""The one value that the driver's chart needs."""


def tool(name: str) -> str:
    """The path of a command, or a skip that says how to name it."""
    variable = f"DISKCSI_{name.upper()}"
    found = os.environ.get(variable) or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is missing: install it, or name it by {variable}")
    return found


@dataclass(frozen=True, slots=True)
class Rendered:
    """The objects that a chart makes."""

    objects: list[Manifest]

    def one(self, kind: str, end: str = "") -> Manifest:
        """The only object of this kind whose name ends so."""
        (found,) = self.all(kind, end)
        return found

    def all(self, kind: str, end: str = "") -> list[Manifest]:
        return [
            one
            for one in self.objects
            if one["kind"] == kind and one["metadata"]["name"].endswith(end)
        ]

    def names(self) -> set[tuple[str, str]]:
        """Kind and name of every object, with the namespace where it has one."""
        return {
            (one["kind"], f"{one['metadata'].get('namespace', '')}/{one['metadata']['name']}")
            for one in self.objects
        }

    def pods(self) -> Iterator[tuple[str, Manifest]]:
        """The pods that controllers make, and those of `helm test`, by name."""
        for one in self.objects:
            if one["kind"] in {"Deployment", "DaemonSet"}:
                yield one["metadata"]["name"], one["spec"]["template"]["spec"]
            elif one["kind"] == "Pod":
                yield one["metadata"]["name"], one["spec"]


def pod(owner: Manifest) -> Manifest:
    """The pod that a Deployment or DaemonSet makes."""
    made: Manifest = owner["spec"]["template"]["spec"]
    return made


def container(owner: Manifest, name: str) -> Manifest:
    """One container of it."""
    (found,) = [one for one in pod(owner)["containers"] if one["name"] == name]
    return dict(found)


def config(rendered: Rendered) -> dict[str, Any]:
    """The file that the driver's pods read."""
    return tomllib.loads(rendered.one("ConfigMap", "-config")["data"]["config.toml"])


def filled(told: dict[str, Any], provider: str) -> tuple[Settings, Any]:
    """The settings that the driver makes of the file."""
    settings_type = registry.load(provider).settings_type
    vendors = told.pop(provider)
    return (
        fill(Settings, flags={}, environment={}, file=told),
        fill(settings_type, flags={}, environment={}, file=vendors),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Helm:
    """Calls helm on charts."""

    command: str
    charts: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.command, *arguments], capture_output=True, text=True, check=False
        )

    def render(
        self,
        chart: str = "diskcsi",
        *,
        values: Mapping[str, Any] | None = None,
        files: tuple[Path, ...] = (),
        release: str = "diskcsi",
        namespace: str = "kube-system",
        kubernetes: str = KUBERNETES,
        apis: tuple[str, ...] = (SNAPSHOT_API,),
    ) -> Rendered:
        """The objects of a chart; `values` win over the files."""
        arguments = [
            "template", release, str(self.charts / chart),
            f"--namespace={namespace}", f"--kube-version={kubernetes}",
        ]  # fmt: skip
        arguments += [f"--api-versions={api}" for api in apis]
        arguments += [f"--values={file}" for file in files]
        done = subprocess.run(
            [self.command, *arguments, "--values=-"],
            input=yaml.safe_dump(dict(values or {})),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Refused(done.stderr)
        return Rendered([one for one in yaml.safe_load_all(done.stdout) if one])


class Refused(Exception):
    """Helm refused the values."""
