"""What scenarios that were cut off have left in a cluster, and the next ones would meet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from e2e.cluster.shell import CommandFailed, Shell

OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
"""The taint that a scenario gives to a node that it has stopped."""

NOWHERE: Final = "e2e"
"""The label that no node has: a DaemonSet that selects it has no pod, and counts as ready."""

OF_SCENARIOS: Final = "e2e-"
"""What the names of their namespaces begin with, and those of measurements."""

FAULTS: Final = "/api/v1/namespaces/mockcloud/services/mockcloud:8090/proxy/_mock/faults"


def refuse(shell: Shell, kubectl: Path) -> None:
    """See that nothing of the kind is there; faults of the cloud, which nobody can see, are cleared.

    Raises:
        CommandFailed: something is; the message names it.
    """
    told = shell.run(
        kubectl, "get", "nodes,namespaces,daemonsets", "--all-namespaces", "--output=json"
    )
    if found := [what for one in json.loads(told)["items"] if (what := _left(one))]:
        raise CommandFailed(
            f"scenarios that were cut off have left in it: {', '.join(found)}. Put it right yourself,"
            " if you need what else is in it"
        )
    shell.holds(kubectl, "delete", "--raw", FAULTS)  # a cluster without the cloud has none


def _left(one: dict[str, Any]) -> str:
    name, spec = one["metadata"]["name"], one.get("spec", {})
    match one["kind"]:
        case "Namespace" if name.startswith(OF_SCENARIOS):
            return f"namespace {name}"
        case "Node" if spec.get("unschedulable"):
            return f"node {name}, cordoned"
        case "Node" if any(taint["key"] == OUT_OF_SERVICE for taint in spec.get("taints", ())):
            return f"node {name}, with the taint {OUT_OF_SERVICE}"
        case "DaemonSet" if NOWHERE in spec["template"]["spec"].get("nodeSelector", {}):
            return f"daemonset {name}, with the nodeSelector {NOWHERE}"
    return ""
