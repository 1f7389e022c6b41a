"""How the charts come into the cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.cluster.charts import Charts
from e2e.cluster.modules import Programs
from e2e.cluster.place import Place
from e2e.cluster.shell import Shell

HELM = """#!/bin/sh
echo "$1 $2" >> {told}
case "$*" in
"list --pending --namespace diskcsi "*) echo '{pending}';;
list*) echo '[]';;
esac
"""


def installed(tmp_path: Path, *, pending: list[dict[str, str]]) -> list[str]:
    """What helm was asked for, but lists, where the driver's release is in this state."""
    for name in ("helm", "kubectl"):
        program = tmp_path / name
        program.write_text(HELM.format(told=tmp_path / "told", pending=json.dumps(pending)))
        program.chmod(0o755)
    Charts(
        place=Place(cache=tmp_path, work=tmp_path, own_docker=False),
        shell=Shell(environment={"PATH": "/usr/bin:/bin"}, log=tmp_path / "log"),
        programs=Programs(directories=(tmp_path,)),
    ).install({"diskcsi": "one", "mockcloud": "two"})
    asked = (tmp_path / "told").read_text().splitlines()
    return [line for line in asked if not line.startswith("list")]


def test_both_charts_are_installed_or_upgraded(tmp_path: Path) -> None:
    """The mock first, which tells the driver's nodes who they are."""
    assert installed(tmp_path, pending=[]) == ["upgrade mockcloud", "upgrade diskcsi"]


@pytest.mark.parametrize(
    ("status", "back"),
    [
        ("pending-upgrade", "rollback"),
        ("pending-rollback", "rollback"),
        ("pending-install", "uninstall"),
    ],
)
def test_an_operation_that_was_cut_off_is_taken_back_first(
    tmp_path: Path, status: str, back: str
) -> None:
    """Helm would refuse the release for ever: another operation is in progress."""
    asked = installed(tmp_path, pending=[{"name": "diskcsi", "status": status}])
    assert asked == ["upgrade mockcloud", f"{back} diskcsi", "upgrade diskcsi"]
