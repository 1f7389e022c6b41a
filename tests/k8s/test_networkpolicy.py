"""The controller's NetworkPolicy: what it needs is let out, and nothing else in or out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.k8s.charts import REGION, Helm, Manifest, Refused

pytestmark = pytest.mark.k8s

ON: Manifest = {"networkPolicy": {"enabled": True}}
PROXY = "http://proxy:3128"
MORE = {"to": [{"ipBlock": {"cidr": "10.0.0.9/32"}}], "ports": [{"port": 6443}]}


def policy(helm: Helm, values: Manifest, settings: Manifest) -> Manifest:
    """What the policy says of the controller's pods."""
    own = {"provider": {"settings": REGION["provider"]["settings"] | settings}}
    spec: Manifest = helm.render(values=own | ON | values).one("NetworkPolicy")["spec"]
    return spec


def ports(rule: Manifest) -> set[Any]:
    """The ports of a rule; one without would let everything through."""
    return {one["port"] for one in rule["ports"]}


def ways_out(spec: Manifest) -> set[int]:
    """The ports to which any address may be called, name servers aside."""
    dns, *others = spec["egress"]
    assert ports(dns) == {53}
    assert {one["protocol"] for one in dns["ports"]} == {"UDP", "TCP"}
    (rule,) = others
    assert {one["protocol"] for one in rule["ports"]} == {"TCP"}
    return ports(rule)


@pytest.mark.parametrize(
    ("values", "settings", "more"),
    [
        ({}, {}, set()),
        ({}, {"network_type": "public"}, set()),
        ({}, {"ecs_scheme": "http"}, {80}),
        ({}, {"ecs_endpoint": "cloud:8090", "ecs_scheme": "http"}, {8090}),
        ({}, {"ecs_endpoint": "[fd00::1]"}, set()),
        ({"proxy": PROXY}, {}, {3128}),
        ({"proxy": "http://proxy/"}, {}, {80}),
        ({}, {"proxy": f"{PROXY}/"}, {3128}),
        ({"controller": {"env": [{"name": "DISKCSI_PROXY", "value": PROXY}]}}, {}, {3128}),
        ({"controller": {"env": [{"name": "ECS_ENDPOINT", "value": "cloud:8443"}]}}, {}, {8443}),
        ({"proxy": PROXY}, {"ecs_endpoint": "cloud:8090"}, {3128}),
    ],
)
def test_the_cloud_or_the_proxy_before_it_can_be_called(
    helm: Helm, values: Manifest, settings: Manifest, more: set[int]
) -> None:
    """Its port is let out wherever it is told, beside those of the API server and of https."""
    assert ways_out(policy(helm, values, settings)) == {443, 6443} | more


def test_another_providers_proxy_can_be_called_and_no_endpoint_of_this_one_is_looked_for(
    helm: Helm,
) -> None:
    """The rest of what it calls stands in egressPorts."""
    values = ON | {
        "provider": {"name": "folder", "settings": {"proxy": PROXY, "ecs_endpoint": "cloud:8090"}},
        "driverName": "folder.example.org",
    }
    assert ways_out(helm.render(values=values).one("NetworkPolicy")["spec"]) == {443, 6443, 3128}


def test_with_rules_of_ones_own_no_address_is_open_to_all_calls(helm: Helm) -> None:
    """Without ports, name servers and those rules are all: an empty list of ports would mean any."""
    own = {"networkPolicy": {"enabled": True, "egressPorts": [], "extraEgress": [MORE]}}
    dns, *others = policy(helm, own | {"proxy": PROXY}, {})["egress"]
    assert ports(dns) == {53}
    assert others == [MORE]


@pytest.mark.parametrize(
    ("values", "sources"),
    [
        ({"metrics": {"enabled": True}}, [None]),
        ({"networkPolicy": {"enabled": True, "metricsFrom": [{"podSelector": {}}]}}, [[{"podSelector": {}}]]),
        ({}, []),
    ],
    ids=["metrics", "from", "neither"],
)  # fmt: skip
def test_metrics_are_read_where_they_are_wanted(
    helm: Helm, values: Manifest, sources: list[Any]
) -> None:
    """Where nobody is to read them, nobody gets in."""
    rules = policy(helm, {"test": {"enabled": False}} | values, {}).get("ingress", [])
    assert [one.get("from") for one in rules] == sources
    assert all(
        ports(one) == {"http", "provisioner", "attacher", "resizer", "snapshotter"} for one in rules
    )


def test_helms_own_test_gets_in(helm: Helm) -> None:
    """By the port that it asks, and nobody else does."""
    rendered = helm.render(values=REGION | ON)
    (rule,) = rendered.one("NetworkPolicy")["spec"]["ingress"]
    labels = rendered.one("Pod", "-test")["metadata"]["labels"]
    assert rule["from"][0]["podSelector"]["matchLabels"].items() <= labels.items()
    assert ports(rule) == {"http"}


def test_a_policy_that_no_pod_would_obey_is_refused(helm: Helm) -> None:
    """Pods on the node's network are under none."""
    with pytest.raises(
        Refused, match=r"networkPolicy\.enabled has no effect with controller\.host"
    ):
        helm.render(values=REGION | ON | {"controller": {"hostNetwork": True}})
