"""What service accounts may do, and what the API server's audit log shows that they did."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from e2e.support.kube import Kube, Object
from e2e.support.machines import Machines

AUDIT_LOG: Final = "/var/log/kubernetes/audit/audit.log"

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
                found.setdefault(subject["name"], set()).update(_allowed(rules))
    return {name: frozenset(permissions) for name, permissions in found.items()}


def _allowed(rules: Iterable[Object]) -> Iterable[Permission]:
    for rule in rules:
        for group in rule.get("apiGroups", []):
            for resource in rule.get("resources", []):
                for verb in rule["verbs"]:
                    yield group, resource, verb


def used(machines: Machines, *, control_plane: str, namespace: str) -> frozenset[Permission]:
    """What a namespace's service accounts asked for and were given."""
    return frozenset(
        _permission(entry)
        for entry in _entries(machines, control_plane, namespace)
        if _allowed_by_roles(entry)
    )


def refused(machines: Machines, *, control_plane: str, namespace: str) -> frozenset[Permission]:
    """What they asked for and were not allowed."""
    return frozenset(
        _permission(entry)
        for entry in _entries(machines, control_plane, namespace)
        if not _allowed_by_roles(entry)
    )


def _allowed_by_roles(entry: Object) -> bool:
    """By the decision, not by the answer: 403 also tells of a namespace that goes away."""
    return str(entry["annotations"].get("authorization.k8s.io/decision")) == "allow"


def _entries(machines: Machines, control_plane: str, namespace: str) -> Iterable[Object]:
    account = f"system:serviceaccount:{namespace}:"
    for line in machines.run(control_plane, "cat", AUDIT_LOG).splitlines():
        entry = json.loads(line)
        if entry["user"]["username"].startswith(account) and "objectRef" in entry:
            yield entry


def _permission(entry: Object) -> Permission:
    about = entry["objectRef"]
    resource = "/".join(part for part in (about["resource"], about.get("subresource")) if part)
    return about.get("apiGroup", ""), resource, entry["verb"]
