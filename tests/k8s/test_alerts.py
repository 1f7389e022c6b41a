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

from diskcsi.model.errors import DiskError, Throttled, Unreachable
from diskcsi.providers.alibaba.codes import BY_CODE
from diskcsi.providers.alibaba.errors import asks_for_other_credentials, is_broken
from diskcsi.telemetry.metrics import Metrics
from tests.k8s.charts import CHARTS, REGION, ROOT, Helm

FILES = CHARTS / "diskcsi" / "files"
OF_OTHERS = {"up", "csi_sidecar_operations_seconds_count"}
"""Prometheus' own, and the sidecars'."""

OF_WIRING = {
    "diskcsi_flights_running", "diskcsi_node_changes_waiting", "diskcsi_ready",
    "diskcsi_registered",
}  # fmt: skip
"""Gauges that a running process adds."""

KEY_REFUSED, CLOUD_UNREACHABLE = "DiskcsiKeyRefused", "DiskcsiCloudUnreachable"


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def asked_for(expression: str) -> set[str]:
    """Names of metrics: words before a brace."""
    return set(re.findall(r"([a-z_]+)\{", expression))


def codes_of(name: str) -> re.Pattern[str]:
    """What the cloud's codes look like that this alert counts."""
    (expression,) = [one["expr"] for one in alerts() if one["alert"] == name]
    return re.compile(re.findall(r'code=~"([^"]+)"', expression)[0])


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


@pytest.mark.parametrize(
    ("kind", "names"),
    [(Unreachable, (KEY_REFUSED, CLOUD_UNREACHABLE)), (Throttled, ("DiskcsiThrottled",))],
)
def test_every_code_of_a_class_is_of_one_of_its_alerts(
    kind: type[DiskError], names: tuple[str, ...]
) -> None:
    """The driver's own table is the measure: a code that is added there is in an alert as well."""
    counted = [codes_of(name) for name in names]
    times = {code: sum(one.fullmatch(code) is not None for one in counted) for code in BY_CODE}
    assert times == {code: int(its is kind) for code, its in BY_CODE.items()}


def test_what_another_key_may_mend_is_no_failure_of_the_cloud() -> None:
    """The two alerts send people different ways, as the driver itself goes."""
    key, cloud = codes_of(KEY_REFUSED), codes_of(CLOUD_UNREACHABLE)
    for code in [code for code, its in BY_CODE.items() if its is Unreachable]:
        error = Unreachable("no", code=code)
        assert not (asks_for_other_credentials(error) and cloud.fullmatch(code)), code
        assert not (is_broken(error) and key.fullmatch(code)), code


@pytest.fixture
def rules(helm: Helm, tmp_path: Path) -> Path:
    """The file of rules of release `a` in namespace `disks`."""
    metrics = {"enabled": True, "prometheusRule": {"enabled": True, "runbookUrl": "https://wiki"}}
    rendered = helm.render(values=REGION | {"metrics": metrics}, namespace="disks", release="a")
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rendered.one("PrometheusRule")["spec"]))
    return file


