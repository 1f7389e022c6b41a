"""Flags and switches of disk drivers before this one: accepted, without effect, and never silently.

Manifests that were written for them start this driver as they are. For each word that has no
meaning here one line of the log says what is done in its place, or what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

IN_CLUSTER: Final = (
    "Kubernetes is asked by the pod's own service account, and only with --node-labels; remove it"
)
FEW_QUESTIONS: Final = "Kubernetes is asked for one Node at most; remove it"

FLAGS: Final[Mapping[str, str]] = {
    "run-labeler": "there is no labeler: a node counts its volumes itself; remove it",
    "use-labeler": "there is no labeler: set --max-volumes-per-node where a limit must be told",
    "feature-gates": "there are no gates: what is served is on; see --help for what can be set",
    "kubeconfig": IN_CLUSTER,
    "master-url": IN_CLUSTER,
    "kube-api-qps": FEW_QUESTIONS,
    "kube-api-burst": FEW_QUESTIONS,
}
"""By name, what is told of it."""

SWITCHES: Final = frozenset({"run-labeler", "use-labeler"})
"""Those of the flags that may stand alone."""

OFF_WORDS: Final = frozenset({"", "0", "false", "no", "off"})

VARIABLES: Final[Mapping[str, str]] = {
    "DISK_FORCE_DETACHED": "no disk is taken from a node that holds it",
    "DISK_DETACH_BEFORE_DELETE": "a disk that a node holds is not deleted",
    "DISK_AD_CONTROLLER": "the controller always attaches and detaches",
    "WAIT_BEFORE_ATTACH": "nothing waits before an attach",
    "DISK_DETACH_DISABLE": "a volume that is no longer used is always detached",
    "VOLUME_DEL_AUTO_SNAP": "no snapshot is taken before a delete: use a VolumeSnapshot",
    "PPROF_PORT": "there is no profiler; /metrics is on --http-port",
}
"""By name, what is told of it where it is switched on; off they say what is so anyway."""


def told(flags: Mapping[str, object], environment: Mapping[str, str]) -> tuple[str, ...]:
    """One sentence for each word that has no effect; `flags` are by name, those not given None."""
    by_flag = [
        f"--{name} has no effect: {advice}"
        for name, advice in FLAGS.items()
        if flags.get(name.replace("-", "_")) is not None
    ]
    by_variable = [
        f"{name} has no effect: {advice}"
        for name, advice in VARIABLES.items()
        if environment.get(name, "").strip().lower() not in OFF_WORDS
    ]
    return (*by_flag, *by_variable)
