"""What is permitted: by component, and by the features that are on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.k8s.charts import REGION, Helm, Manifest, Rendered

pytestmark = pytest.mark.k8s

Grant = tuple[str, str]


def grants(roles: list[Manifest]) -> Iterator[Grant]:
    """Resource and verb of each thing that is permitted."""
    for role in roles:
        for rule in role["rules"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield resource, verb


def test_nothing_is_permitted_that_no_sidecar_calls(plain: Rendered) -> None:
    """Cluster-wide only volumes and events are made, and only volumes deleted; no Secret, no pod."""
    found = set(grants(plain.all("ClusterRole")))
    assert {one for one in found if one[1] in {"create", "delete"}} == {
        ("persistentvolumes", "create"), ("persistentvolumes", "delete"), ("events", "create"),
    }  # fmt: skip
    assert not {"secrets", "pods", "*"} & {resource for resource, _ in found}
    assert not [one for one in found if one[1] == "*"]


def test_leases_are_permitted_in_the_own_namespace_alone(plain: Rendered) -> None:
    """The election needs a Role, and no more than three verbs."""
    role = plain.one("Role")
    assert role["metadata"]["namespace"] == "kube-system"
    assert set(grants([role])) == {("leases", "get"), ("leases", "create"), ("leases", "update")}


def test_no_lease_of_others_is_permitted(helm: Helm) -> None:
    """The control plane has its own in the same namespace; each sidecar names one by the driver."""
    role = helm.render(values={**REGION, "driverName": "disk.example-1.com"}).one("Role")
    (by_name,) = [rule for rule in role["rules"] if rule["verbs"] != ["create"]]
    assert by_name["resourceNames"] == [
        "disk-example-1-com", "external-attacher-leader-disk-example-1-com",
        "external-resizer-disk-example-1-com", "external-snapshotter-leader-disk-example-1-com",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "gone", "lease"),
    [
        ({"snapshots": {"enabled": False}}, "snapshot", "external-snapshotter-leader"),
        (
            {"sidecars": {"resizer": {"enabled": False}}},
            "persistentvolumeclaims/status",
            "external-resizer",
        ),
    ],
)
def test_a_feature_that_is_off_has_no_permission(
    helm: Helm, plain: Rendered, *, values: dict[str, object], gone: str, lease: str
) -> None:
    """Rules come and go with the sidecar that needs them."""
    off = helm.render(values=REGION | values)
    assert lease in str(plain.one("Role"))
    assert lease not in str(off.one("Role"))
    assert [one for one in grants(plain.all("ClusterRole")) if gone in one[0]]
    assert not [one for one in grants(off.all("ClusterRole")) if gone in one[0]]


def test_nodes_may_do_nothing_unless_they_read_labels(helm: Helm, plain: Rendered) -> None:
    """And then they may get Node objects."""
    reading = helm.render(values=REGION | {"node": {"nodeLabels": True}})
    bound = [
        one
        for one in plain.all("ClusterRoleBinding")
        if one["subjects"][0]["name"] == "diskcsi-node"
    ]
    assert not bound
    assert set(grants(reading.all("ClusterRole", "-node"))) == {("nodes", "get")}


def test_every_binding_is_of_a_role_that_is_there_and_an_account_that_is_used(
    plain: Rendered,
) -> None:
    """A typing error in a name would permit nothing."""
    roles = {one["metadata"]["name"] for one in plain.all("ClusterRole")}
    accounts = {
        spec["serviceAccountName"] for _, spec in plain.pods() if "serviceAccountName" in spec
    }
    bindings = plain.all("ClusterRoleBinding")
    assert {one["roleRef"]["name"] for one in bindings} == roles
    assert {one["subjects"][0]["name"] for one in bindings} <= accounts


def test_the_mocks_agent_may_read_nodes_only(helm: Helm) -> None:
    """Its zone stands in the labels of its Node."""
    rendered = helm.render("mockcloud", release="mockcloud")
    assert set(grants(rendered.all("ClusterRole"))) == {("nodes", "get")}