@pytest.mark.k8s
def test_the_rules_are_of_the_release_and_taken_by_promtool(rules: Path, promtool: Path) -> None:
    """Prometheus' own check reads what the chart renders."""
    text = rules.read_text()
    assert "RELEASE_" not in text
    assert "RUNBOOK" not in text
    assert 'job="a-diskcsi-controller-metrics"' in text.replace("\n", " ")
    done = subprocess.run(
        [promtool, "check", "rules", rules], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


CONTROLLER, NODE = "a-diskcsi-controller-metrics", "a-diskcsi-node-metrics"
OF_ANOTHER = "b-diskcsi-controller-metrics"


def series(job: str, name: str, values: str, **labels: str) -> dict[str, str]:
    """One of Prometheus' series, a value a minute."""
    told = {"namespace": "disks", "job": job, **labels}
    inside = ", ".join(f'{label}="{value}"' for label, value in told.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


def ended(job: str, code: str, values: str, *, method: str = "CreateVolume") -> dict[str, str]:
    """CSI calls that ended so."""
    name = "csi_grpc_execution_count_total"
    return series(job, name, values, method=method, code=code)


def unknown(method: str) -> dict[str, str]:
    """One call that hangs, as a sidecar repeats it: two in five minutes, with the pauses between."""
    values = " ".join(str(2 * minute // 5) for minute in range(60))
    return ended(CONTROLLER, "DeadlineExceeded", values, method=method)


def answered(code: str, values: str = "0+12x60") -> dict[str, str]:
    """Calls that the cloud answered so; what asks for readiness makes twelve a minute."""
    name = "diskcsi_cloud_call_seconds_count"
    return series(CONTROLLER, name, values, action="DescribeDisks", code=code)


def ready(values: str, *, job: str = CONTROLLER, pod: str = "one") -> dict[str, str]:
    """Whether a pod's last look was well."""
    return series(job, "diskcsi_ready", values, pod=pod)


@pytest.mark.k8s
@pytest.mark.parametrize(
    ("alert", "told", "fires"),
    [
        ("DiskcsiBug", [ended(CONTROLLER, "Internal", "_x20 1x60")], True),
        ("DiskcsiBug", [ended(NODE, "Unknown", "3x20 4x60")], True),
        ("DiskcsiBug", [ended(NODE, "Unknown", "3x60")], False),
        ("DiskcsiBug", [ended(OF_ANOTHER, "Internal", "_x20 1x60")], False),
        ("DiskcsiExhausted", [ended(CONTROLLER, "ResourceExhausted", "0+1x60")], True),
        ("DiskcsiExhausted", [ended(OF_ANOTHER, "ResourceExhausted", "0+1x60")], False),
        ("DiskcsiOutcomesUnknown", [unknown("CreateVolume")], True),
        ("DiskcsiOutcomesUnknown", [unknown("ControllerUnpublishVolume")], False),
        ("DiskcsiDetachHangs", [unknown("ControllerUnpublishVolume")], True),
        ("DiskcsiDetachHangs", [unknown("ControllerPublishVolume")], False),
        ("DiskcsiKeyRefused", [answered("Forbidden.AccessKeyDisabled")], True),
        ("DiskcsiKeyRefused", [answered("InvalidTimeStamp.Expired")], True),
        ("DiskcsiKeyRefused", [answered("Forbidden.RAM")], False),
        ("DiskcsiCloudUnreachable", [answered("ServiceUnavailable.RegionMaintaining")], True),
        ("DiskcsiControllerNotReady", [ready("0x60")], True),
        ("DiskcsiControllerNotReady", [ready("1x10 0x60")], True),
        ("DiskcsiControllerNotReady", [ready("1x20 0x60")], False),
        ("DiskcsiControllerNotReady", [ready("0x60"), ready("1x60", pod="two")], False),
        ("DiskcsiControllerNotReady", [ready("0x60", job=OF_ANOTHER)], False),
    ],
    ids=[
        "first", "further", "long-ago", "of-another", "exhausted", "exhausted-of-another",
        "unknown", "unknown-detach", "hanging-detach", "hanging-attach",
        "key-disabled", "clock", "permission-is-no-key", "maintenance",
        "no-secret", "not-any-more", "just-now",
        "one-of-two", "not-ready-of-another",
    ],
)  # fmt: skip
def test_an_alert_fires_for_its_own_release_alone(
    rules: Path, promtool: Path, alert: str, told: list[dict[str, str]], fires: bool
) -> None:
    """By Prometheus' own evaluation, 25 minutes on; the first failure of its kind counts as well."""
    count = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
    expected = [{"labels": "{}", "value": 1}] if fires else []
    case = {
        "interval": "1m",
        "input_series": told,
        "promql_expr_test": [{"expr": count, "eval_time": "25m", "exp_samples": expected}],
    }
    file = rules.with_name("case.yaml")
    file.write_text(yaml.safe_dump({"rule_files": [rules.name], "tests": [case]}))
    done = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, check=False
    )
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
