"""Helm's own checks, and what a wrong value is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.k8s.charts import REGION, ROOT, Helm, Refused

pytestmark = pytest.mark.k8s

VALUES = sorted(
    [*(ROOT / "k8s" / "values").iterdir(), *(Path(__file__).parent / "values").iterdir()]
)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_lint_passes_for_every_kind_of_cluster(helm: Helm, values: Path) -> None:
    """Helm's strict lint has nothing to say."""
    done = helm.run("lint", "--strict", str(helm.charts / "diskcsi"), f"--values={values}")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("chart", ["diskcsi", "mockcloud", "diskcsi-kind"])
def test_lint_passes_for_every_chart_by_default(helm: Helm, chart: str) -> None:
    """Helm's strict lint has nothing to say on the values that a chart comes with."""
    done = helm.run("lint", "--strict", str(helm.charts / chart))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("chart", "values", "told"),
    [
        ("diskcsi", {"replicas": 2}, "additional properties 'replicas' not allowed"),
        ("diskcsi", {"controller": {"replica": 2}}, "at '/controller': additional properties 'replica'"),
        ("diskcsi", {"sidecars": {"attacher": {"timeout": 9}}}, "at '/sidecars/attacher'"),
        ("diskcsi", {"node": {"kubeletDir": "kubelet"}}, "at '/node/kubeletDir'"),
        ("diskcsi", {"storageClasses": {"a": {"bindingMode": "x"}}}, "at '/storageClasses/a'"),
        ("diskcsi", {"provider": {"settings": {"call-timeout": 9}}}, "at '/provider/settings'"),
        ("mockcloud", {"agents": {}}, "additional properties 'agents' not allowed"),
        ("diskcsi-kind", {"driver": {}}, "additional properties 'driver' not allowed"),
        ("diskcsi-kind", {"diskcsi": {"nodes": {}}}, "additional properties 'nodes' not allowed"),
    ],
)  # fmt: skip
def test_an_unknown_or_malformed_value_is_refused_by_its_place(
    helm: Helm, chart: str, values: Mapping[str, Any], told: str
) -> None:
    """A typing error doesn't silently leave a default in place."""
    with pytest.raises(Refused, match=told):
        helm.render(chart, values=values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "provider.settings.region is required: --set provider.settings.region=cn-hangzhou"),
        ({"provider": {"name": "folder"}}, "driverName is required for provider folder"),
        (REGION | {"credentials": {"id": "key"}}, "credentials.secret is required"),
        (REGION | {"defaultStorageClass": "fast"}, "no class of this chart has that name: there are alicloud-disk-eff"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_the_way_out(
    helm: Helm, values: Mapping[str, Any], told: str
) -> None:
    """Before anything is installed one sentence tells what to do."""
    with pytest.raises(Refused, match=told):
        helm.render(values=values)
