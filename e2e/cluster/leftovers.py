"""What scenarios that were cut off have left in a cluster, and the next ones would meet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from e2e.cluster.place import Place
from e2e.cluster.shell import CommandFailed, Shell

OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
"""The taint that a scenario gives to a node that it has stopped."""

NOWHERE: Final = "e2e"
"""The label that no node has: a DaemonSet that selects it has no pod, and counts as ready."""

OF_SCENARIOS: Final = "e2e-"
"""What the names of their namespaces begin with, and those of measurements."""

FAULTS: Final = "/api/v1/namespaces/mockcloud/services/mockcloud:8090/proxy/_mock/faults"


def refuse_unusable(place: Place) -> None:
    """See that there is a cluster in which something can be measured.

    Raises:
        CommandFailed: there is none, or scenarios have left something in it.
    """
    if not place.kubeconfig.exists():
        raise CommandFailed("there is no cluster: run `make e2e-up` first")
    shell = Shell(environment=place.environment(), log=place.log)
    refuse(shell, place.programs / "kubectl")


def refuse(shell: Shell, kubectl: Path) -> None:
    """See that nothing of the kind is there; faults of the cloud, which nobody can see, are cleared.

    Raises:
        CommandFailed: something is; the message names it, and the command that puts it right.
    """
    told = shell.run(
        kubectl, "get", "nodes,namespaces,daemonsets", "--all-namespaces", "--output=json"
    )
    if found := [what for one in json.loads(told)["items"] if (what := _left(one))]:
        raise CommandFailed(
            "scenarios that were cut off have left something in it; if you need what else is in it, put"
            " it right yourself:\n" + "\n".join(found)
        )
    shell.holds(kubectl, "delete", "--raw", FAULTS)  # a cluster without the cloud has none


def _left(one: dict[str, Any]) -> str:
    """What is left of it, and the command that puts it right; empty: nothing."""
    name, spec = one["metadata"]["name"], one.get("spec", {})
    match one["kind"]:
        case "Namespace" if name.startswith(OF_SCENARIOS):
            return f"namespace {name}: kubectl delete namespace {name}"
        case "Node" if spec.get("unschedulable"):
            return f"node {name}, cordoned: kubectl uncordon {name}"
        case "Node" if any(taint["key"] == OUT_OF_SERVICE for taint in spec.get("taints", ())):
            return (
                f"node {name}, with the taint {OUT_OF_SERVICE}:"
                f" kubectl taint node {name} {OUT_OF_SERVICE}-"
            )
        case "DaemonSet" if NOWHERE in spec["template"]["spec"].get("nodeSelector", {}):
            return (
                f"daemonset {name}, with the nodeSelector {NOWHERE}:"
                f" kubectl -n {one['metadata']['namespace']} patch daemonset {name} --type=json -p"
                f""" '[{{"op": "remove", "path": "/spec/template/spec/nodeSelector/{NOWHERE}"}}]'"""
            )
    return ""
