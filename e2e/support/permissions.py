"""What service accounts may do, and what the API server's audit log shows that they did."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from e2e.support.kube import Kube, Object
from e2e.support.machines import Machines

AUDIT_LOG: Final = "/var/log/kubernetes/audit/audit.log"

POD_NAME: Final = "authentication.kubernetes.io/pod-name"
"""In an audit entry, who used a token that is bound to a pod."""

Permission = tuple[str, str, str]
"""API group, resource (with its subresource) and verb."""


def granted(kube: Kube, *, namespace: str) -> dict[str, frozenset[Permission]]:
    """By service account of a namespace, what its roles allow."""
    roles = {
        (kind, one["metadata"].get("namespace", ""), one["metadata"]["name"]): one["rules"] or []
        for kind, listed in (
            ("ClusterRole", kube.list("clusterrole")),
            ("Role", kube.within(namespace).list("role")),
        )
        for one in listed
    }
    found: dict[str, set[Permission]] = {}
    for binding in (
        *kube.list("clusterrolebinding"),
        *kube.within(namespace).list("rolebinding"),
    ):
        for subject in binding.get("subjects", []):
            if subject["kind"] == "ServiceAccount" and subject.get("namespace") == namespace:
                of = binding["roleRef"]
                scope = namespace if of["kind"] == "Role" else ""
                rules = roles.get((of["kind"], scope, of["name"]), [])
                found.setdefault(subject["name"], set()).update(_of_rules(rules))
    return {name: frozenset(permissions) for name, permissions in found.items()}


def _of_rules(rules: Iterable[Object]) -> Iterable[Permission]:
    for rule in rules:
        for group in rule.get("apiGroups", []):
            for resource in rule.get("resources", []):
                for verb in rule["verbs"]:
                    yield group, resource, verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What pods asked the API server for, by its audit log.

    Attributes:
        machines: of which `control_plane` has the log.
        namespace: of the pods.
        owners: what makes the pods that are meant: each is named after its owner.
    """

    machines: Machines
    control_plane: str
    namespace: str
    owners: Collection[str]

    def used(self) -> frozenset[Permission]:
        """What they asked for and were given."""
        return frozenset(_permission(entry) for entry in self._entries() if _allowed(entry))

    def refused(self) -> frozenset[Permission]:
        """What they asked for and were not allowed."""
        return frozenset(_permission(entry) for entry in self._entries() if not _allowed(entry))

    def _entries(self) -> Iterator[Object]:
        account = f"system:serviceaccount:{self.namespace}:"
        for line in self.machines.run(self.control_plane, "cat", AUDIT_LOG).splitlines():
            entry = json.loads(line)
            user = entry["user"]
            (pod,) = user.get("extra", {}).get(POD_NAME, [""])
            known = user["username"].startswith(account) and "objectRef" in entry
            if known and pod.rpartition("-")[0] in self.owners:
                yield entry


def owners_of(kube: Kube, *, deployment: str, daemon_set: str) -> frozenset[str]:
    """What makes the pods with the images that are served now; older ones are in the log as well.

    Args:
        kube: in the namespace of both.
    """
    images = _images(kube.get("deployment", deployment))
    alike = [one for one in kube.list("replicaset") if _images(one) == images]
    return frozenset(one["metadata"]["name"] for one in alike) | {daemon_set}


def _images(owner: Object) -> Sequence[str]:
    return [one["image"] for one in owner["spec"]["template"]["spec"]["containers"]]


def _allowed(entry: Object) -> bool:
    """By the decision, not by the answer: 403 also tells of a namespace that goes away."""
    return str(entry["annotations"].get("authorization.k8s.io/decision")) == "allow"


def _permission(entry: Object) -> Permission:
    about = entry["objectRef"]
    resource = "/".join(part for part in (about["resource"], about.get("subresource")) if part)
    return about.get("apiGroup", ""), resource, entry["verb"]
