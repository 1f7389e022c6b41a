"""After all the others: every permission that the driver has was used, and none was missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from e2e.cluster.place import NAMESPACE
from e2e.support.kube import Kube
from e2e.support.machines import Machines
from e2e.support.permissions import Audit, Permission, granted, owners_of

LISTED: Final = (
    ("", "nodes"),
    ("", "persistentvolumeclaims"),
    ("", "persistentvolumes"),
    ("snapshot.storage.k8s.io", "volumesnapshotclasses"),
    ("snapshot.storage.k8s.io", "volumesnapshotcontents"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
)
RARE: Final[Mapping[Permission, str]] = {
    **{
        (group, resource, "list"): "a server from 1.34 on streams it by a watch, an older one not"
        for group, resource in LISTED
    },
    ("coordination.k8s.io", "leases", "create"): "by the first pods: what they made outlives them",
}
"""Granted and seldom used, with the reason."""


@pytest.fixture
def audit(driver: Kube, machines: Machines, control_plane: str) -> Audit:
    """What the driver of this run asked for."""
    owners = owners_of(driver, deployment="diskcsi-controller", daemon_set="diskcsi-node")
    return Audit(machines=machines, control_plane=control_plane, namespace=NAMESPACE, owners=owners)


def test_no_permission_was_missing(audit: Audit) -> None:
    """The API server refused nothing that the driver asked for."""
    assert audit.refused() == frozenset()


def test_no_permission_is_unused(cluster: Kube, audit: Audit) -> None:
    """What no scenario needs is not granted, or is listed with its reason."""
    given = frozenset().union(*granted(cluster, namespace=NAMESPACE).values())
    unused = sorted(given - audit.used() - RARE.keys())
    assert not unused, f"not used since these images serve, which all scenarios tell: {unused}"


def test_nodes_may_do_nothing(cluster: Kube) -> None:
    """The node's service account has no permission at all."""
    assert granted(cluster, namespace=NAMESPACE).get("diskcsi-node", frozenset()) == frozenset()
