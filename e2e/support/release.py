"""A second release of the chart, beside the cluster's own, in a scenario's namespace."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from e2e.cluster.place import ROOT, Place
from e2e.support.kube import Kube, Object
from e2e.support.waiting import wait_for

CHART: Final = ROOT / "k8s" / "chart" / "diskcsi"
VALUES: Final = ROOT / "e2e" / "cluster" / "values" / "diskcsi.yaml"
SECRET: Final = "e2e-key"  # noqa: S105 - an object's name
NAME: Final = "second"
"""Of the release, and what the names of its objects begin with."""

NOT_THE_RELEASE: Final = "!app.kubernetes.io/name"
"""By their labels, what the scenario made itself."""

FIRST_PORT: Final = 11300
PORTS: Final = 4000
"""Of the nodes' own network, for the node plug-ins of releases that may stand side by side."""

HELM_S: Final = 400
"""For one command: what it waits for has a limit of its own, which is shorter."""

ALIBABA_SETTINGS: Final = ("region", "ecs_endpoint", "ecs_scheme")
"""What the cluster's own values tell its provider."""

Install: TypeAlias = Callable[[Mapping[str, Any]], "subprocess.CompletedProcess[str]"]
"""Installs or upgrades the release with values of its own; gives what helm said."""


def driver_name(namespace: str) -> str:
    """The name of the driver that is installed into a namespace."""
    return f"{hashlib.sha256(namespace.encode()).hexdigest()[:12]}.diskcsi.e2e"


def tag_served(owner: Object) -> str:
    """The tag of the image that a Deployment's or DaemonSet's first container runs."""
    return str(owner["spec"]["template"]["spec"]["containers"][0]["image"]).rpartition(":")[2]


def node_port(namespace: str) -> int:
    """The port on the nodes' own network for the node plug-in of a namespace's release."""
    return FIRST_PORT + zlib.crc32(namespace.encode()) % PORTS


def beside(namespace: str) -> dict[str, Any]:
    """Values of a release beside others: another driver, another port on the nodes' network."""
    return {
        "driverName": driver_name(namespace),
        "fullnameOverride": NAME,
        "defaultClasses": False,
        "controller": {"replicas": 1},
        "node": {"httpPort": node_port(namespace)},
        "credentials": {"id": "", "secret": "", "existingSecret": SECRET},
    }


def of_provider(name: str, *, storage_class: str, **settings: object) -> dict[str, Any]:
    """Values of a release with another provider and one class of its own, and no key."""
    own = {**dict.fromkeys(ALIBABA_SETTINGS), **settings}
    return {
        "provider": {"name": name, "settings": own},
        "credentials": {"enabled": False},
        "storageClasses": {storage_class: {}},
    }


def merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """One set of values over another, as helm lays them."""
    found = dict(lower)
    for key, value in upper.items():
        below = found.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        found[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return found


def helm(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What helm said; that it ended well is the caller's to see."""
    return subprocess.run(
        [str(place.programs / "helm"), *arguments],
        check=False, capture_output=True, text=True, env=place.environment(), timeout=HELM_S,
    )  # fmt: skip


@contextmanager
def installing(*, kube: Kube, place: Place, image_tag: str, directory: Path) -> Iterator[Install]:
    """Installs into the namespace, with the cluster's own values beneath; uninstalls at the end.

    Args:
        image_tag: of the driver's image that the nodes have.
        directory: for the file of values.
    """

    def call(values: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
        file = directory / "values.json"
        own = yaml.safe_load(VALUES.read_text())
        without_classes = {key: own[key] for key in own if "torageClass" not in key}
        image = {"image": {"tag": image_tag}}
        below = merged(without_classes, merged(image, beside(kube.namespace)))
        file.write_text(json.dumps(merged(below, values)))
        return helm(place, "upgrade", "--install", NAME, str(CHART), "--values", str(file), *within)

    within = ("--namespace", kube.namespace)
    try:
        yield call
        take_back(kube)
    finally:
        helm(place, "uninstall", NAME, "--ignore-not-found", "--wait", "--timeout", "120s", *within)


def take_back(kube: Kube) -> None:
    """Delete the namespace's claims and the pods that use them while their driver still runs.

    Nobody else would detach and delete its volumes, nor end a pod that has one.
    """
    kube.run("delete", "pod,pvc", f"--selector={NOT_THE_RELEASE}", timeout_s=300)
    driver = driver_name(kube.namespace)

    def left() -> list[str]:
        return [
            one["metadata"]["name"]
            for one in kube.list("pv")
            if one["spec"].get("csi", {}).get("driver") == driver
        ]

    wait_for(lambda: not left(), what=f"no volume of {driver} is left", instead=left)
