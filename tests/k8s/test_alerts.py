"""Alerts and the board: they ask for numbers that there are, and each alert has its page."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from diskcsi.telemetry.metrics import Metrics
from tests.k8s.charts import CHARTS, REGION, ROOT, Helm

FILES = CHARTS / "diskcsi" / "files"
OF_OTHERS = {"up", "csi_sidecar_operations_seconds_count"}
"""Prometheus' own, and the sidecars'."""

OF_WIRING = {"diskcsi_flights_running", "diskcsi_node_changes_waiting", "diskcsi_registered"}
"""Gauges that a running process adds."""


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def asked_for(expression: str) -> set[str]:
    """Names of metrics: words before a brace."""
    return set(re.findall(r"([a-z_]+)\{", expression))


def board_expressions() -> Iterator[str]:
    for panel in json.loads((FILES / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def served() -> set[str]:
    """Every name that the driver's page of metrics can have."""
    metrics = Metrics()
    for name in OF_WIRING:
        metrics.gauge(name, "for the test", float)
    metrics.rpc_began("Probe")
    metrics.rpc_ended("Probe", code="OK", duration_s=0.1)
    metrics.cloud_called("DescribeDisks", code="OK", duration_s=0.1)
    return set(re.findall(r"^([a-z_]+)[{ ]", metrics.render().decode(), flags=re.MULTILINE))


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_numbers_that_there_are(alert: dict[str, Any]) -> None:
    """A name that nobody serves would never fire."""
    assert asked_for(alert["expr"]) <= served() | OF_OTHERS


def test_the_board_asks_for_numbers_that_there_are() -> None:
    """Every panel can show something."""
    asked = set().union(*map(asked_for, board_expressions()))
    assert asked <= served() | OF_OTHERS


def test_the_wiring_serves_the_gauges_that_are_asked_for() -> None:
    """They are named where the driver is put together."""
    wiring = (ROOT / "src" / "diskcsi" / "wiring.py").read_text()
    assert not [name for name in OF_WIRING if name not in wiring]


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_leads_to_what_to_do(alert: dict[str, Any]) -> None:
    """Its runbook is a heading of the page."""
    page = (ROOT / "docs" / "operations" / "alerts.md").read_text()
    headings = {one.lower() for one in re.findall(r"^## (\w+)$", page, flags=re.MULTILINE)}
    base, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert (base, anchor) == ("RUNBOOK", alert["alert"].lower())
    assert anchor in headings


@pytest.mark.k8s
def test_the_rules_are_of_the_release_and_taken_by_promtool(
    helm: Helm, promtool: Path, tmp_path: Path
) -> None:
    """Prometheus' own check reads what the chart renders; two releases don't alarm for each other."""
    metrics = {"enabled": True, "prometheusRule": {"enabled": True, "runbookUrl": "https://wiki"}}
    rendered = helm.render(values=REGION | {"metrics": metrics}, namespace="disks", release="a")
    spec = rendered.one("PrometheusRule")["spec"]
    text = yaml.safe_dump(spec)
    assert "RELEASE_" not in text
    assert "RUNBOOK" not in text
    assert 'job="a-diskcsi-controller-metrics"' in text.replace("\n", " ")
    (tmp_path / "rules.yaml").write_text(text)
    done = subprocess.run(
        [promtool, "check", "rules", str(tmp_path / "rules.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.k8s
def test_services_give_prometheus_the_jobs_that_the_alerts_name(helm: Helm) -> None:
    """A job is named after the Service that a monitor chose."""
    metrics = {"enabled": True, "serviceMonitor": {"enabled": True}}
    rendered = helm.render(values=REGION | {"metrics": metrics})
    services = {one["metadata"]["name"]: one for one in rendered.all("Service", "-metrics")}
    assert set(services) == {"diskcsi-controller-metrics", "diskcsi-node-metrics"}
    for monitor in rendered.all("ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        chosen = [
            name for name, one in services.items() if wanted <= one["metadata"]["labels"].items()
        ]
        ports = {one["name"] for name in chosen for one in services[name]["spec"]["ports"]}
        assert chosen == [f"{monitor['metadata']['name']}-metrics"]
        assert {one["port"] for one in monitor["spec"]["endpoints"]} <= ports
