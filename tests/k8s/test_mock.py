"""The mock in a cluster: one server, an agent on every node, and a secret that they share."""

from __future__ import annotations

import base64

import pytest

from tests.k8s.charts import Helm, container, pod

pytestmark = pytest.mark.k8s


def test_there_are_never_two_servers(helm: Helm) -> None:
    """Each would take the other's files for its own: the old one ends first."""
    spec = helm.render("mockcloud", release="mockcloud").one("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_agents_are_ready_when_their_node_is_a_machine_of_the_cloud(helm: Helm) -> None:
    """Kubelet asks the node's own metadata service, unless that wants a token first."""
    agent = container(helm.render("mockcloud", release="mockcloud").one("DaemonSet"), "mockcloud")
    strict = helm.render(
        "mockcloud", release="mockcloud", values={"knobs": {"metadata_tokens_required": True}}
    )
    assert agent["readinessProbe"]["httpGet"]["host"] == "100.100.100.200"
    assert "readinessProbe" not in container(strict.one("DaemonSet"), "mockcloud")


@pytest.mark.parametrize(
    ("agent", "secret", "token"),
    [
        ({"token": "of-mine"}, "mockcloud-agent", b"of-mine"),
        ({"existingSecret": "made-before"}, "made-before", None),
    ],
)
def test_server_and_agents_read_one_secret(
    helm: Helm, agent: dict[str, str], secret: str, token: bytes | None
) -> None:
    """Who doesn't show it gets no orders."""
    rendered = helm.render("mockcloud", release="mockcloud", values={"agent": agent})
    mounted = {
        volume["secret"]["secretName"]
        for kind in ("Deployment", "DaemonSet")
        for volume in pod(rendered.one(kind))["volumes"]
        if volume["name"] in {"agent", "token"}
    }
    made = [base64.b64decode(one["data"]["token"]) for one in rendered.all("Secret", "-agent")]
    assert mounted == {secret}
    assert made == ([token] if token else [])


def test_a_token_that_is_made_up_is_long(helm: Helm) -> None:
    """Nobody guesses it."""
    rendered = helm.render("mockcloud", release="mockcloud")
    assert len(base64.b64decode(rendered.one("Secret", "-agent")["data"]["token"])) == 40
