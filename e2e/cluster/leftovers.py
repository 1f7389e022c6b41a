"""What scenarios that were cut off have left in a cluster, and the next ones would meet."""

from __future__ import annotations

import json
from collections.abc import Iterator
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
        CommandFailed: there is none that answers, or scenarios have left something in it.
    """
    shell = Shell(environment=place.environment(), log=place.log)
    kubectl = place.programs / "kubectl"
    if not place.kubeconfig.exists() or not shell.holds(kubectl, "get", "--raw", "/readyz"):
        raise CommandFailed("there is no cluster that answers: `make e2e-up` makes or starts it")
    refuse(shell, place)


def refuse(shell: Shell, place: Place) -> None:
    """See that nothing of the kind is there; faults of the cloud, which nobody can see, are cleared.

    Raises:
        CommandFailed: something is; the message names it, and the command that puts it right.
    """
    kubectl = place.programs / "kubectl"
    told = shell.run(
        kubectl, "get", "nodes,namespaces,daemonsets", "--all-namespaces", "--output=json"
    )
    if found := [what for one in json.loads(told)["items"] for what in _left(one)]:
        raise CommandFailed(
            "scenarios that were cut off have left something in it; if you need what else is in it, put"
            f" it right yourself:\n{place.exports}\n" + "\n".join(found)
        )
    shell.holds(kubectl, "delete", "--raw", FAULTS)  # a cluster without the cloud has none


def _left(one: dict[str, Any]) -> Iterator[str]:
    """The commands that put right what is left of it, each with what that is."""
    name, spec = one["metadata"]["name"], one.get("spec", {})
    if one["kind"] == "Namespace" and name.startswith(OF_SCENARIOS):
        yield f"kubectl delete namespace {name}    # a scenario's"
    if one["kind"] == "Node" and spec.get("unschedulable"):
        yield f"kubectl uncordon {name}    # it is cordoned"
    if any(taint["key"] == OUT_OF_SERVICE for taint in spec.get("taints", ())):
        yield f"kubectl taint node {name} {OUT_OF_SERVICE}-    # it has the taint"
    if one["kind"] == "DaemonSet" and NOWHERE in spec["template"]["spec"].get("nodeSelector", {}):
        yield (
            f"kubectl -n {one['metadata']['namespace']} patch daemonset {name} --type=json -p"
            f""" '[{{"op": "remove", "path": "/spec/template/spec/nodeSelector/{NOWHERE}"}}]'"""
            "    # it is for no node"
        )
