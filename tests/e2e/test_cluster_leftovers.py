"""What scenarios that were cut off have left, seen before the next ones begin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.leftovers import FAULTS, OUT_OF_SERVICE, refuse
from e2e.cluster.place import Place
from e2e.cluster.shell import CommandFailed, Shell

KUBECTL = """#!/bin/sh
echo "$@" >> {directory}/told
case "$1" in
get) cat {directory}/objects;;
delete) exit {cleared};;
esac
"""


def one(kind: str, name: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 - Kubernetes' own fields
    return {"kind": kind, "metadata": {"name": name}, "spec": spec}


def daemon_set(name: str, **selector: str) -> dict[str, Any]:
    made = one("DaemonSet", name, template={"spec": {"nodeSelector": selector}})
    made["metadata"]["namespace"] = "diskcsi"
    return made


WHOLE = [
    one("Node", "worker"),
    one("Node", "control-plane", taints=[{"key": "node-role.kubernetes.io/control-plane"}]),
    {"kind": "Namespace", "metadata": {"name": "default"}},
    daemon_set("diskcsi-node", **{"kubernetes.io/os": "linux"}),
    one("DaemonSet", "kube-proxy", template={"spec": {}}),
]
"""A cluster in which scenarios may begin."""


def look(tmp_path: Path, *objects: dict[str, Any], cleared: int = 0) -> str:
    """Every command that a look at a cluster with these objects gives."""
    place = Place(cache=tmp_path, work=tmp_path, own_docker=False)
    place.programs.mkdir(exist_ok=True)
    kubectl = place.programs / "kubectl"
    kubectl.write_text(KUBECTL.format(directory=tmp_path, cleared=cleared))
    kubectl.chmod(0o755)
    (tmp_path / "objects").write_text(json.dumps({"items": [*WHOLE, *objects]}))
    refuse(Shell(environment={"PATH": "/usr/bin:/bin"}, log=tmp_path / "log"), place)
    return (tmp_path / "told").read_text()


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (
            one("Node", "worker2", unschedulable=True),
            "kubectl uncordon worker2 ",
        ),
        (
            one("Node", "worker2", taints=[{"key": OUT_OF_SERVICE}]),
            f"kubectl taint node worker2 {OUT_OF_SERVICE}- ",
        ),
        (one("Namespace", "e2e-a-node-is-lost"), "kubectl delete namespace e2e-a-node-is-lost "),
        (
            daemon_set("diskcsi-node", e2e="nowhere"),
            "kubectl -n diskcsi patch daemonset diskcsi-node .*/nodeSelector/e2e",
        ),
    ],
    ids=["cordon", "taint", "namespace", "selector"],
)
def test_what_a_scenario_has_left_is_named(tmp_path: Path, left: dict[str, Any], told: str) -> None:
    """It may be somebody's who looks into a failure: nothing is taken away unasked.

    The commands that do it are for this cluster, whichever one the person's own shell means.
    """
    kubeconfig = f"export KUBECONFIG={tmp_path}/kubeconfig PATH={tmp_path}/bin:.PATH"
    with pytest.raises(CommandFailed, match=f"(?s){kubeconfig}\n.*{told}"):
        look(tmp_path, left)


def test_all_that_was_left_of_a_node_is_named_at_once(tmp_path: Path) -> None:
    """Nobody has to ask again after each command."""
    left = one("Node", "worker2", unschedulable=True, taints=[{"key": OUT_OF_SERVICE}])
    with pytest.raises(CommandFailed, match=r"(?s)uncordon worker2 .*taint node worker2 "):
        look(tmp_path, left)


@pytest.mark.parametrize("cleared", [0, 1], ids=["the-cloud", "no-cloud"])
def test_faults_end_where_nothing_else_is_left(tmp_path: Path, cleared: int) -> None:
    """A cluster whose making was cut off has no cloud yet, and no fault."""
    assert look(tmp_path, cleared=cleared).splitlines()[1:] == [f"delete --raw {FAULTS}"]
