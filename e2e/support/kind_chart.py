"""The chart with driver and cloud in one, beside the driver and the cloud that the cluster has."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from e2e.cluster.charts import CHARTS
from e2e.cluster.place import Place
from e2e.support.kube import Kube
from e2e.support.release import driver_name, helm, node_port

CHART: Final = "diskcsi-kind"
NAME: Final = "diskcsi"
"""Of the release."""

CLASS: Final = "mockcloud-disk"
"""The class that the chart makes."""

METADATA_ADDRESS: Final = "127.100.100.200"
"""The other cloud's agents have the address that machines of the real cloud have."""

READY_S: Final = 150


def class_of(namespace: str) -> str:
    """The name of the release's StorageClass."""
    return f"{namespace}-disk"


def device_root(namespace: str) -> str:
    """The directory of a node in which the release's disks appear."""
    return f"/dev/{namespace}"


def file_root(namespace: str) -> str:
    """The directory of the server's node with the disks' files."""
    return f"/var/lib/{namespace}"


def values(namespace: str, *, tags: Mapping[str, str]) -> dict[str, Any]:
    """What must differ where there are a driver and a cloud already; all else is the chart's own.

    A cloud's agent takes every disk of its node's `/dev` for its own, so each has a directory.

    Args:
        tags: of the images, by name.
    """
    devices = [f"--device-root={device_root(namespace)}"]
    driver = {
        "image": {"tag": tags["diskcsi"]},
        "driverName": driver_name(namespace),
        "provider": {"settings": {"metadata_url": f"http://{METADATA_ADDRESS}"}},
        "node": {"httpPort": node_port(namespace), "args": devices},
        "defaultClasses": False,
    }
    cloud = {
        "image": {"tag": tags["mockcloud"]},
        "server": {"hostPath": file_root(namespace)},
        "agent": {"metadataAddress": METADATA_ADDRESS, "args": devices},
    }
    return {"diskcsi": driver, "mockcloud": cloud}


@dataclass(frozen=True, slots=True, kw_only=True)
class KindChart:
    """The release in one namespace.

    Attributes:
        chart: a copy that has its parts.
        file: of the values.
    """

    kube: Kube
    place: Place
    chart: Path
    file: Path

    @classmethod
    def built(cls, *, kube: Kube, place: Place, tags: Mapping[str, str], directory: Path) -> Self:
        """The chart with its parts packed, as whoever has the repository does it, and its values.

        Args:
            tags: of the images that the nodes have, by name.
            directory: for both.
        """
        charts, file = directory / "chart", directory / "values.json"
        shutil.copytree(CHARTS, charts, ignore=shutil.ignore_patterns("*.tgz", "Chart.lock"))
        # the cluster has a class of this name, and helm takes none out of what a part is told
        own = charts / CHART / "values.yaml"
        own.write_text(own.read_text().replace(CLASS, class_of(kube.namespace)))
        file.write_text(json.dumps(values(kube.namespace, tags=tags)))
        made = cls(kube=kube, place=place, chart=charts / CHART, file=file)
        made._helm("dependency", "build", str(made.chart))
        return made

    def install(self) -> None:
        """Install, or upgrade over itself with the same values, and wait until all is ready."""
        self._helm(
            "upgrade", "--install", NAME, str(self.chart), "--values", str(self.file),
            "--wait", "--timeout", f"{READY_S}s",
        )  # fmt: skip

    def uninstall(self) -> None:
        """Take all of it away, and wait until its pods are gone as well; none is fine."""
        self._helm(
            "uninstall", NAME, "--ignore-not-found", "--cascade=foreground",
            "--wait", "--timeout", f"{READY_S}s",
        )  # fmt: skip

    def _helm(self, *arguments: str) -> None:
        done = helm(self.place, *arguments, "--namespace", self.kube.namespace)
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr.strip()}"
