"""What is shipped as files is taken by a real API server, and does what it says."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from find_promtool import PromtoolMissing, find_promtool

from e2e.cluster.modules import kubernetes_version
from e2e.cluster.place import ROOT, Place
from e2e.support.kube import Kube, is_ready
from e2e.support.machines import Machines, Zones
from e2e.support.orders import Orders
from e2e.support.release import CHART, helm
from e2e.support.waiting import wait_for

EXAMPLES = ROOT / "examples" / "kubernetes"
MANIFESTS = sorted([*(ROOT / "k8s" / "manifests").glob("*.yaml"), *EXAMPLES.glob("*.yaml")])
OVERLAYS = sorted((ROOT / "k8s" / "kustomize" / "overlays").iterdir())
STRICT = ("apply", "--dry-run=server", "--validate=strict", "--filename")
METRICS = (
    'exec 3<>/dev/tcp/127.0.0.1/11260; printf "GET /metrics HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'
)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_the_server_takes_every_manifest(cluster: Kube, path: Path) -> None:
    """Each field is known to it, and each object is valid."""
    assert "server dry run" in cluster.within("kube-system").run(*STRICT, str(path))


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.name)
def test_the_server_takes_every_overlay(cluster: Kube, path: Path) -> None:
    """What kustomize makes of the base is valid as well."""
    built = cluster.run("kustomize", str(path))
    assert "server dry run" in cluster.within("kube-system").run(*STRICT, "-", text=built)


@pytest.mark.parametrize("stock", ["false", "true"])
def test_the_server_takes_every_object_of_the_chart(
    cluster: Kube, place: Place, stock: str
) -> None:
    """With the driver's own registration, and with the stock helpers in its place."""
    done = helm(
        place, "template", "second", str(CHART), "--namespace=kube-system",
        "--set=provider.settings.region=cn-hangzhou", "--set=networkPolicy.enabled=true",
        "--set=metrics.enabled=true", f"--set=node.stockHelpers={stock}",
        f"--kube-version={kubernetes_version()}", "--api-versions=snapshot.storage.k8s.io/v1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = cluster.within("kube-system").run(*STRICT, "-", text=done.stdout)
    assert "daemonset.apps/second-diskcsi-node created (server dry run)" in told


def test_the_examples_run(kube: Kube, orders: Callable[[], Orders]) -> None:
    """All of them together, as the tutorial applies them, with the cluster's default class."""
    kube.run("apply", "--filename", str(EXAMPLES / "pvc.yaml"))
    kube.wait_running("example")
    wait_for(
        lambda: len(kube.sh("example", "cat /data/dates || true").splitlines()) > 1,
        what="the first date is on the disk",
    )
    kube.run("apply", "--filename", str(EXAMPLES))
    wait_for(
        lambda: len(pods := kube.list("pods")) == 5 and all(map(is_ready, pods)),
        what="all pods of the examples run",
        timeout_s=180,
    )
    wait_for(
        lambda: "hello" in kube.run("logs", "example-device"),
        what="the device's pod has read hello",
    )
    restored = wait_for(
        lambda: kube.run("logs", "example-restored").splitlines(), what="the restored pod has read"
    )[0]
    assert restored in kube.sh("example", "cat /data/dates").splitlines()
    assert len(orders().made()) == len(kube.list("pvc"))
    assert orders().attached() == frozenset(orders().made())


def test_the_release_passes_its_own_test(place: Place) -> None:
    """`helm test` asks the driver whether it is ready."""
    done = helm(place, "test", "diskcsi", "--namespace", "diskcsi")
    assert "Succeeded" in done.stdout, done.stdout + done.stderr


@pytest.fixture
def promtool() -> Path:
    """Prometheus' own checker; where there is apt, it is fetched."""
    try:
        return find_promtool()
    except PromtoolMissing as missing:
        pytest.skip(str(missing))


def test_prometheus_takes_the_numbers(
    driver: Kube, machines: Machines, zones: Zones, promtool: Path
) -> None:
    """Of a running controller and of a running node plug-in."""
    pods = driver.list("pods", selector="app.kubernetes.io/component=controller")
    path = f"/api/v1/namespaces/diskcsi/pods/{pods[0]['metadata']['name']}:11270/proxy/metrics"
    head, _, of_node = machines.run(zones.first, "bash", "-c", METRICS).partition("\n\n")
    assert " 200 OK" in head.splitlines()[0]
    for text, series in (
        (driver.run("get", "--raw", path), {"diskcsi_ready", "diskcsi_cloud_call_seconds"}),
        (of_node, {"diskcsi_registered"}),
    ):
        assert {*series, "csi_grpc_execution_count"} <= set(
            re.findall(r"(?m)^# TYPE (\w+?)(?:_total)? ", text)
        )
        done = subprocess.run(
            [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
