"""Helm, and the charts in a place where the one for kind has its parts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from find_promtool import PromtoolMissing, find_promtool

from tests.k8s.charts import CHARTS, REGION, Helm, Rendered, tool


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm, with a copy of the charts in which the parts of the one for kind are in place."""
    command = tool("helm")
    charts = tmp_path_factory.mktemp("charts") / "chart"
    shutil.copytree(CHARTS, charts, ignore=shutil.ignore_patterns("*.tgz", "Chart.lock"))
    built = Helm(command=command, charts=charts)
    done = built.run("dependency", "build", str(charts / "diskcsi-kind"))
    assert done.returncode == 0, done.stderr
    return built


@pytest.fixture(scope="session")
def plain(helm: Helm) -> Rendered:
    """The driver's chart with the one value that it needs."""
    return helm.render(values=REGION)


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Prometheus' own checker; where there is apt, it is fetched."""
    try:
        return find_promtool()
    except PromtoolMissing as missing:
        pytest.skip(str(missing))
